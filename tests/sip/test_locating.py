"""Choosing among the servers of a name (RFC 3263, RFC 2782)."""

from collections import Counter

import pytest

from opx.sip.flow import Destination
from opx.sip.locating import Candidate, SrvRecord, from_addresses, from_srv, in_order, srv_name


def candidate(host: str, priority: int = 0, weight: int = 0) -> Candidate:
    return Candidate(Destination("UDP", host, 5060), priority, weight)


@pytest.mark.parametrize(("transport", "name"), [("UDP", "_sip._udp.pbx.example"), ("TCP", "_sip._tcp.pbx.example")])
def test_srv_records_stand_under_the_transport(transport: str, name: str) -> None:
    assert srv_name("pbx.example", transport) == name


def test_srv_records_become_servers_with_their_ports_one_for_each_address() -> None:
    records = [SrvRecord(1, 10, 5070, "one."), SrvRecord(2, 0, 5060, "two."), SrvRecord(3, 0, 5060, "gone.")]
    assert from_srv("TCP", records, {"one.": ["192.0.2.1", "192.0.2.2"], "two.": ["192.0.2.3"]}) == (
        Candidate(Destination("TCP", "192.0.2.1", 5070), 1, 10),
        Candidate(Destination("TCP", "192.0.2.2", 5070), 1, 10),
        Candidate(Destination("TCP", "192.0.2.3", 5060), 2, 0),
    )


def test_a_dot_says_that_there_is_no_server() -> None:
    assert from_srv("UDP", [SrvRecord(0, 0, 5060, ".")], {".": ["192.0.2.1"]}) == ()


@pytest.mark.parametrize(("port", "used"), [(None, 5060), (5080, 5080)])
def test_addresses_alone_have_the_port_that_was_given_or_the_usual_one(port: int | None, used: int) -> None:
    assert from_addresses("UDP", port, ["192.0.2.1"]) == (Candidate(Destination("UDP", "192.0.2.1", used)),)


def test_lower_priorities_come_first_whatever_their_weights() -> None:
    servers = [candidate("192.0.2.3", 20, 65535), candidate("192.0.2.1", 5, 1), candidate("192.0.2.2", 10, 0)]
    for key in range(50):
        assert [each.priority for each in in_order(servers, key)] == [5, 10, 20]


def firsts(servers: list[Candidate], keys: int = 4000) -> Counter[str]:
    return Counter(in_order(servers, key)[0].destination.host for key in range(keys))


def test_clients_are_shared_out_as_the_weights_say() -> None:
    first = firsts([candidate("192.0.2.1", 0, 60), candidate("192.0.2.2", 0, 30), candidate("192.0.2.3", 0, 10)])
    assert first["192.0.2.1"] == pytest.approx(2400, abs=150)
    assert first["192.0.2.2"] == pytest.approx(1200, abs=150)
    assert first["192.0.2.3"] == pytest.approx(400, abs=100)


def test_without_weights_they_are_shared_out_evenly() -> None:
    first = firsts([candidate(f"192.0.2.{number}") for number in range(1, 5)])
    assert all(count == pytest.approx(1000, abs=150) for count in first.values())


def test_a_weight_of_nothing_beside_others_is_hardly_ever_chosen() -> None:
    first = firsts([candidate("192.0.2.1", 0, 1), candidate("192.0.2.2", 0, 0)])
    assert 0 < first["192.0.2.2"] < 120


def test_a_client_comes_back_to_its_server_and_one_that_is_gone_moves_only_its_own() -> None:
    servers = [candidate(f"192.0.2.{number}", 0, 10) for number in range(1, 6)]
    for key in range(200):
        order = in_order(servers, key)
        assert in_order(reversed(servers), key) == order
        left = [each for each in servers if each is not servers[0]]
        assert in_order(left, key) == [each for each in order if each is not servers[0]]
