"""Several ICPs side by side: each device on its own, even when both have the same extension numbers."""

from opx.gateway.repository import IcpRecord
from opx.sip import events
from opx.sip.message import Request
from opx.sip.registration import RegistrationState
from support.nodes import OTHER, TwoIcps
from support.site import INSIDE, FakeIcp, description, device


def both_registered() -> TwoIcps:
    site = TwoIcps()
    site.one, site.two = site.phone(1), site.phone(2, port=40002)  # type: ignore[attr-defined]
    for phone in (site.one, site.two):  # type: ignore[attr-defined]
        phone.register()
        assert phone.registration.registered
    return site


def test_each_device_is_registered_at_its_own_icp_with_its_own_credentials() -> None:
    site = both_registered()
    assert site.icp.contacts == {"1001": f"sip:1001@{INSIDE}:5060;opx=1"}
    assert site.second.contacts == {"1001": f"sip:1001@{INSIDE}:5060;opx=2"}
    for icp in (site.icp, site.second):
        names = [c.message.from_.uri for c in site.wire.log if c.target == icp.address and c.what == "REGISTER"]
        assert {(uri.user, uri.host) for uri in names} == {("1001", icp.address[0])}


def test_calls_of_each_device_go_to_its_own_icp() -> None:
    site = both_registered()
    for number, icp, other in ((1, site.icp, site.second), (2, site.second, site.icp)):
        phone = site.one if number == 1 else site.two  # type: ignore[attr-defined]
        before = len(other.sessions)
        phone.call("1002")
        assert icp.sessions[-1].asked
        assert len(other.sessions) == before
        icp.sessions[-1].accept(description("10.9.8.101", 6100))
        site.wire.deliver()
        assert isinstance(phone.events[-1], events.Answered)


def test_the_same_extension_is_another_phone_at_each_icp() -> None:
    site = both_registered()
    site.icp.call("1001")
    assert len(site.one.sessions) == 1  # type: ignore[attr-defined]
    assert site.two.sessions == []  # type: ignore[attr-defined]
    site.second.call("1001")
    assert len(site.two.sessions) == 1  # type: ignore[attr-defined]
    assert len(site.one.sessions) == 1  # type: ignore[attr-defined]


def test_an_icp_that_names_a_device_of_another_one_does_not_reach_it() -> None:
    site = both_registered()
    site.icp.contacts["1001"] = f"sip:1001@{INSIDE}:5060;opx=2"
    site.icp.call("1001")
    assert site.two.sessions == []  # type: ignore[attr-defined]
    assert len(site.one.sessions) == 1, "1001 is its own extension, too"  # type: ignore[attr-defined]
    site.icp.contacts["1001"] = f"sip:4711@{INSIDE}:5060;opx=2"
    site.icp.call("1001")
    assert site.icp.events[-1] == events.Refused(404)
    assert site.two.sessions == []  # type: ignore[attr-defined]


def test_two_icps_on_one_machine_are_told_apart_by_their_ports() -> None:
    site = TwoIcps()
    site.second = FakeIcp(site, (site.icp.address[0], 5070), name="second")
    site.second.passwords = {"1001": "second-1"}
    site.icp_records[1] = IcpRecord(2, "Node 2", "MiVoice Office 250", site.icp.address[0], 5070, "UDP")
    site.load()
    one, two = site.phone(1), site.phone(2, port=40002)
    for phone in (one, two):
        phone.register()
        assert phone.registration.registered
    site.second.contacts["1001"] = f"sip:1001@{INSIDE}:5060;opx=1"
    site.second.call("1001")
    assert one.sessions == []
    assert len(two.sessions) == 1


def test_an_icp_that_is_down_takes_only_its_own_devices_along() -> None:
    site = both_registered()
    site.second.die()
    site.wire.advance(30)
    site.one.call("1002")  # type: ignore[attr-defined]
    site.two.call("1002")  # type: ignore[attr-defined]
    assert site.icp.sessions[-1].asked
    assert site.two.events[-1] == events.Refused(503, retry_after=30)  # type: ignore[attr-defined]
    assert site.texts().count("ICP Node 2 is down: no answer to OPTIONS") == 1
    assert not any("ICP Node 1 is down" in text for text in site.texts())


def test_credentials_that_one_icp_refuses_are_not_tried_at_the_other() -> None:
    site = TwoIcps()
    site.second.refuse_credentials = True
    site.second.passwords = {}
    phone = site.phone(2, port=40002)
    phone.register()
    assert phone.last.state is RegistrationState.UNREACHABLE
    assert phone.last.status == 503
    sent = [c for c in site.wire.log if c.what == "REGISTER" and c.target == site.icp.address]
    assert sent == []


def test_a_device_that_changes_its_icp_is_registered_at_the_new_one_only() -> None:
    site = both_registered()
    site.icp.passwords = {"1009": "icp-9"}
    site.devices[1] = device(2, icp_id=1, icp_username="1009", icp_password="icp-9", revision=2)
    site.load()
    site.wire.advance(1)
    assert site.second.contacts == {}
    site.two.register()  # type: ignore[attr-defined]
    assert set(site.icp.contacts) == {"1001", "1009"}


def test_no_icp_hears_of_the_other_ones_address() -> None:
    site = both_registered()
    for icp, other in ((site.icp, OTHER), (site.second, site.icp.address[0])):
        sent = [c.message for c in site.wire.log if c.target == icp.address and isinstance(c.message, Request)]
        assert sent
        assert not [message for message in sent if other in message.encode().decode()]
