"""Every condition of the guide: met, missing, wrong, or not to be checked; and releases as people write them."""

from dataclasses import replace
from typing import Any

import pytest

from opx.gateway_client.models import Forward, Icp, Server
from opx.suite.sites.conditions import STAGES, Condition, Extensions, Facts, GatewayView, Phones, Status, conditions
from opx.suite.sites.records import GatewayRecord, Locations, NodeRecord, PbxRecord
from opx.suite.sites.versions import MIN_CT_GATEWAY, MIN_PBX, Release

NOW = 1_800_000_000.0
SUITE = "192.168.20.10"
SERVER = Server(
    product="OPX",
    version="1",
    compatibility_level=12,
    mode="gateway",
    inside_address="192.168.20.1",
    outside_address="203.0.113.1",
    sip_port=5060,
    time=0,
)
ICP = Icp(id=1, version=1, name="Node 1", type="", host="192.168.20.20", port=5060, transport="UDP", nodes=())
RULE = Forward(
    id=1,
    version=1,
    protocol="TCP",
    ports="8202",
    host=SUITE,
    host_port=None,
    snat=True,
    sources=(),
    description="",
    enabled=True,
    forced=False,
    in_force=True,
    trouble="",
    warnings=(),
)
PBX = PbxRecord(1, "Office", "opx", "https://192.168.20.20:8445/", "", True, "5.0.64", NOW, "")
NODE = NodeRecord(1, 1, "Node 1", "192.168.20.20", 5060, "203.0.113.1", 5060, "6.3 SP1")
GATEWAY = GatewayRecord(
    "192.168.20.1", rest_api=True, has_token=True, token_until=NOW + 300 * 86400, fingerprint="ab" * 32
)
DONE = Facts(
    GATEWAY,
    GatewayView(SERVER, "", [ICP], [RULE]),
    Locations("", "203.0.113.1"),
    [PBX],
    [NODE],
    Extensions(present=3, teleworkers=2, on_gateway=2),
    Phones(seen=2, approved=2),
    SUITE,
    8202,
    NOW,
)


def hindering(facts: Facts) -> list[Condition]:
    return [item for item in conditions(facts) if item.status in (Status.MISSING, Status.WRONG)]


def of_gateway(**values: Any) -> Facts:
    return replace(DONE, gateway=replace(GATEWAY, **values))


def of_view(**values: Any) -> Facts:
    return replace(DONE, view=replace(DONE.view, **values))


def of_node(**values: Any) -> Facts:
    return replace(DONE, nodes=[replace(NODE, **values)])


def of_rule(**values: Any) -> Facts:
    return of_view(forwards=[RULE.model_copy(update=values)])


def of_server(**values: Any) -> Facts:
    return of_view(server=SERVER.model_copy(update=values))


def of_extensions(**values: Any) -> Facts:
    return replace(DONE, extensions=replace(DONE.extensions, **values))


def test_a_finished_site_has_nothing_in_the_way() -> None:
    assert hindering(DONE) == []
    assert {item.stage for item in conditions(DONE)} == set(STAGES)


def test_an_empty_site_misses_something_in_each_stage_that_can_be_known() -> None:
    view = GatewayView(problem="nobody was asked")
    empty = Facts(GatewayRecord(), view, Locations(), [], [], Extensions(), Phones(), SUITE, 8202, NOW)
    assert {item.stage for item in hindering(empty)} == {1, 3, 4, 5, 6}
    assert all(item.text for item in hindering(empty))


@pytest.mark.parametrize(
    ("facts", "stage", "status", "said"),
    [
        (of_gateway(address=""), 1, Status.MISSING, "teleworkers' phones are recognised"),
        (of_node(nat_address=""), 1, Status.MISSING, "the gateway's external IP address"),
        (of_node(nat_address="192.168.20.1"), 1, Status.WRONG, "is the gateway's internal address"),
        (replace(DONE, locations=Locations()), 1, Status.MISSING, "remote phones fetch everything from there"),
        (replace(DONE, locations=Locations("", SUITE)), 1, Status.WRONG, "is an address of the office"),
        (replace(DONE, lacking=["gw.example"]), 1, Status.WRONG, "lacks gw.example"),
        (of_view(forwards=[]), 2, Status.MISSING, "preset for 69xx phones"),
        (of_rule(ports="8200, 8203"), 2, Status.MISSING, "add it under MBG Security > Port Forwarding"),
        (of_rule(enabled=False), 2, Status.MISSING, "add it"),
        (of_rule(protocol="UDP"), 2, Status.MISSING, "add it"),
        (of_rule(host="192.168.20.99"), 2, Status.WRONG, "the rule leads to 192.168.20.99"),
        (of_rule(snat=False), 2, Status.WRONG, "has no SNAT"),
        (of_rule(in_force=False, trouble="the port is taken"), 2, Status.WRONG, "the port is taken"),
        (of_rule(ports="5000-8300"), 2, Status.WRONG, "rule 1 forwards it"),
        (of_view(icps=[]), 3, Status.MISSING, "no ICP has 192.168.20.20 as its Hostname or IP Address"),
        (of_node(software="6.3"), 4, Status.WRONG, "6.3 is too old"),
        (replace(DONE, pbxs=[replace(PBX, ct_gateway="5.0.63")]), 4, Status.WRONG, "5.0.63 is too old"),
        (of_gateway(rest_api=False), 4, Status.MISSING, "by hand"),
        (of_gateway(fingerprint=""), 4, Status.MISSING, "compare its fingerprint"),
        (of_gateway(offered_fingerprint="cd" * 32), 4, Status.WRONG, "another one than the trusted one"),
        (of_gateway(has_token=False), 4, Status.MISSING, "request one"),
        (of_gateway(has_token=False, pending=True), 4, Status.MISSING, "enter its Verifier"),
        (of_gateway(token_until=NOW + 86400 * 1.5), 4, Status.WRONG, "has 1 day left"),
        (of_gateway(token_until=NOW - 1), 4, Status.WRONG, "has expired"),
        (of_server(compatibility_level=9), 4, Status.WRONG, "level 9; expected 10 or higher"),
        (of_server(mode="server"), 4, Status.WRONG, "works in server mode"),
        (of_view(server=None, problem="it is away"), 4, Status.WRONG, "it is away"),
        (replace(DONE, pbxs=[replace(PBX, read_error="no answer")]), 5, Status.WRONG, "no answer"),
        (of_extensions(present=0), 5, Status.MISSING, "read them from the PBX"),
        (of_extensions(teleworkers=0), 5, Status.MISSING, "tick it"),
        (of_extensions(failed=1), 5, Status.WRONG, "1 could not be written"),
        (of_extensions(waiting=2), 5, Status.MISSING, "2 are waiting"),
        (replace(DONE, phones=Phones()), 6, Status.MISSING, "the configuration server 203.0.113.1, HTTPS, port 8202"),
        (replace(DONE, phones=Phones(3, 1, 2)), 6, Status.MISSING, "1 waits"),
    ],
)
def test_each_condition_is_explained(facts: Facts, stage: int, status: Status, said: str) -> None:
    (found,) = [item for item in hindering(facts) if said in item.text]
    assert (found.stage, found.status) == (stage, status)


def test_what_cannot_be_checked_is_said_to_be_so_and_hinders_nothing() -> None:
    facts = replace(
        DONE,
        view=GatewayView(SERVER, "", None, None),
        nodes=[replace(NODE, software="")],
        pbxs=[replace(PBX, connector="csv", ct_gateway="")],
        extensions=replace(DONE.extensions, obstructed=1, hot_desks=2, hot_desk_teleworkers=1),
    )
    assert hindering(facts) == []
    texts = {item.text for item in conditions(facts) if item.status in (Status.UNKNOWN, Status.NOTE)}
    for said in ("OPX/v1/forwards", "MBG/v1/icps", "its version is not known", "1 of 2 are not on the gateway"):
        assert any(said in text for text in texts), said


@pytest.mark.parametrize(
    ("text", "least", "reaches"),
    [
        ("6.3 SP1", MIN_PBX, True),
        ("6.3SP2", MIN_PBX, True),
        ("v6.3 sp 1 PR2", MIN_PBX, True),
        ("6.4", MIN_PBX, True),
        ("10.0", MIN_PBX, True),
        ("6.3", MIN_PBX, False),
        ("6.2 SP9", MIN_PBX, False),
        ("5", MIN_PBX, False),
        ("6.3.11.25", MIN_PBX, None),
        ("5.0.64", MIN_CT_GATEWAY, True),
        ("5.0.64.2", MIN_CT_GATEWAY, True),
        ("5.0.100", MIN_CT_GATEWAY, True),
        ("5.1", MIN_CT_GATEWAY, True),
        ("5.0.9", MIN_CT_GATEWAY, False),
        ("5.0", MIN_CT_GATEWAY, False),
        ("4.9.99", MIN_CT_GATEWAY, False),
    ],
)
def test_releases_are_compared_as_numbers(text: str, least: Release, reaches: bool | None) -> None:
    release = Release.parse(text)
    assert release is not None
    assert release.reaches(least) is reaches


@pytest.mark.parametrize("text", ["", "latest", "SP1", "."])
def test_what_is_no_release_is_none(text: str) -> None:
    assert Release.parse(text) is None
