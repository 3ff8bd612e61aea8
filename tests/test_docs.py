"""What the documentation says is so: its links lead somewhere, its code runs, its settings load."""

import ipaddress
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from opx.config import parse_settings
from opx.gateway.faults.signing import sign
from opx.gateway.forwarding import presets
from opx.gateway.importing import ImportFile
from opx.gateway.settings import GatewaySettings
from opx.pbx.api import System, build_api
from opx.pbx.features.codes import Feature
from opx.pbx.options import DEFAULT_CODES
from opx.pbx.settings import PbxSettings
from opx.suite.connectors.csv_file import parse as parse_csv
from opx.suite.connectors.settings import PbxReadingSettings
from opx.suite.lan.settings import FirmwareLibrary, LanServices
from opx.suite.provisioning.records import ProvisionState
from opx.suite.provisioning.settings import ProvisioningSettings
from opx.suite.settings import SuiteSettings
from support.office import Office

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        name, _, anchor = target.partition("#")
        goal = (page.parent / name).resolve() if name else page
        assert goal.exists(), target
        assert not anchor or anchor in anchors(goal), target


def test_every_page_is_reached_from_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    names = [str(page.relative_to(ROOT / "docs")) for page in PAGES[2:]]
    assert [name for name in names if name != "index.md" and f"({name})" not in index] == []


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)


def test_the_code_of_the_sip_page_runs() -> None:
    scope: dict[str, object] = {}
    found = blocks("sip.md", "python")
    assert len(found) == 2
    for block in found:
        exec(compile(block, "sip.md", "exec"), scope)


def test_the_settings_of_the_gateway_page_load() -> None:
    settings, devices = blocks("gateway.md", "toml")
    assert parse_settings(GatewaySettings, settings, "gateway.md").limits.licences == 50
    assert parse_settings(ImportFile, devices, "gateway.md").device[0].icp_username == "1001"


def test_the_settings_of_the_suite_page_load() -> None:
    (text,) = blocks("suite.md", "toml")
    assert parse_settings(SuiteSettings, text, "suite.md").handsets.https_port == 8202


def test_the_settings_and_the_code_of_the_faults_page_are_right() -> None:
    (settings,) = blocks("faults.md", "toml")
    faces = '[set_side]\naddress = "203.0.113.10"\n[icp_side]\naddress = "192.168.20.1"\n'
    parsed = parse_settings(GatewaySettings, faces + settings, "faults.md")
    assert parsed.webhook.events == ("call", "alarm")
    scope: dict[str, Any] = {}
    (code,) = blocks("faults.md", "python")
    exec(compile(code, "faults.md", "exec"), scope)
    header = sign(b"secret", int(time.time()), b"{}")
    assert scope["genuine"](b"secret", header, b"{}")
    assert not scope["genuine"](b"secret", header, b"{ }")
    assert not scope["genuine"](b"other", header, b"{}")


def test_the_settings_of_the_forwarding_page_load() -> None:
    (text,) = blocks("forwarding.md", "toml")
    assert parse_settings(GatewaySettings, text, "forwarding.md").forwarding.connections_per_source == 200


def test_the_ports_of_the_forwarding_page_are_those_of_the_preset() -> None:
    page = (ROOT / "docs" / "forwarding.md").read_text()
    rows = re.findall(r"^\| `([\w-]+)` \| ([\d, and]+) \|$", page, re.MULTILINE)
    told = {name: set(re.findall(r"\d+", ports)) for name, ports in rows}
    host = ipaddress.IPv4Address("192.168.20.10")
    assert told == {
        client.value: {str(port) for rule in presets.rules(host, {client}) for port in rule.ports.each()}
        for client in presets.Client
    }


def test_the_settings_and_the_file_of_the_provisioning_page_are_right() -> None:
    (settings,) = blocks("provisioning.md", "toml")
    parsed = parse_settings(SuiteSettings, settings, "provisioning.md")
    assert (parsed.provisioning, parsed.pbx_reading) == (ProvisioningSettings(), PbxReadingSettings())
    (file,) = blocks("provisioning.md", "csv")
    assert [extension.hot_desk for extension in parse_csv(file.encode()).extensions] == [False, True]
    page = (ROOT / "docs" / "provisioning.md").read_text()
    assert [state.label for state in ProvisionState if f"| {state.label} |" not in page] == []


def test_the_settings_of_the_pbx_page_load() -> None:
    (text,) = blocks("pbx.md", "toml")
    settings = parse_settings(PbxSettings, text, "pbx.md")
    assert settings.node_options().codes[Feature.PICKUP_GROUP] == "*88"


def test_the_codes_of_the_pbx_page_are_the_defaults() -> None:
    page = (ROOT / "docs" / "pbx.md").read_text()
    rows = re.findall(r"^\| `([0-9*#]+)`.*\| `(\w+)` \|$", page, re.MULTILINE)
    told = {setting: code for code, setting in rows}
    assert told == {feature.value: code for feature, code in DEFAULT_CODES.items()}


def test_the_api_calls_of_the_pbx_page_are_served() -> None:
    page = (ROOT / "docs" / "pbx.md").read_text()
    told = re.findall(r"^api (?:-X (\w+) +)?\$at(\S+)(?: -d '(.*?)')?", page, re.MULTILINE)
    assert len(told) >= 9
    system = System(name="", address="", sip_port=5060, version="", ct_gateway_version="")
    app = build_api(Office().node, None, "t", system)  # type: ignore[arg-type]
    paths = app.openapi()["paths"]
    for method, path, body in told:
        served = paths[re.sub(r"/extensions/\d+", "/api/v1/extensions/{number}", path)]
        assert (method or "GET").lower() in served, path
        assert bool(body) == ("requestBody" in served[(method or "GET").lower()]), path
        if body:
            json.loads(body)


def test_the_settings_of_the_handsets_page_load() -> None:
    (text,) = blocks("handsets.md", "toml")
    settings = parse_settings(SuiteSettings, 'address = "192.168.20.10"\n' + text, "handsets.md").handsets
    assert settings.lan == ("192.168.20.0/24", "10.8.0.0/16") and settings.provision.dst_config == 3


def test_the_settings_of_the_phones_page_are_those_that_hold_without_them() -> None:
    (text,) = blocks("phones.md", "toml")
    settings = parse_settings(SuiteSettings, 'address = "192.168.20.10"\n' + text, "phones.md")
    assert (settings.lan, settings.firmware) == (LanServices(), FirmwareLibrary())
