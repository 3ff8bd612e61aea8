"""Devices over the API: what a suite does to deploy teleworkers, and what two writers do to each other."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from opx.gateway.records import IcpSpec
from opx.gateway.webservices.settings import WebServicesSettings
from opx.sip.digest import Algorithm, ha1
from support.web_services import ALL, DEVICE, Api, WebSite, web_site

# --- a consumer with only the guide's three permissions


def test_the_guides_permissions_are_all_that_deploying_a_teleworker_takes(api: Api) -> None:
    site = api.site
    node = site.with_node("10.0.0.20")
    (icp,) = api("GET", "/MBG/v1/icps", params={"host": "10.0.0.20"}).json()["items"]
    wish = {**DEVICE, "icp_id": icp["id"], "icp_password": "Pbx-Given-9secret"}
    made = api("POST", "/MBG/v1/devices", json=wish)
    device = made.json()
    changed = api("PUT", f"/MBG/v1/devices/{device['id']}", device["version"], json={**wish, "enabled": False})
    (stored,) = site.do(site.repository.devices())
    gone = api("DELETE", f"/MBG/v1/devices/{device['id']}", changed.json()["version"])

    assert icp["id"] == node and icp["name"] == "Node 1"
    assert (made.status_code, made.headers["etag"], made.headers["opx-signalling"]) == (201, '"1"', "taken")
    assert "secret" not in made.text
    assert device == {
        "id": device["id"],
        "version": 1,
        "revision": 1,
        "enabled": True,
        "description": "At home",
        "icp_id": node,
        "icp": "Node 1",
        "set_username": "tw1",
        "icp_username": "1001",
    }
    assert (changed.status_code, changed.json()["version"], changed.json()["revision"]) == (200, 2, 1)
    assert stored.set_ha1["MD5"] == ha1(Algorithm.MD5, "tw1", "gateway.test", "Set-Side-7secret")
    assert (stored.icp_password, stored.enabled) == ("Pbx-Given-9secret", False)
    assert (gone.status_code, gone.content, site.do(site.repository.devices())) == (204, b"", [])
    assert site.control.changes == 3
    assert [entry[2:4] for entry in site.audit.entries[-3:]] == [
        ("device added", "tw1"),
        ("device changed", "tw1"),
        ("device removed", "tw1"),
    ]
    assert {entry[:2] for entry in site.audit.entries[-3:]} == {("consumer MiVOAppSuite", "127.0.0.1")}
    assert "secret" not in str(site.audit.entries)


# --- devices


def test_a_creation_may_be_sent_again_and_changes_nothing(api: Api) -> None:
    wish = {**DEVICE, "icp_id": api.site.with_node()}
    first, again = (api("POST", "/MBG/v1/devices", json=wish) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert "opx-signalling" not in again.headers and api.site.control.changes == 1


def test_a_creation_overwrites_none_and_says_which_is_there(api: Api) -> None:
    wish = {**DEVICE, "icp_id": api.site.with_node()}
    device = api("POST", "/MBG/v1/devices", json=wish).json()
    answer = api("POST", "/MBG/v1/devices", json={**wish, "set_password": "Another-1secret"})
    problem = answer.json()
    assert (answer.status_code, problem["error"]) == (409, "exists")
    assert (problem["id"], problem["version"], answer.headers["etag"]) == (device["id"], 1, '"1"')
    overwritten = api(
        "PUT", f"/MBG/v1/devices/{problem['id']}", problem["version"], json={**wish, "set_password": "Another-1secret"}
    )
    assert (overwritten.status_code, overwritten.json()["revision"]) == (200, 2)


def test_every_write_of_credentials_changes_the_revision_and_no_other_does(api: Api) -> None:
    icp = api.site.with_node()
    path = f"/MBG/v1/devices/{api('POST', '/MBG/v1/devices', json={**DEVICE, 'icp_id': icp}).json()['id']}"
    bare = {"set_username": "tw1", "icp_username": "1001", "icp_id": icp}
    seen = []
    for change in (
        {},
        {"description": "x"},
        {"set_password": "Another-1secret"},
        {"icp_password": "Pbx-1secret"},
        {"icp_password": "Pbx-1secret"},
        {"icp_username": "1009"},
        {"enabled": False},
    ):
        version = api("GET", path).json()["version"]
        seen.append(api("PUT", path, version, json={**bare, **change}).json()["revision"])
    assert seen == [1, 1, 2, 3, 3, 4, 5]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"set_password": "1234"}, "set_password"),
        ({"set_password": "xx-tw1-Y9-secret"}, "set_password"),
        ({"icp_id": 99}, "icp_id"),
        ({"set_password": "bad\u0007Password-1"}, "set_password"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_the_field(api: Api, change: dict[str, object], field: str) -> None:
    wish = {**DEVICE, "icp_id": api.site.with_node(), **change}
    answer = api("POST", "/MBG/v1/devices", json=wish)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert str(change.get("set_password", "-")) not in answer.text
    assert api.site.do(api.site.repository.devices()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"set_username": "a b"},
        {"set_username": ""},
        {"set_password": "x" * 129},
        {"set_password": 7},
        {"icp_id": 2**40},
        {"icp_id": "one"},
        {"enabled": "maybe"},
        {"description": "x" * 256},
        {"colour": "red"},
        {"icp_password": ["Top-9secret"]},
    ],
    ids=str,
)
def test_what_is_no_device_is_refused_without_repeating_it(api: Api, change: dict[str, object]) -> None:
    wish = {**DEVICE, "icp_id": api.site.with_node(), **change}
    answer = api("POST", "/MBG/v1/devices", json=wish)
    assert (answer.status_code, answer.json()["error"]) == (422, "not_allowed")
    (mistake,) = answer.json()["mistakes"]
    assert mistake["where"].startswith(f"body.{next(iter(change))}")
    assert "secret" not in answer.text
    assert api("POST", "/MBG/v1/devices", data="{", allow_redirects=False).status_code == 422


def test_weak_passwords_pass_where_the_settings_permit_them(tmp_path: Path) -> None:
    with web_site(tmp_path, permit_weak=True) as site:
        api = Api(site, site.authorised())
        wish = {**DEVICE, "icp_id": site.with_node(), "set_password": "1234"}
        assert api("POST", "/MBG/v1/devices", json=wish).status_code == 201


def test_a_user_at_an_icp_is_one_device(api: Api) -> None:
    icp = api.site.with_node()
    api("POST", "/MBG/v1/devices", json={**DEVICE, "icp_id": icp})
    answer = api("POST", "/MBG/v1/devices", json={**DEVICE, "icp_id": icp, "set_username": "tw2"})
    assert (answer.status_code, answer.json()["error"], answer.json()["field"]) == (409, "taken", "icp_username")


# --- two writers


def test_a_write_without_a_version_or_from_an_old_one_is_refused(api: Api) -> None:
    wish = {**DEVICE, "icp_id": api.site.with_node()}
    path = f"/MBG/v1/devices/{api('POST', '/MBG/v1/devices', json=wish).json()['id']}"
    for method, body in (("PUT", {"json": wish}), ("DELETE", {})):
        assert api.error(method, path, **body) == (428, "version_needed")
        assert api.error(method, path, "*", **body) == (428, "version_needed")
        for other in (7, '"x"', 'W/"1"', "1", '"1", "2"', '""', '"' + "9" * 30 + '"'):
            assert api.error(method, path, other, **body) == (412, "version_other")
    changed = api("PUT", path, 1, json={**wish, "description": "first"})
    late = api("PUT", path, 1, json={**wish, "description": "second"})
    assert (changed.status_code, late.status_code) == (200, 412)
    assert (late.json()["version"], late.headers["etag"]) == (2, '"2"')
    assert api("GET", path).json()["description"] == "first"


def test_of_writers_at_the_same_moment_one_wins_and_the_others_hear_of_it(site: WebSite) -> None:
    api = Api(site, site.authorised(ALL))
    secret = api.session._client.client
    wish = {**DEVICE, "icp_id": site.with_node()}
    path = f"/MBG/v1/devices/{api('POST', '/MBG/v1/devices', json=wish).json()['id']}"
    known = {
        "client_key": "all",
        "client_secret": secret.client_secret,
        "resource_owner_key": secret.resource_owner_key,
        "resource_owner_secret": secret.resource_owner_secret,
    }
    writers = [Api(site, site.session(**known)) for _ in range(6)]
    bodies = [{**wish, "description": str(number)} for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda writer, body: writer("PUT", path, 1, json=body), writers, bodies))
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 5
    (winner,) = [index for index, answer in enumerate(answers) if answer.status_code == 200]
    assert api("GET", path).json()["description"] == str(winner)
    bodies = [{**body, "set_username": "tw9", "icp_username": "1009"} for body in bodies]
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda writer, body: writer("POST", "/MBG/v1/devices", json=body), writers, bodies))
    assert sorted(answer.status_code for answer in made) == [201] + [409] * 5


def test_who_knows_a_version_already_is_told_so(api: Api) -> None:
    wish = {**DEVICE, "icp_id": api.site.with_node()}
    device = api("POST", "/MBG/v1/devices", json=wish).json()
    path = f"{api.site.url}/MBG/v1/devices/{device['id']}"
    for known, status in (('"1"', 304), ('W/"1", "5"', 304), ("*", 304), ('"2"', 200)):
        answer = api.session.get(path, headers={"If-None-Match": known})
        assert (answer.status_code, answer.headers["etag"]) == (status, '"1"')
        assert bool(answer.content) == (status == 200)


# --- many at once


def test_devices_come_in_pages_that_lose_none_while_others_write(api: Api) -> None:
    icp = api.site.with_node()
    entries = [
        {"op": "create", "device": {"set_username": f"tw{n}", "set_password": "Set-Side-7secret", "icp_id": icp}}
        for n in range(7)
    ]
    assert {result["status"] for result in bulk(api, entries)} == {201}
    seen, after = [], 0
    for step in range(4):
        page = api("GET", "/MBG/v1/devices", params={"limit": 2, "after": after}).json()
        seen += [device["set_username"] for device in page["items"]]
        if step == 1:
            first = api("GET", "/MBG/v1/devices", params={"set_username": "tw0"}).json()["items"][0]
            assert api("DELETE", f"/MBG/v1/devices/{first['id']}", 1).status_code == 204
        after = page["next"] or after
    assert (seen, page["next"], page["total"]) == ([f"tw{n}" for n in range(7)], None, 6)


def test_devices_are_found_by_what_they_are(api: Api) -> None:
    icp = api.site.with_node()
    other = api.site.do(api.site.repository.save_icp(IcpSpec("Node 2", "10.0.0.21")))[0].id
    for name, at, user, enabled in (("tw1", icp, "1001", True), ("tw2", icp, "", False), ("tw3", other, "1001", True)):
        wish = {**DEVICE, "set_username": name, "icp_id": at, "icp_username": user, "enabled": enabled}
        assert api("POST", "/MBG/v1/devices", json=wish).status_code == 201

    def names(**params: object) -> list[str]:
        return [it["set_username"] for it in api("GET", "/MBG/v1/devices", params=params).json()["items"]]

    assert names(icp_username="1001") == ["tw1", "tw3"]
    assert names(icp_username="tw2") == ["tw2"]
    assert names(icp_id=icp, enabled="true") == ["tw1"]
    assert names(set_username="tw3") == ["tw3"]
    assert names(q="TW") == ["tw1", "tw2", "tw3"]
    assert names(q="home", icp_id=other) == ["tw3"]
    for wrong in ({"limit": 0}, {"limit": 501}, {"after": -1}, {"icp_id": 2**31}, {"enabled": "x"}, {"q": "x" * 129}):
        assert api("GET", "/MBG/v1/devices", params=wrong).status_code == 422


def bulk(api: Api, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    answer = api("POST", "/MBG/v1/devices/bulk", json={"entries": entries})
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def test_each_entry_of_a_bulk_write_has_its_own_result(api: Api) -> None:
    icp = api.site.with_node()
    wish = {**DEVICE, "icp_id": icp}
    device = api("POST", "/MBG/v1/devices", json=wish).json()
    two = {**wish, "set_username": "tw2", "icp_username": "1002"}
    results = bulk(
        api,
        [
            {"op": "create", "device": two},
            {"op": "create", "device": two},
            {"op": "create", "device": {**two, "description": "other"}},
            {"op": "create", "device": {**two, "set_username": "tw3", "set_password": "1234"}},
            {"op": "create", "device": {**two, "set_username": "tw4", "icp_id": 99}},
            {"op": "update", "id": device["id"], "version": 9, "device": {**wish, "description": "stale"}},
            {"op": "update", "id": device["id"], "version": 1, "device": {**wish, "icp_username": "1002"}},
            {"op": "update", "id": device["id"], "version": 1, "device": {**wish, "description": "taken"}},
            {"op": "delete", "id": device["id"] + 1, "version": 2},
            {"op": "delete", "id": device["id"] + 1, "version": 1},
            {"op": "delete", "id": device["id"] + 1, "version": 1},
        ],
    )
    assert [result["status"] for result in results] == [201, 200, 409, 422, 422, 412, 409, 200, 412, 204, 404]
    assert [result["error"] for result in results if result["error"]] == [
        "exists",
        "weak_password",
        "not_allowed",
        "version_other",
        "taken",
        "version_other",
        "not_found",
    ]
    assert (results[7]["version"], results[7]["revision"]) == (2, 1)
    assert (results[5]["version"], results[2]["id"]) == (1, device["id"] + 1)
    assert api.site.control.changes == 2
    listed = api("GET", "/MBG/v1/devices").json()["items"]
    assert [(it["set_username"], it["description"]) for it in listed] == [("tw1", "taken")]


def test_a_bulk_write_has_a_bound_and_a_shape(tmp_path: Path) -> None:
    with web_site(tmp_path, settings=WebServicesSettings(bulk_size=2, page_size=3)) as site:
        api = Api(site, site.authorised())
        entry = {"op": "delete", "id": 1, "version": 1}
        for entries in ([entry] * 3, [], [{"op": "delete", "id": 1}], [{"op": "eat"}], [{**entry, "device": {}}]):
            assert api("POST", "/MBG/v1/devices/bulk", json={"entries": entries}).status_code == 422
        assert [result["status"] for result in bulk(api, [entry] * 2)] == [404, 404]
        assert api("GET", "/MBG/v1/devices", params={"limit": 4}).status_code == 422
        assert api("GET", "/MBG/v1/devices", params={"limit": 3}).status_code == 200


# --- signalling


def test_what_signalling_could_not_take_over_is_stored_and_said(api: Api) -> None:
    wish = {**DEVICE, "icp_id": api.site.with_node()}
    api.site.control.taking = False
    assert api("POST", "/MBG/v1/devices", json=wish).headers["opx-signalling"] == "failed"
    api.site.control.running = False
    made = api("POST", "/MBG/v1/devices", json={**wish, "set_username": "tw2", "icp_username": "1002"})
    assert (made.status_code, made.headers["opx-signalling"]) == (201, "nobody")
    assert len(api.site.do(api.site.repository.devices())) == 2
