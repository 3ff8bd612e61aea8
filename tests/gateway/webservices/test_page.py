"""What docs/web-services.md says is so."""

import re
import tomllib
from pathlib import Path

import pytest

from opx.gateway.webservices.records import RESOURCES
from opx.gateway.webservices.settings import WebServicesSettings
from support.web_services import ALL, DEVICE, GUIDE, Api, WebSite

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "web-services.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_worked_example_runs(site: WebSite, monkeypatch: pytest.MonkeyPatch) -> None:
    site.with_node("192.168.20.20")
    _, secret = site.consumer(GUIDE)
    text = blocks("python")[0].replace("https://192.168.20.1:8443/webservices", site.url)
    text = text.replace('"ca.pem"', repr(site.authority)).replace('"the shared secret"', repr(secret))
    monkeypatch.setattr("builtins.input", lambda prompt: site.approve())
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    scope: dict[str, object] = {}
    exec(compile(text, "web-services.md", "exec"), scope)
    site.keep(scope["session"])
    (device,) = site.do(site.repository.devices())
    assert (device.set_username, device.icp_username, device.description) == ("home-4711", "1001", "At home")


async def test_the_example_of_the_typed_client_runs(site: WebSite, monkeypatch: pytest.MonkeyPatch) -> None:
    _, secret = site.consumer(GUIDE)
    api = Api(site, site.authorised(ALL))
    api("POST", "/MBG/v1/devices", json={**DEVICE, "icp_id": site.with_node()})
    monkeypatch.setattr("builtins.input", lambda prompt: site.approve())
    scope: dict[str, object] = {}
    exec(compile(blocks("python")[1], "web-services.md", "exec"), scope)
    found = await scope["devices"](site.url, GUIDE.consumer_id, secret, Path(site.authority))  # type: ignore[operator]
    assert found == ["tw1"]


def test_the_table_of_resources_is_what_is_served(site: WebSite) -> None:
    rows = re.findall(r"^\| `(/\S+)` \| ([A-Z, ]+) \| (any valid token|none yet|`\S+`) \|", PAGE, re.MULTILINE)
    told = {path: set(methods.lower().split(", ")) for path, methods, _ in rows}
    assert told == {path: set(operations) for path, operations in site.app.description["paths"].items()}
    assert {permission.strip("`") for _, _, permission in rows} - {"any valid token", "none yet"} == set(RESOURCES)


def test_the_settings_are_the_defaults() -> None:
    (text,) = blocks("toml")
    values = tomllib.loads(text)["web_services"]
    assert WebServicesSettings(**values) == WebServicesSettings()
    assert set(values) == set(WebServicesSettings.model_fields)


def test_the_words_of_refusals_are_those_of_the_gateway() -> None:
    source = "".join(path.read_text() for path in (ROOT / "src/opx/gateway/webservices").glob("*.py"))
    told = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`\w+`(?:, `\w+`)?) \([45]", PAGE, re.MULTILINE))))
    assert len(told) == 15
    assert {word for word in told if f'"{word}"' not in source} == set()
