"""Registration through the gateway, as tables of what goes over the wire."""

import pytest

from opx.gateway.signalling.keepalive import KeepAlivePolicy
from opx.gateway.signalling.registrar import RegistrarPolicy
from opx.gateway.signalling.signalling import SignallingPolicy
from opx.sip.registration import RegistrationPolicy, RegistrationState
from support.site import FakeIcp, Site, device

FIRST = """
    phone1 -> gateway: REGISTER
    gateway -> phone1: 401
    phone1 -> gateway: REGISTER
    gateway -> icp: REGISTER
    icp -> gateway: 401
    gateway -> icp: REGISTER
    icp -> gateway: 200
    gateway -> phone1: 200
"""


def test_the_first_register_waits_for_the_icp() -> None:
    site = Site()
    phone = site.phone(1)
    phone.register()
    site.wire.expect(FIRST)
    assert phone.last.state is RegistrationState.REGISTERED
    assert phone.last.expires == 300
    assert site.icp.contacts == {"1001": "sip:1001@10.9.8.1:5060;opx=1"}
    assert "registered from 203.0.113.7:40001 over UDP" in site.texts()


def test_a_refresh_of_the_set_is_not_passed_on() -> None:
    site = Site()
    phone = site.phone(1)
    phone.register()
    site.wire.expect(FIRST)
    phone.register()
    site.wire.expect("""
        phone1 -> gateway: REGISTER
        gateway -> phone1: 200
    """)


def test_sets_register_often_and_the_icp_hears_of_it_seldom() -> None:
    site = Site()
    site.phone(1).register()
    site.wire.advance(3500)
    from_phone = [c for c in site.wire.log if c.what == "REGISTER" and c.source[0] == "203.0.113.7"]
    assert len(from_phone) > 10
    assert len(site.icp.registers) == 2


@pytest.mark.parametrize("lost", range(8))
def test_any_one_lost_datagram_is_made_good(lost: int) -> None:
    site = Site()
    before = len(site.wire.log)
    site.wire.lose = lambda carried: site.wire.log.index(carried) == before + lost
    phone = site.phone(1)
    phone.register()
    site.wire.advance(10)
    assert phone.registration.registered
    assert len(site.icp.contacts) == 1


def test_doubled_datagrams_change_nothing() -> None:
    site = Site()
    site.wire.double = True
    phone = site.phone(1)
    phone.register()
    site.wire.advance(5)
    assert phone.registration.registered
    assert len(site.icp.registers) == 1
    assert len(site.signalling.registrar.bindings) == 1


def test_unknown_user_wrong_password_and_disabled_device_look_the_same() -> None:
    answers = []
    for number, password, enabled in ((9, "set-9", True), (1, "wrong", True), (1, "set-1", False)):
        site = Site()
        if not enabled:
            site.devices[0] = device(1, enabled=False)
            site.load()
        phone = site.phone(number, password=password)
        phone.register()
        site.wire.expect(f"""
            phone{number} -> gateway: REGISTER
            gateway -> phone{number}: 401
            phone{number} -> gateway: REGISTER
            gateway -> phone{number}: 401
        """)
        last = site.wire.log[-1].message
        shape = [
            (name, "" if name in ("via", "to", "from", "call-id", "cseq") else value[:22])
            for name, value in last.items()
        ]
        answers.append(shape)
        assert site.icp.registers == []
    assert answers[0] == answers[1] == answers[2]


def test_a_refusal_is_explained_on_the_timeline() -> None:
    site = Site()
    site.phone(1, password="wrong").register()
    site.phone(9).register()
    assert "REGISTER from 203.0.113.7:40001 refused: wrong password" in site.texts()
    assert "REGISTER from 203.0.113.7:40001: unknown user name" in site.texts()


def test_refused_icp_credentials_give_the_set_503_and_never_401_or_403() -> None:
    site = Site()
    site.icp.refuse_credentials = True
    phone = site.phone(1)
    phone.register()
    site.wire.expect("""
        phone1 -> gateway: REGISTER
        gateway -> phone1: 401
        phone1 -> gateway: REGISTER
        gateway -> icp: REGISTER
        icp -> gateway: 401
        gateway -> icp: REGISTER
        icp -> gateway: 401
        gateway -> phone1: 503
    """)
    assert site.wire.log[-1].message.get("retry-after")
    assert phone.last.status == 503
    assert any("refused the ICP-side credentials (401)" in text for text in site.texts())


def test_refused_icp_credentials_are_not_tried_again_with_every_register_of_the_set() -> None:
    site = Site()
    site.icp.refuse_credentials = True
    phone = site.phone(1)
    phone.register()
    phone.register()
    site.wire.advance(60)
    tries = [c for c in site.wire.log if c.what == "REGISTER" and c.target == (site.icp.address)]
    assert len(tries) == 2


def test_new_icp_credentials_are_tried_at_once() -> None:
    site = Site()
    site.icp.refuse_credentials = True
    phone = site.phone(1)
    phone.register()
    site.icp.refuse_credentials = False
    site.devices[0] = device(1, revision=2)
    site.load()
    phone.register()
    assert phone.registration.registered


def test_a_shorter_expiry_of_the_icp_is_obeyed() -> None:
    site = Site()
    site.icp.granted = 120
    site.phone(1).register()
    site.wire.advance(600)
    assert 5 <= len(site.icp.registers) <= 8


def test_423_of_the_icp_is_obeyed() -> None:
    site = Site()
    site.icp.min_expires = 7200
    phone = site.phone(1)
    phone.register()
    assert phone.registration.registered
    assert [register.expires for register in site.icp.registers] == [3600, 7200]


def test_a_set_that_asks_for_too_little_gets_423() -> None:
    site = Site()
    phone = site.phone(1)
    phone.registration._asked = 10
    phone.register()
    assert phone.registration.registered
    assert [c.what for c in site.wire.log if c.target[0] == "203.0.113.7"].count("423") == 1
    assert phone.last.expires == 60


def test_a_set_that_lapsed_is_deregistered_at_the_icp() -> None:
    site = Site()
    phone = site.phone(1)
    phone.register()
    phone.registration.forget()
    site.wire.advance(301)
    assert site.icp.contacts == {}
    assert site.icp.registers[-1].expires == 0
    assert any("its registration was not refreshed" in text for text in site.texts())
    assert site.store.kept == {}


def test_a_set_that_signs_off_is_deregistered_at_the_icp() -> None:
    site = Site()
    phone = site.phone(1)
    phone.register()
    phone.registration.stop()
    site.wire.advance(1)
    assert site.icp.contacts == {}


def test_a_set_that_moved_needs_no_refresh_at_the_icp() -> None:
    site = Site()
    site.phone(1).register()
    site.phone(1, host="198.18.0.9").register()
    assert len(site.icp.registers) == 1
    binding = site.signalling.registrar.bindings.of(1)
    assert [b.flow.remote[0] for b in binding] == ["198.18.0.9"]
    assert "moved to 198.18.0.9:40001" in site.texts()


def test_two_phones_behind_one_address_are_told_apart() -> None:
    site = Site()
    one, two = site.phone(1, port=40001), site.phone(2, port=40002)
    one.register()
    two.register()
    assert one.registration.registered and two.registration.registered
    assert len(site.signalling.registrar.bindings) == 2


def test_the_newest_registration_replaces_the_one_before() -> None:
    site = Site()
    site.phone(1).register()
    other = site.phone(1, host="198.18.0.9")
    other.registration.contact = "sip:tw1@192.168.77.7:5062"
    other.register()
    assert [b.contact for b in site.signalling.registrar.bindings.of(1)] == ["sip:tw1@192.168.77.7:5062"]


def test_several_contacts_per_device_are_a_setting() -> None:
    site = Site(SignallingPolicy(contacts_per_device=2))
    site.phone(1).register()
    other = site.phone(1, host="198.18.0.9")
    other.registration.contact = "sip:tw1@192.168.77.7:5062"
    other.register()
    assert len(site.signalling.registrar.bindings.of(1)) == 2


def test_options_keep_the_way_to_a_set_open_every_20_seconds() -> None:
    site = Site()
    site.phone(1).register()
    site.wire.advance(100)
    sent = [c for c in site.wire.log if c.what == "OPTIONS" and c.target == ("203.0.113.7", 40001)]
    assert 4 <= len(sent) <= 6


def test_crlf_keep_alive_is_a_setting() -> None:
    site = Site(SignallingPolicy(keep_alive=KeepAlivePolicy(kind="CRLF")))
    site.phone(1).register()
    site.wire.advance(100)
    assert not [c for c in site.wire.log if c.what == "OPTIONS" and c.target == ("203.0.113.7", 40001)]


def test_a_set_that_nothing_is_heard_of_is_out_of_service() -> None:
    policy = SignallingPolicy(registrar=RegistrarPolicy(max_expires=3000), icp_registration=RegistrationPolicy(7200))
    site = Site(policy)
    phone = site.phone(1)
    phone.registration._asked = 3000
    phone.register()
    phone.registration.forget()
    del site.wire.agents["203.0.113.7", 40001]
    site.wire.advance(360)
    assert site.signalling.registrar.bindings.of(1) == []
    assert any("nothing was heard of it for too long" in text for text in site.texts())


def test_a_licence_belongs_to_a_registered_device_and_one_too_many_is_refused() -> None:
    site = Site(SignallingPolicy(licences=1))
    one, two = site.phone(1), site.phone(2, port=40002)
    one.register()
    two.register()
    assert two.last.status == 503
    assert "registration refused: all 1 teleworker licences are in use" in site.texts()
    for _ in range(3):
        one.register()
        assert one.registration.registered
    one.registration.stop()
    site.wire.advance(1)
    two.register()
    assert two.registration.registered


def test_an_icp_that_is_down_gives_503_with_retry_after_and_recovers_by_itself() -> None:
    site = Site()
    del site.wire.agents[site.icp.address]
    site.wire.advance(30)
    phone = site.phone(1)
    phone.register()
    assert phone.last.status == 503
    assert phone.last.retry_in >= 22
    site.icp = FakeIcp(site)
    site.wire.advance(60)
    assert phone.registration.registered


def test_a_restarted_icp_gets_its_registrations_again_with_the_load_spread() -> None:
    site = Site(SignallingPolicy(icp_spread=1.0), devices=5)
    phones = [site.phone(number, port=40000 + number) for number in range(1, 6)]
    for phone in phones:
        phone.register()
    del site.wire.agents[site.icp.address]
    site.wire.advance(30)
    site.icp = FakeIcp(site)
    site.wire.advance(12)
    # One a second from when it was found to be back.
    assert 1 <= len(site.icp.contacts) <= 5
    site.wire.advance(10)
    assert len(site.icp.contacts) == 5
    times = [round(e.at) for e in site.entries if "answers again" in e.text]
    assert len(times) == 1


def test_a_removed_device_is_dropped_everywhere() -> None:
    site = Site()
    site.phone(1).register()
    site.devices = site.devices[1:]
    site.load()
    site.wire.advance(1)
    assert site.icp.contacts == {}
    assert len(site.signalling.registrar.bindings) == 0
