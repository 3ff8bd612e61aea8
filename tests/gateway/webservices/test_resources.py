"""The resources beside devices: ICPs, the own token, phones, port forwarding; and what is no resource at all."""

import asyncio
from pathlib import Path

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from opx.gateway.webservices.ports import OriginState
from support.web_services import DEVICE, GUIDE, Api, WebSite, web_site

# --- ICPs


def test_icps_are_written_like_devices(full: Api) -> None:
    node = {"host": "10.0.0.31", "port": 5070, "transport": "TCP"}
    wish = {"name": "Cluster", "host": "pbx.example", "nodes": [node]}
    made, again = (full("POST", "/MBG/v1/icps", json=wish) for _ in range(2))
    icp = made.json()
    path = f"/MBG/v1/icps/{icp['id']}"
    assert (made.status_code, again.status_code, again.json()) == (201, 200, icp)
    assert (icp["type"], icp["port"], icp["nodes"]) == ("MiVoice Office 250", None, [node])
    assert full.error("POST", "/MBG/v1/icps", json={**wish, "host": "10.0.0.9"}) == (409, "exists")
    assert full.error("PUT", path, json=wish) == (428, "version_needed")
    changed = full("PUT", path, 1, json={**wish, "name": "Head office", "nodes": []})
    assert (changed.status_code, changed.json()["version"], changed.json()["nodes"]) == (200, 2, [])
    assert full.error("PUT", path, 1, json=wish) == (412, "version_other")
    full("POST", "/MBG/v1/devices", json={**DEVICE, "icp_id": icp["id"]})
    assert full.error("DELETE", path, 2) == (409, "in_use")
    device = full("GET", "/MBG/v1/devices").json()["items"][0]
    assert device["icp"] == "Head office"
    full("DELETE", f"/MBG/v1/devices/{device['id']}", device["version"])
    assert full("DELETE", path, 2).status_code == 204
    assert full.error("GET", path) == (404, "not_found")
    assert full.error("DELETE", path, 2) == (404, "not_found")
    assert full.site.control.changes == 5


def test_icps_are_found_by_name_and_by_any_nodes_address(full: Api) -> None:
    for number in (1, 2, 3):
        node = {"host": f"10.0.1.{number}"}
        full("POST", "/MBG/v1/icps", json={"name": f"Node {number}", "host": f"10.0.0.{number}", "nodes": [node]})

    def names(**params: object) -> list[str]:
        return [it["name"] for it in full("GET", "/MBG/v1/icps", params=params).json()["items"]]

    assert names(host="10.0.0.2") == names(host="10.0.1.2") == names(name="Node 2") == ["Node 2"]
    page = full("GET", "/MBG/v1/icps", params={"limit": 2}).json()
    rest = full("GET", "/MBG/v1/icps", params={"limit": 2, "after": page["next"]}).json()
    assert [it["name"] for it in page["items"] + rest["items"]] == ["Node 1", "Node 2", "Node 3"]
    assert (rest["next"], rest["total"]) == (None, 3)


@pytest.mark.parametrize("host", ["999.1.1.1", "::1", "a..b", "0.0.0.0"])
def test_a_host_that_is_none_is_refused(full: Api, host: str) -> None:
    answer = full("POST", "/MBG/v1/icps", json={"name": "Node 1", "host": host})
    assert (answer.status_code, answer.json()["field"]) == (422, "host")


# --- the own token


def test_a_consumer_renews_its_own_token_and_drops_it(api: Api) -> None:
    site = api.site
    issued = api("GET", "/Base/managetoken").json()
    site.clock.shift = 100 * 86_400
    api.session._client.client.timestamp = str(int(site.clock()))
    renewed = api("POST", "/Base/managetoken/renew").json()
    assert renewed["expires_at"] - issued["expires_at"] == pytest.approx(100 * 86_400, abs=30)
    assert issued["permissions"]["MBG/v1/devices"] == "read-write"
    assert api("DELETE", "/Base/managetoken").status_code == 204
    assert api.error("GET", "/Base/managetoken") == (401, "token_revoked")
    assert site.audit.actions[-2:] == ["final token renewed", "final token revoked"]


# --- phones


def test_a_phone_is_told_on_its_own_flow_and_its_answer_comes_back(full: Api) -> None:
    control = full.site.control
    device = full("POST", "/MBG/v1/devices", json={**DEVICE, "icp_id": full.site.with_node()}).json()["id"]
    path = f"/OPX/v1/devices/{device}/notify"
    assert full("POST", path, json={"event": "check-sync"}).json() == {"status": 200}
    control.answer = 480
    body = "<AastraIPPhoneExecute/>"
    assert full("POST", path, json={"event": "aastra-xml", "body": body}).json() == {"status": 480}
    assert control.notices == [(device, "check-sync", ""), (device, "aastra-xml", body)]
    assert full.error("POST", path, json={"event": "reboot", "body": "x"}) == (422, "not_allowed")
    assert full.error("POST", path, json={"event": "message-summary"}) == (422, "not_allowed")
    assert full.error("POST", "/OPX/v1/devices/99/notify", json={"event": "reboot"}) == (404, "not_found")
    phones = full("GET", f"/OPX/v1/devices/{device}/registrations").json()["items"]
    assert (phones[0]["host"], phones[0]["user_agent"]) == ("198.51.100.7", "Mitel 6930")
    control.running = False
    assert full.error("POST", path, json={"event": "reboot"}) == (503, "not_running")


def test_the_guides_permissions_tell_no_phone_and_see_no_forward(api: Api) -> None:
    device = api("POST", "/MBG/v1/devices", json={**DEVICE, "icp_id": api.site.with_node()}).json()["id"]
    for method, path, body in (
        ("POST", f"/OPX/v1/devices/{device}/notify", {"json": {"event": "reboot"}}),
        ("GET", f"/OPX/v1/devices/{device}/registrations", {}),
        ("GET", "/OPX/v1/forwards", {}),
        ("GET", "/OPX/v1/forwards/origin?address=10.0.0.1&port=4000", {}),
        ("POST", "/OPX/v1/forwards/origins", {"json": ORIGINS}),
    ):
        assert api.error(method, path, **body) == (403, "permission_missing")


# --- port forwarding

ORIGINS: dict[str, list[dict[str, object]]] = {
    "connections": [
        {"address": "10.0.0.1", "port": 40123, "host": "10.0.0.10", "host_port": 8202},
        {"address": "10.0.0.1", "port": 40124, "host": "10.0.0.10", "host_port": 8202},
    ]
}
RULE = {"protocol": "TCP", "ports": "8185", "host": "10.0.0.10"}


def test_port_forwarding_rules_are_written_like_devices(full: Api) -> None:
    made = full("POST", "/OPX/v1/forwards", json=RULE)
    rule = made.json()
    path = f"/OPX/v1/forwards/{rule['id']}"
    assert (made.status_code, rule["snat"], rule["warnings"], made.headers["etag"]) == (201, True, [], '"1"')
    assert full.error("POST", "/OPX/v1/forwards", json={**RULE, "ports": "5060"}) == (422, "not_allowed")
    changed = full("PUT", path, 1, json={**RULE, "snat": False, "sources": ["198.51.100.0/24"]}).json()
    assert (changed["version"], changed["sources"], len(changed["warnings"])) == (2, ["198.51.100.0/24"], 1)
    assert full.error("PUT", path, 1, json=RULE) == (412, "version_other")
    assert full.error("DELETE", path) == (428, "version_needed")
    assert [it["id"] for it in full("GET", "/OPX/v1/forwards").json()["items"]] == [rule["id"]]
    assert full("DELETE", path, 2).status_code == 204
    assert full.error("GET", path) == (404, "not_found")
    assert full.site.audit.actions[-3:] == [
        "port forwarding rule added",
        "port forwarding rule changed",
        "port forwarding rule removed",
    ]


def test_the_origin_of_a_forwarded_connection_is_told(full: Api) -> None:
    forwards = full.site.forwards
    forwards.origins["TCP", "10.0.0.1", 40123] = OriginState("198.51.100.7", 51000, 8202, 1)
    query = {"address": "10.0.0.1", "port": 40123, "host": "10.0.0.10", "host_port": 8202}
    assert full("GET", "/OPX/v1/forwards/origin", params=query).json() == {
        "address": "198.51.100.7",
        "port": 51000,
        "outside_port": 8202,
        "rule": 1,
    }
    assert full.error("GET", "/OPX/v1/forwards/origin", params={**query, "port": 1}) == (404, "not_found")
    del query["host_port"]
    assert full.error("GET", "/OPX/v1/forwards/origin", params=query) == (422, "not_allowed")
    forwards.running = False
    del query["host"]
    assert full.error("GET", "/OPX/v1/forwards/origin", params=query) == (503, "not_known")


def test_the_origins_of_many_connections_are_told_at_once(full: Api) -> None:
    forwards = full.site.forwards
    forwards.origins["TCP", "10.0.0.1", 40123] = OriginState("198.51.100.7", 51000, 8202, 1)
    found = full("POST", "/OPX/v1/forwards/origins", json=ORIGINS).json()["items"]
    assert found == [{"address": "198.51.100.7", "port": 51000, "outside_port": 8202, "rule": 1}, None]
    for connections in ([], ORIGINS["connections"][:1] * 501, [{"address": "10.0.0.1", "port": 1}]):
        wrong = full.error("POST", "/OPX/v1/forwards/origins", json={"connections": connections})
        assert wrong == (422, "not_allowed")
    forwards.running = False
    assert full.error("POST", "/OPX/v1/forwards/origins", json=ORIGINS) == (503, "not_known")


@pytest.mark.parametrize("query", ["usernme=tw1", "limit=1&limit=2", "set_username=tw1&set_username=tw2", "=x"])
def test_a_parameter_that_is_none_or_is_there_twice_is_refused(full: Api, query: str) -> None:
    answer = full("GET", f"/MBG/v1/devices?{query}")
    assert (answer.status_code, answer.json()["error"]) == (422, "not_allowed")
    assert full.error("GET", "/Base/server?x=1") == (422, "not_allowed")


def test_a_database_that_does_not_answer_is_said_to_an_owner_and_not_to_strangers(
    full: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*arguments: object) -> bool:
        raise OperationalError("SELECT 1", {}, Exception("it is locked"))

    async def refused() -> bool:
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr(full.site.repository, "icp", away)
        assert full.error("GET", "/MBG/v1/icps/1") == (503, "database_away")
    for failure in (away, refused):
        monkeypatch.setattr(full.site.kept, "started", failure)
        answer = full("GET", "/MBG/v1/icps/1")
        assert (answer.status_code, answer.content) == (503, b"")


def test_unknown_paths_and_methods_are_named_to_an_owner(full: Api) -> None:
    assert full.error("GET", "/MBG/v1/phones") == (404, "not_found")
    answer = full("PATCH", "/MBG/v1/devices/1")
    assert (answer.status_code, answer.json()["error"]) == (405, "method_not_allowed")
    assert answer.headers["allow"]


def test_a_consumer_of_the_guide_is_what_the_guide_says() -> None:
    assert {name: value.value for name, value in GUIDE.permissions.items()} == {
        "Base/managetoken": "read-write",
        "MBG/v1/icps": "read",
        "MBG/v1/devices": "read-write",
    }


async def test_plain_http_is_refused_without_a_word(tmp_path: Path) -> None:
    """The gate itself, for the server has no other than HTTPS."""

    def serve(site: WebSite) -> int:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(site.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                return await client.get("/webservices/Base/server")

        answer = site.do(ask())
        return answer.status_code if not answer.content else -1

    def run() -> int:
        with web_site(tmp_path) as site:
            return serve(site)

    assert await asyncio.to_thread(run) == 403
