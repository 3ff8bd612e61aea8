"""The PBX node's management API, over HTTPS."""

import asyncio
import ssl
from pathlib import Path

import httpx
import pytest

from opx.phone.softphone import Account, Softphone
from support.live import LiveSite, live_site
from support.network import LoopbackNetwork
from support.programs import PATIENCE

PIN = "246813579024"
"""Long, for its hash is random text and may hold four digits by chance."""


def client(site: LiveSite, token: str) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=str(site.folder / "pbx-certificates" / "ca.pem"))
    return httpx.AsyncClient(
        base_url=f"https://{site.pbx_address}:8445/api/v1/",
        verify=context,
        trust_env=False,
        headers={"Authorization": f"Bearer {token}"},
    )


async def test_the_management_api_gives_credentials_versions_and_notify(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    async with live_site(loopback, tmp_path) as site:
        token = (tmp_path / "pbx.token").read_text()
        async with client(site, token) as api:
            assert (await api.get("system")).json() == {
                "name": "MiVO 250",
                "address": site.pbx_address,
                "sip_port": 5060,
                "version": "6.3 SP1",
                "ct_gateway_version": "5.0.64",
            }
            assert "/api/v1/extensions" in (await api.get("openapi.json")).json()["paths"]
            made = (await api.put("extensions/1500", json={"name": "New", "type": "SIP hot desk"})).json()
            assert made["hot_desk"] and len(made["auth_password"]) >= 20 and made["auth_name"] == "1500"
            listed = {entry["number"]: entry for entry in (await api.get("extensions")).json()}
            assert listed["1500"]["auth_password"] == made["auth_password"]
            assert not listed["1500"]["registered"]
            heard: list[str] = []
            phone = Softphone(
                Account("1500", made["auth_password"], site.pbx_address),
                loopback.at("20.150"),
                on_event=heard.append,
            )
            await phone.start()
            phone.register()
            async with asyncio.timeout(PATIENCE):
                await phone.tried.wait()
            answer = await api.post("extensions/1500/notify", json={"event": "check-sync"})
            assert answer.json() == {"status": 200}
            assert "was notified: check-sync" in heard
            await phone.stop()
            assert (await api.delete("extensions/1500")).status_code == 204
            assert (await api.get("extensions/1500")).status_code == 404


@pytest.mark.parametrize("token", ["wrong", "Bearer", "x" * 5000])
async def test_without_the_token_the_api_says_nothing(loopback: LoopbackNetwork, tmp_path: Path, token: str) -> None:
    async with live_site(loopback, tmp_path) as site, client(site, token) as api:
        for path in ("system", "extensions", "extensions/1001", "../../openapi.json", "nothing"):
            answer = await api.get(path)
            assert answer.status_code in (401, 404)
            assert "password" not in answer.text


async def test_features_are_set_and_read_and_survive_a_restart(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_site(loopback, tmp_path, office=("1101", "1102")) as site:
        token = (tmp_path / "pbx.token").read_text()
        wish = {"dnd": True, "forward_busy": "1102", "pickup_group": "sales"}
        async with client(site, token) as api:
            assert (await api.patch("extensions/1101/features", json=wish)).status_code == 200
            await api.put("extensions/1101/messages", json={"new": 3, "old": 1})
            await api.put("extensions/1500", json={"type": "SIP hot desk"})
            assert (await api.put("extensions/1500/pin", json={"pin": PIN})).json()["has_pin"]
            placed = await api.put("extensions/1500/hot-desk", json={"phone": "1102"})
            assert placed.json()["phone"] == "1102"
        await site.pbx.stop()
        await site.start_pbx()
        async with client(site, token) as api:
            assert (await api.get("extensions/1101/features")).json() == {
                **wish,
                "forward_all": "",
                "forward_no_answer": "",
                "messages": {"new": 3, "old": 1},
                "has_pin": False,
                "phone": "",
            }
            guest = (await api.get("extensions/1500/features")).json()
            assert guest["phone"] == "1102" and guest["has_pin"]
            assert PIN not in str(guest) and "scrypt" not in str(guest)
            assert (await api.delete("extensions/1500/hot-desk")).json()["phone"] == ""
            right = await api.post("extensions/1500/pin", json={"pin": PIN, "phone": "14:00:E9:00:00:01"})
            assert right.json() == {"matches": True}
            assert (await api.post("extensions/1500/pin", json={"pin": "0000"})).json() == {"matches": False}
            assert (await api.post("extensions/1101/pin", json={"pin": "0000"})).json() == {"matches": False}
            assert not (await api.delete("extensions/1500/pin")).json()["has_pin"]
        assert PIN.encode() not in (tmp_path / "pbx.db").read_bytes()


@pytest.mark.parametrize(
    ("method", "path", "body", "problem"),
    [
        ("PATCH", "1101/features", {"forward_all": "1101"}, "1101 cannot be forwarded to itself"),
        ("PATCH", "1101/features", {"forward_busy": "9999"}, "there is no extension 9999"),
        ("PATCH", "1101/features", {"forward": "1001"}, "Extra inputs are not permitted"),
        ("PUT", "1101/messages", {"new": 100}, "less than or equal to 99"),
        ("PUT", "1101/pin", {"pin": "12a4"}, "should match pattern"),
        ("PUT", "1101/hot-desk", {"phone": "1001"}, "1101 is no hot desk extension"),
    ],
)
async def test_what_cannot_be_set_says_why_and_changes_nothing(
    loopback: LoopbackNetwork, tmp_path: Path, method: str, path: str, body: dict[str, object], problem: str
) -> None:
    async with live_site(loopback, tmp_path) as site, client(site, (tmp_path / "pbx.token").read_text()) as api:
        before = (await api.get("extensions/1101/features")).json()
        answer = await api.request(method, f"extensions/{path}", json=body)
        assert answer.status_code == 422
        assert problem in answer.text
        assert (await api.get("extensions/1101/features")).json() == before


async def test_an_extension_made_anew_has_nothing_switched_on(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_site(loopback, tmp_path) as site, client(site, (tmp_path / "pbx.token").read_text()) as api:
        await api.put("extensions/1600", json={})
        await api.patch("extensions/1600/features", json={"dnd": True})
        await api.delete("extensions/1600")
        assert (await api.get("extensions/1600/features")).status_code == 404
        await api.put("extensions/1600", json={})
        assert not (await api.get("extensions/1600/features")).json()["dnd"]


async def test_settings_make_a_hot_desk_extension_with_its_pin_and_group(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    async with live_site(loopback, tmp_path) as site:
        await site.pbx.stop()
        site.extra_pbx = """
[[extension]]
number = "1500"
type = "SIP hot desk"
pin = "2468"
pickup_group = "sales"
"""
        await site.start_pbx()
        first = site.pbx.node.states.of("1500")
        await site.pbx.stop()
        await site.start_pbx()
        assert site.pbx.node.states.of("1500") == first
        assert first.pickup_group == "sales" and first.pin.startswith("scrypt$")
