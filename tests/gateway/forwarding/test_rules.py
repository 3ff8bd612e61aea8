"""Ports, rules, refusals and presets."""

import ipaddress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opx.gateway.forwarding import presets
from opx.gateway.forwarding.checking import check, refusal, warnings
from opx.gateway.forwarding.interface import Traffic, WantedRoute
from opx.gateway.forwarding.presets import Client
from opx.gateway.forwarding.reconciler import State, Wish, differences, status_of, wish
from opx.gateway.forwarding.rules import (
    Forward,
    ForwardError,
    Ports,
    Protocol,
    parse_sources,
)
from support.forwarding import SITE, spec

ADDRESS = ipaddress.IPv4Address
SUITE = ADDRESS("192.168.20.10")


def refused(ports: str, host: str = "192.168.20.10", **more: object) -> str:
    problem = refusal(spec(ports, host, **more), SITE)
    return "" if problem is None else str(problem)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("8185", "8185"),
        (" 8187 & 8186 ", "8186, 8187"),
        ("9000-9010,8185", "8185, 9000-9010"),
        ("5-9,7-12,12", "5-12"),
        ("65535", "65535"),
    ],
)
def test_ports_are_read_as_the_guide_writes_them(text: str, read: str) -> None:
    assert str(Ports.parse(text)) == read


@pytest.mark.parametrize("text", ["", "0", "65536", "8185,", "a", "9-5", "1-2-3", "-5", "١٢", "1e3", "999999"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(ForwardError, match=r"is no port|runs backwards") as caught:
        Ports.parse(text)
    assert caught.value.field == "ports"


port_sets = st.sets(st.integers(1, 65535), min_size=1, max_size=12)


@given(port_sets)
def test_ports_are_those_that_were_written_and_read_again(numbers: set[int]) -> None:
    ports = Ports.of(*numbers)
    assert set(ports.each()) == numbers
    assert len(ports) == len(numbers)
    assert Ports.parse(str(ports)) == ports


@given(port_sets, port_sets)
def test_ports_overlap_exactly_when_they_have_one_in_common(one: set[int], other: set[int]) -> None:
    overlap = Ports.of(*one).overlap(Ports.of(*other))
    assert (overlap is not None) == bool(one & other)
    if overlap is not None:
        assert overlap.first in one & other


def test_sources_are_networks_and_join_where_they_overlap() -> None:
    assert [str(network) for network in parse_sources("10.0.0.0/9 10.128.0.0/9, 192.0.2.7")] == [
        "10.0.0.0/8",
        "192.0.2.7/32",
    ]
    assert parse_sources("  ") == ()
    for wrong in ("10.0.0.1/8", "::1", "example.com"):
        with pytest.raises(ForwardError, match="is no network"):
            parse_sources(wrong)
    with pytest.raises(ForwardError, match="too many"):
        parse_sources(" ".join(f"10.{number}.0.0/16" for number in range(200)))


@pytest.mark.parametrize("ports", ["5060", "5061", "5080", "5000-5070", "8185, 5061"])
@pytest.mark.parametrize("protocol", list(Protocol))
@pytest.mark.parametrize("forced", [False, True])
def test_signalling_is_never_forwarded(ports: str, protocol: Protocol, forced: bool) -> None:
    assert "SIP signalling" in refused(ports, protocol=protocol, forced=forced)


@pytest.mark.parametrize("host", ["203.0.113.10", "192.168.20.1", "127.0.0.1"])
def test_the_gateway_itself_is_no_destination(host: str) -> None:
    assert "is the gateway itself" in refused("8185", host, forced=True)


@pytest.mark.parametrize("host", ["224.0.1.75", "255.255.255.255", "0.0.0.0", "192.168.20.0", "192.168.20.255"])
def test_what_is_no_host_is_no_destination(host: str) -> None:
    assert refused("8185", host, forced=True)


def test_on_a_loopback_site_other_loopback_addresses_are_hosts() -> None:
    site = replace(
        SITE,
        outside=ADDRESS("127.0.10.1"),
        inside=ADDRESS("127.0.20.1"),
        inside_network=ipaddress.IPv4Network("127.0.20.0/24"),
    )
    assert refusal(spec("8185", "127.0.20.10"), site) is None
    assert refusal(spec("8185", "127.0.20.1"), site) is not None


def test_the_gateways_own_ports_are_refused_for_the_protocol_that_has_them() -> None:
    assert "voice" in refused("25000", protocol=Protocol.UDP)
    assert refused("25000") == ""
    assert "its console" in refused("8000-9000")
    assert refused("8443", protocol=Protocol.UDP) == ""


@pytest.mark.parametrize("port", [69, 389, 514, 636, 8203, 8205])
@pytest.mark.parametrize("protocol", list(Protocol))
def test_what_the_guide_keeps_closed_is_refused_alone_in_a_range_and_at_the_host_unless_forced(
    port: int, protocol: Protocol
) -> None:
    for ports, host_port in ((str(port), None), (f"{port - 1}-{port + 1}", None), ("9000", port)):
        assert "keeps closed" in refused(ports, protocol=protocol, host_port=host_port)
        assert refused(ports, protocol=protocol, host_port=host_port, forced=True) == ""
        assert "keeps closed" in warnings(spec(ports, host_port=host_port, forced=True), SITE)[-1]


def test_rules_do_not_overlap_while_they_are_switched_on() -> None:
    others = [Forward(1, 1, spec("8185-8190"))]
    with pytest.raises(ForwardError, match="TCP 8188-8190 is forwarded by rule 1 already"):
        check(spec("8188-8200"), SITE, others)
    check(spec("8188", protocol=Protocol.UDP), SITE, others)
    check(spec("8188", enabled=False), SITE, others)
    check(spec("8188"), SITE, others, own_id=1)
    check(spec("8188"), SITE, [Forward(1, 1, spec("8185-8190", enabled=False))])


def test_no_snat_and_a_host_elsewhere_are_warned_of() -> None:
    assert warnings(spec("8185"), SITE) == []
    (text,) = warnings(spec("8185", snat=False), SITE)
    assert "does not know teleworkers" in text
    (text,) = warnings(spec("8185", "10.9.9.9"), SITE)
    assert "not in the gateway's inside network" in text


@pytest.mark.parametrize("description", ["x" * 256, "two\nlines", "bell\a"])
def test_a_description_is_one_line(description: str) -> None:
    with pytest.raises(ForwardError):
        spec("8185", description=description)


def test_the_preset_has_exactly_the_guides_rules() -> None:
    made = presets.rules(SUITE, set(Client))
    assert [str(rule.ports) for rule in made] == ["8186, 8187", "8188", "2001", "8200, 8204", "8185", "8190", "8202"]
    assert all(rule.snat and rule.protocol is Protocol.TCP and rule.host == SUITE for rule in made)
    assert all(rule.host_port is None and rule.enabled and not rule.forced for rule in made)
    for rule in made:
        check(rule, SITE, [])


@pytest.mark.parametrize(
    ("client", "ports"),
    [
        (Client.DESKTOP, ["8186, 8187", "2001"]),
        (Client.INTEGRATION, ["8188"]),
        (Client.WALLBOARD, ["8200, 8204"]),
        (Client.MOBILE, ["8185"]),
        (Client.MOBILE_SOFTPHONE, ["8190"]),
        (Client.HANDSETS, ["8202"]),
    ],
)
def test_the_preset_opens_nothing_for_clients_that_were_not_chosen(client: Client, ports: list[str]) -> None:
    assert [str(rule.ports) for rule in presets.rules(SUITE, {client})] == ports
    assert client.label


# --- wanted and in force


def test_a_rule_that_the_settings_forbid_by_now_is_not_asked_for() -> None:
    good, bad, off = Forward(1, 1, spec("8185")), Forward(2, 1, spec("5080")), Forward(3, 1, spec("9", enabled=False))
    wanted = wish([good, bad, off], SITE)
    assert wanted.routes == (WantedRoute(1, good.spec.route),)
    assert list(wanted.refused) == [2]


def test_differences_name_what_is_missing_changed_and_left_over() -> None:
    one, two, three = spec("1").route, spec("2").route, spec("3").route
    wanted = Wish((WantedRoute(1, one), WantedRoute(2, two), WantedRoute(4, three)), {})
    found = differences(wanted, {4: "in use"}, {2: one, 3: three})
    assert found == [
        "rule 1 is not in force any more",
        "rule 2 is in force in another form",
        "rule 3 is in force and not wanted",
    ]
    assert differences(wanted, {4: "in use"}, {1: one, 2: two}) == []


def test_the_state_of_a_rule_says_why() -> None:
    rule = Forward(1, 1, spec("8185"))
    in_force = {1: rule.spec.route}

    def state(known: Forward, **more: dict[int, object]) -> tuple[State, str]:
        given = {"problems": {}, "in_force": in_force, "hindrances": {}, "traffic": {}, **more}
        status = status_of(known, SITE, **given)  # type: ignore[arg-type]
        return status.state, status.why

    assert state(rule) == (State.IN_FORCE, "")
    assert state(rule, hindrances={1: "a rule drops it"}) == (State.HINDERED, "a rule drops it")
    assert state(rule, in_force={}, problems={1: "port in use"}) == (State.NOT_IN_FORCE, "port in use")
    assert state(Forward(1, 1, rule.enabled(False)))[0] is State.OFF
    assert state(Forward(1, 2, spec("8186")))[0] is State.NOT_IN_FORCE


def test_traffic_of_several_workers_adds_up() -> None:
    assert Traffic(1, 1, 10, 20, 1) + Traffic(2, 0, 1, 2, 0) == Traffic(3, 1, 11, 22, 1)
    assert (Traffic(1, None) + Traffic(1, 1)).open is None
