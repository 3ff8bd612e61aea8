"""Notifications that nobody subscribed to, from the ICP and from the gateway itself."""

from dataclasses import replace

import pytest

from opx.gateway.signalling.notices import NoticePolicy
from opx.sip.agent import new_tag
from opx.sip.bodies import xml
from opx.sip.errors import LocalProtocolError
from opx.sip.exchange import Outcome
from opx.sip.flow import Destination
from opx.sip.message import Request, Response
from opx.sip.subscription import Content
from opx.sip.transactions import ServerTransaction
from support.sipnet import Carried, Node
from support.site import HOME, ICP, INSIDE, OUTSIDE, Phone, Site
from support.watching import POLICY, summary

SCREEN = b"<AastraIPPhoneTextScreen><Title>News</Title><Text>a &lt; b</Text></AastraIPPhoneTextScreen>"


class Office:
    """A site whose phone 1 takes NOTIFYs with `status`, and an ICP that sends them."""

    def __init__(self, policy: NoticePolicy | None = None, status: int = 200) -> None:
        self.site = Site(replace(POLICY, notices=policy or NoticePolicy()))
        self.wire = self.site.wire
        self.phone: Phone = self.site.phone(1)
        self.taken: list[Request] = []
        self.statuses: list[int] = []
        self.status = status
        self.phone.handlers["NOTIFY"] = self._take
        self.phone.register()
        self.wire._told = len(self.wire.log)

    def _take(self, transaction: ServerTransaction) -> None:
        self.taken.append(transaction.request)
        transaction.reply(self.status, to_tag=new_tag())

    def notify(
        self, event: str, content: Content | None = None, uri: str = "", sender: Node | None = None, state: str = ""
    ) -> None:
        request = Request.new("NOTIFY", uri or self.site.icp.contacts["1001"])
        request.add("max-forwards", "70")
        request.add("from", f"<sip:pbx@{ICP}>;tag=i")
        request.add("to", f"<sip:1001@{ICP}>")
        request.add("call-id", f"{new_tag()}@{ICP}")
        request.add("cseq", "1 NOTIFY")
        request.add("contact", f"<sip:{ICP}>")
        if event:
            request.add("event", event)
        if state:
            request.add("subscription-state", state)
        request.add("x-server", ICP)
        (content or Content()).attach(request)
        node = sender or self.site.icp.node
        node.agent.exchange(request, Destination("UDP", INSIDE, 5060), self._on_final)
        self.wire.advance(0.1)

    def _on_final(self, outcome: Outcome) -> None:
        self.statuses.append(outcome.status if isinstance(outcome, Response) else 0)


def test_check_sync_goes_on_the_phones_own_flow_and_its_answer_back() -> None:
    office = Office()
    office.notify("check-sync;reboot=true", state="terminated")
    office.wire.expect("""
        icp -> gateway: NOTIFY
        gateway -> phone1: NOTIFY
        phone1 -> gateway: 200
        gateway -> icp: 200
    """)
    assert office.statuses == [200]
    notify = office.taken[0]
    assert notify.get("event") == "check-sync;reboot=true"
    assert notify.get("subscription-state") == "terminated"
    assert notify.uri == office.phone.contact
    assert next(c.target for c in office.wire.log if c.what == "NOTIFY" and c.source[0] == OUTSIDE) == (HOME, 40001)


@pytest.mark.parametrize(("event", "param"), [("check-sync", ""), ("resync", ""), ("talk", ""), ("hold", ";id=3")])
def test_events_of_the_list_pass_without_their_bodies(event: str, param: str) -> None:
    office = Office()
    office.notify(f"{event}{param};host={ICP};reboot=10.9.8.20", Content("text/plain", f"at {ICP}".encode()))
    assert office.taken[0].get("event") == f"{event}{param}"
    assert office.taken[0].body == b""
    assert office.statuses == [200]


def test_messages_waiting_without_a_subscription() -> None:
    office = Office()
    office.notify("message-summary", summary(3), state="active;expires=99")
    assert office.taken[0].body == (
        f"Messages-Waiting: yes\r\nMessage-Account: sip:tw1@{OUTSIDE}\r\nVoice-Message: 3/3\r\n".encode()
    )
    assert office.taken[0].get("subscription-state") == "active"


@pytest.mark.parametrize(("answered", "told"), [(200, 200), (481, 481), (489, 489), (503, 503), (401, 403), (302, 480)])
def test_what_the_phone_answers_goes_back(answered: int, told: int) -> None:
    office = Office(status=answered)
    office.notify("check-sync")
    assert office.statuses == [told]
    wrong = f"NOTIFY check-sync of the ICP: the phone answered {answered}"
    assert (wrong in office.site.texts()) is (answered != 200)


def test_a_phone_that_does_not_answer_or_is_not_there() -> None:
    office = Office()
    office.wire.lose = lambda carried: carried.target == (HOME, 40001)
    office.notify("check-sync")
    office.wire.advance(33)
    office.wire.lose = lambda carried: False
    assert office.statuses == [0]
    assert "NOTIFY check-sync of the ICP: the phone did not answer" in office.site.texts()
    office.phone.registration.stop()
    office.wire.advance(1)
    office.notify("check-sync", uri=f"sip:1001@{INSIDE}")
    assert office.statuses[-1] == 480
    office.notify("check-sync", uri=f"sip:4711@{INSIDE}")
    assert office.statuses[-1] == 404
    assert "NOTIFY check-sync of the ICP: the phone cannot be reached (480)" in office.site.texts()


@pytest.mark.parametrize("event", ["dialog", "presence", "reg", "x"])
def test_other_events_do_not_pass(event: str) -> None:
    office = Office()
    office.notify(event)
    assert (office.statuses, office.taken) == ([489], [])
    assert f"NOTIFY of the ICP refused: event {event} does not pass (489)" in office.site.texts()
    answer = office.wire.log[-1].message
    assert "check-sync" in answer.values("allow-events")


def test_a_notification_without_an_event_is_refused() -> None:
    office = Office()
    office.notify("")
    assert (office.statuses, office.taken) == ([489], [])


def test_a_screen_of_the_office_passes_written_anew() -> None:
    office = Office()
    body = b'<?xml version="1.0"?><!-- by ' + ICP.encode() + b" -->" + SCREEN
    office.notify("aastra-xml", Content("application/xml", body))
    assert office.statuses == [200]
    assert office.taken[0].content_type == "application/xml"
    assert xml.parse(office.taken[0].body) == xml.parse(SCREEN)
    assert ICP.encode() not in office.site.set_side_bytes()


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (403, Content("application/xml", f"<a><b>http://{ICP}/x.xml</b></a>".encode())),
        (403, Content("application/xml", b"<a><b>http://10.9.8.<!-- -->77/</b></a>")),
        (403, Content("application/xml", b"<a URI='http://%31%30.9.8.77/'/>")),
        (403, Content("application/xml", b"<a URI='http://&#49;0.9.8.77/'/>")),
        (403, Content("application/xml", f"<a xmlns='http://{INSIDE}/'/>".encode())),
        (403, Content("application/xml", f"<a>{ICP}</a>".encode("utf-16"))),
        (400, Content("application/xml", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>")),
        (400, Content("application/xml", b"plain")),
        (415, Content("text/html", SCREEN)),
        (413, Content("application/xml", b"<a>" + b"x" * 10_000 + b"</a>")),
    ],
)
def test_a_screen_that_names_the_inside_or_is_none_does_not_pass(status: int, content: Content) -> None:
    office = Office()
    office.notify("aastra-xml", content)
    assert (office.statuses, office.taken) == ([status], [])
    assert any(text.startswith("NOTIFY of the ICP refused") for text in office.site.texts())


def test_a_site_may_let_links_to_the_inside_pass() -> None:
    office = Office(NoticePolicy(inside_links=True))
    office.notify("aastra-xml", Content("application/xml", f"<a>http://{ICP}/x.xml</a>".encode()))
    assert office.statuses == [200]
    assert ICP.encode() in office.taken[0].body


def test_only_the_icp_of_a_device_notifies_it() -> None:
    office = Office()
    stranger = Node(office.wire, "stranger", ("10.9.8.66", 5060))
    office.notify("check-sync", sender=stranger)
    assert (office.statuses, office.taken) == ([403], [])


def test_the_set_side_notifies_nobody() -> None:
    office = Office()
    answers: list[int] = []
    request = Request.new("NOTIFY", f"sip:1002@{OUTSIDE}")
    for name, value in (
        ("max-forwards", "70"),
        ("from", f"<sip:tw1@{OUTSIDE}>;tag=a"),
        ("to", f"<sip:1002@{OUTSIDE}>"),
        ("call-id", "x"),
        ("cseq", "1 NOTIFY"),
        ("event", "check-sync"),
    ):
        request.add(name, value)

    def on_final(outcome: Outcome) -> None:
        assert isinstance(outcome, Response)
        answers.append(outcome.status)

    office.phone.node.agent.exchange(request, Destination("UDP", OUTSIDE, 5060), on_final)
    office.wire.expect("""
        phone1 -> gateway: NOTIFY
        gateway -> phone1: 481
    """)
    assert answers == [481]


def test_the_gateway_itself_notifies_a_device() -> None:
    office = Office()
    statuses: list[int] = []
    notify = office.site.signalling.notices.notify_device
    notify(1, "aastra-xml", "application/xml", SCREEN, statuses.append)
    notify(1, "check-sync;reboot=true", "", b"", statuses.append)
    notify(2, "check-sync", "", b"", statuses.append)
    office.wire.advance(1)
    assert sorted(statuses) == [200, 200, 480]
    assert [(n.get("event"), n.body) for n in office.taken] == [("aastra-xml", SCREEN), ("check-sync;reboot=true", b"")]
    for event, body in (("", b""), ("a b", b""), ("aastra-xml", b"x" * 10_001)):
        with pytest.raises(LocalProtocolError):
            notify(1, event, "application/xml", body, statuses.append)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("lost", range(4))
def test_any_one_lost_datagram_is_made_good(lost: int, double: bool) -> None:
    office = Office()
    office.wire.double = double
    before = len(office.wire.log)

    def lose(carried: Carried) -> bool:
        return len(office.wire.log) > before + lost and carried is office.wire.log[before + lost]

    office.wire.lose = lose
    office.notify("check-sync")
    office.wire.advance(10)
    assert office.statuses == [200]
    assert len(office.taken) == 1
