"""What becomes of an ICP's redirections and refusals: which are followed, and what a set is told."""

import pytest

from opx.gateway.signalling.calls import CallPolicy
from opx.gateway.signalling.icp_call import IcpCallPolicy
from opx.gateway.signalling.nodes import ProbePolicy
from opx.gateway.signalling.signalling import SignallingPolicy
from opx.sip import events
from opx.sip.message import Request
from opx.sip.transactions import ServerTransaction
from support.nodes import OTHER, TwoNodes
from support.site import ICP, FakeIcp, Phone, Site, description


def registered(policy: SignallingPolicy | None = None) -> tuple[Site, Phone]:
    site = Site(policy)
    phone = site.phone(1)
    phone.register()
    site.wire._told = len(site.wire.log)
    return site, phone


class Redirecting(FakeIcp):
    """Sends those who call a number of `forwards` to the addresses that stand there."""

    forwards: dict[str, tuple[str, ...]]
    status = 302

    def _on_request(self, transaction: ServerTransaction) -> None:
        contacts = self.forwards.get(transaction.request.target.user or "")
        if transaction.method == "INVITE" and contacts:
            self.says["INVITE"] = (self.status, tuple(("contact", contact) for contact in contacts))
            self._say(transaction)
            del self.says["INVITE"]
        else:
            super()._on_request(transaction)


def redirecting(
    forwards: dict[str, tuple[str, ...]], status: int = 302, policy: SignallingPolicy | None = None
) -> tuple[Site, Phone, Redirecting]:
    site, phone = registered(policy)
    icp = Redirecting(site)
    icp.forwards, icp.status = forwards, status
    site.icp = icp
    return site, phone, icp


def called(site: Site) -> list[str]:
    """Whom the gateway called at the ICP, without the repetitions that answer a challenge."""
    seen: list[tuple[str, str]] = []
    for carried in site.wire.log:
        if carried.what == "INVITE" and carried.target == site.icp.address and isinstance(carried.message, Request):
            key = (carried.message.call_id, carried.message.uri)
            if key not in seen:
                seen.append(key)
    return [uri for _, uri in seen]


@pytest.mark.parametrize("status", [300, 301, 302])
def test_a_redirection_is_followed_at_the_own_icp(status: int) -> None:
    site, phone, icp = redirecting({"1002": (f"<sip:1003@{ICP}>",)}, status)
    phone.call("1002")
    site.wire.expect(f"""
        phone1 -> gateway: INVITE sdp
        gateway -> phone1: 407
        phone1 -> gateway: ACK
        phone1 -> gateway: INVITE sdp
        gateway -> phone1: 100
        gateway -> icp: INVITE sdp
        icp -> gateway: {status}
        gateway -> icp: ACK
        gateway -> icp: INVITE sdp
        icp -> gateway: 407
        gateway -> icp: ACK
        gateway -> icp: INVITE sdp
        icp -> gateway: 100
        icp -> gateway: 180
        gateway -> phone1: 180
    """)
    assert f"call to 1002: redirected to 1003 ({status})" in site.texts()
    icp.sessions[0].accept(description("10.9.8.101", 6100))
    site.wire.deliver()
    assert isinstance(phone.events[-1], events.Answered)
    phone.sessions[0].hang_up()
    site.wire.advance(40)
    assert len(site.signalling.calls) == site.signalling.icp_agent.dialogs == 0


@pytest.mark.parametrize("lost", range(20))
def test_any_one_lost_datagram_of_a_redirected_call_is_made_good(lost: int) -> None:
    site, phone, icp = redirecting({"1002": (f"<sip:1003@{ICP}>",)})
    before = len(site.wire.log)
    site.wire.lose = lambda carried: any(carried is c for c in site.wire.log[before + lost : before + lost + 1])
    phone.call("1002")
    site.wire.advance(5)
    icp.sessions[-1].accept(description("10.9.8.101", 6100))
    site.wire.advance(5)
    assert [e for e in phone.events if isinstance(e, events.Answered)]
    phone.sessions[0].hang_up()
    site.wire.advance(40)
    assert len(site.signalling.calls) == 0


@pytest.mark.parametrize("target", ["<sip:1003@carrier.example;transport=tls>", "<tel:1003>", "sip:1003@198.18.0.66"])
def test_a_redirection_to_a_foreign_host_goes_no_further_than_the_own_icp(target: str) -> None:
    site, phone, _ = redirecting({"1002": (target,)})
    stranger = FakeIcp(site, ("198.18.0.66", 5060), name="stranger")
    phone.call("1002")
    assert called(site) == [f"sip:1002@{ICP}", f"sip:1003@{ICP}"]
    assert stranger.node.requests == []


@pytest.mark.parametrize(
    "target", ["<mailto:boss@example.com>", "<sip:pbx.example>", "nonsense", f"<sip:{'9' * 129}@x>"]
)
def test_a_redirection_that_names_no_number_is_a_refusal(target: str) -> None:
    site, phone, _ = redirecting({"1002": (target,)})
    phone.call("1002")
    assert phone.events[-1] == events.Refused(480)
    assert called(site) == [f"sip:1002@{ICP}"]


@pytest.mark.parametrize("status", [305, 380])
def test_redirections_to_a_proxy_or_another_service_are_not_followed(status: int) -> None:
    _, phone, _ = redirecting({"1002": (f"<sip:1003@{ICP}>",)}, status)
    phone.call("1002")
    assert phone.events[-1] == events.Refused(480)


def test_redirections_that_go_in_a_circle_end() -> None:
    site, phone, _ = redirecting({"1002": (f"<sip:1003@{ICP}>",), "1003": (f"<sip:1002@{ICP}>",)})
    phone.call("1002")
    assert phone.events[-1] == events.Refused(480)
    assert called(site) == [f"sip:1002@{ICP}", f"sip:1003@{ICP}"]


def test_redirections_are_followed_only_so_often() -> None:
    site, phone, _ = redirecting({str(number): (f"<sip:{number + 1}@{ICP}>",) for number in range(1002, 1012)})
    phone.call("1002")
    assert phone.events[-1] == events.Refused(480)
    assert called(site) == [f"sip:{number}@{ICP}" for number in (1002, 1003, 1004, 1005)]


def test_following_redirections_can_be_turned_off() -> None:
    policy = SignallingPolicy(calls=CallPolicy(icp=IcpCallPolicy(max_redirects=0)))
    site, phone, _ = redirecting({"1002": (f"<sip:1003@{ICP}>",)}, policy=policy)
    phone.call("1002")
    assert phone.events[-1] == events.Refused(480)
    assert called(site) == [f"sip:1002@{ICP}"]


def test_several_targets_are_tried_by_their_q_until_one_takes_the_call() -> None:
    site, phone, icp = redirecting(
        {"1002": (f"<sip:1003@{ICP}>;q=0.2", f"<sip:1004@{ICP}>;q=0.9", f"<sip:1005@{ICP}>;q=0.5")}, 300
    )
    phone.call("1002")
    assert called(site) == [f"sip:1002@{ICP}", f"sip:1004@{ICP}"]
    icp.sessions[-1].reject(486)
    site.wire.deliver()
    assert called(site)[-1] == f"sip:1005@{ICP}"
    icp.sessions[-1].reject(603)
    site.wire.deliver()
    assert phone.events[-1] == events.Refused(603), "6xx is for all of them"


def test_a_call_that_rings_may_be_forwarded_but_not_one_with_early_media() -> None:
    for speaks in (False, True):
        site, phone = registered()
        phone.call("1002")
        leg = site.icp.sessions[0]
        if speaks:
            leg.progress(183, description("10.9.8.101", 6100))
            site.wire.deliver()
        invite = [transaction for transaction in site.icp.node.requests if transaction.method == "INVITE"][-1]
        assert leg.dialog is not None
        redirect = invite.request.reply(302, to_tag=leg.dialog.local_tag)
        redirect.add("contact", f"<sip:1003@{ICP}>")
        invite.respond(redirect)
        site.wire.deliver()
        assert called(site) == [f"sip:1002@{ICP}"] + ([] if speaks else [f"sip:1003@{ICP}"])
        assert (phone.events[-1] == events.Refused(480)) is speaks


def test_a_caller_who_gives_up_is_not_redirected() -> None:
    site, phone, _ = redirecting({"1002": (f"<sip:1003@{ICP}>",)})
    site.wire.lose = lambda carried: carried.what == "302"
    phone.call("1002")
    phone.sessions[0].hang_up()
    site.wire.lose = lambda carried: False
    site.wire.advance(40)
    assert called(site) == [f"sip:1002@{ICP}"]
    assert len(site.signalling.calls) == 0


def test_a_redirection_to_another_node_of_the_pbx_goes_there() -> None:
    site = TwoNodes()
    phone = site.phone(1)
    phone.register()
    site.icp.says["INVITE"] = (302, (("contact", f"<sip:1002@{OTHER}>"),))
    site.other.says["INVITE"] = (302, (("contact", f"<sip:1002@{ICP}>"),))
    phone.call("1002")
    assert len(site.sent("INVITE", site.icp)) == len(site.sent("INVITE", site.other)) == 1
    assert phone.events[-1] == events.Refused(480)


# --- what a set is told

PASSED_ON = (400, 403, 404, 408, 410, 480, 484, 486, 487, 488, 500, 501, 502, 504, 513, 600, 603, 604, 606)


@pytest.mark.parametrize("status", PASSED_ON)
def test_a_refusal_is_passed_on_as_it_is(status: int) -> None:
    site, phone = registered()
    site.icp.says["INVITE"] = (status, ())
    phone.call("1002")
    assert phone.events[-1] == events.Refused(status)


@pytest.mark.parametrize("status", [406, 415, 417, 420, 421, 423, 439, 440, 469, 494])
def test_a_refusal_of_what_the_gateway_itself_asked_is_a_bad_gateway(status: int) -> None:
    site, phone = registered()
    site.icp.says["INVITE"] = (status, ())
    phone.call("1002")
    assert phone.events[-1] == events.Refused(502)


def test_503_is_passed_on_only_with_its_time() -> None:
    site, phone = registered()
    site.icp.says["INVITE"] = (503, ())
    phone.call("1002")
    assert phone.events[-1] == events.Refused(500)
    site.icp.says["INVITE"] = (503, (("retry-after", "17"),))
    phone.call("1002")
    assert phone.events[-1] == events.Refused(503, retry_after=17)
    phone.call("1003")
    refused = phone.events[-1]
    assert isinstance(refused, events.Refused) and refused.status == 503
    assert refused.retry_after in (16, 17), "the ICP is not bothered with it"


@pytest.mark.parametrize("status", [401, 407])
def test_refused_icp_credentials_are_none_of_the_sets_business(status: int) -> None:
    site, phone = registered()
    site.icp.says["INVITE"] = (status, ())
    phone.call("1002")
    assert phone.events[-1] == events.Refused(503, retry_after=30)


@pytest.mark.parametrize("status", [404, 413, 480, 486, 500, 600, 603])
def test_a_retry_after_is_passed_on_within_its_bound(status: int) -> None:
    site, phone = registered(SignallingPolicy(probe=ProbePolicy(max_retry_after=600)))
    for given, told in ((120, 120), (999999, 600)):
        site.icp.says["INVITE"] = (status, (("retry-after", str(given)),))
        phone.call("1002")
        assert phone.events[-1] == events.Refused(status, retry_after=told)


@pytest.mark.parametrize("status", [403, 488, 502, 604])
def test_a_retry_after_that_goes_with_no_such_status_is_not(status: int) -> None:
    site, phone = registered()
    site.icp.says["INVITE"] = (status, (("retry-after", "120"),))
    phone.call("1002")
    assert phone.events[-1] == events.Refused(status)


def test_an_icp_that_never_answers_a_call_is_asked_whether_it_is_there() -> None:
    site, phone = registered()
    site.icp.die()
    phone.call("1002")
    site.wire.advance(34)
    assert phone.events[-1] == events.Refused(408)
    site.wire.advance(5)
    phone.call("1002")
    assert phone.events[-1] == events.Refused(503, retry_after=30)


@pytest.mark.parametrize(("given", "least", "most"), [(0, 1, 3), (50, 50, 51), (86400, 299, 301)])
def test_a_registration_waits_as_long_as_the_icp_says_within_bounds(given: int, least: float, most: float) -> None:
    site, phone = registered()
    site.icp.says["REGISTER"] = (480, (("retry-after", str(given)),))
    registration = site.signalling.icps.of(1)
    assert registration is not None
    registration.start()
    site.wire.deliver()
    tried = site.wire.wheel.now
    if given:
        phone.register()
        assert phone.last.status == 503
        assert phone.last.retry_after == pytest.approx(min(given, 300), abs=1)
    site.icp.says.clear()
    before = len(site.icp.registers)
    while len(site.icp.registers) == before:
        site.wire.advance(0.5)
        assert site.wire.wheel.now - tried < 400
    assert least <= site.wire.wheel.now - tried <= most
    site.wire.advance(301)
    assert phone.registration.registered


# --- what an answered call owes its ICP


def test_the_ack_of_an_answer_repeats_the_credentials_of_its_invite() -> None:
    site, phone = registered()
    phone.call("1002")
    site.icp.sessions[-1].accept(description("10.9.8.101", 6100))
    site.wire.deliver()
    to_icp = [carried.message for carried in site.wire.log if carried.target == (ICP, 5060)]
    invite = [message for message in to_icp if isinstance(message, Request) and message.method == "INVITE"][-1]
    ack = [message for message in to_icp if isinstance(message, Request) and message.method == "ACK"][-1]
    assert invite.get("proxy-authorization")
    assert ack.get_all("proxy-authorization") == invite.get_all("proxy-authorization")


@pytest.mark.parametrize(("header", "value"), [("contact", "<sip:"), ("record-route", "nowhere")])
def test_an_answer_that_says_nothing_usable_of_where_it_is_gets_its_ack_and_its_bye(header: str, value: str) -> None:
    site, phone = registered()
    site.icp.says["INVITE"] = (200, ((header, value),))
    phone.call("1002")
    methods = [
        carried.message.method
        for carried in site.wire.log
        if carried.target == (ICP, 5060) and isinstance(carried.message, Request)
    ]
    assert methods[-2:] == ["ACK", "BYE"]
    assert phone.events[-1] == events.Refused(502)
