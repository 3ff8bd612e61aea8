"""Text messages both ways, and how an ICP asks whether a device is there."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from opx.gateway.signalling.messages import MessagePolicy
from opx.sip.agent import new_call_id, new_tag
from opx.sip.digest import DigestClient
from opx.sip.exchange import Outcome
from opx.sip.flow import Destination
from opx.sip.message import Request, Response
from opx.sip.transactions import ServerTransaction
from support.sipnet import Carried, Node
from support.site import ICP, INSIDE, OUTSIDE, Phone, Site
from support.watching import POLICY

UTF8 = "text/plain;charset=UTF-8"


class Chat:
    """Phone 1 and an ICP that take and send messages; `status` is what each answers with."""

    def __init__(self, policy: MessagePolicy | None = None, status: int = 202) -> None:
        self.site = Site(replace(POLICY, messages=policy or MessagePolicy()))
        self.wire = self.site.wire
        self.phone: Phone = self.site.phone(1)
        self.status = status
        self.at_icp: list[Request] = []
        self.at_phone: list[Request] = []
        self.outcomes: list[Outcome] = []
        self.site.icp.handlers["MESSAGE"] = self._taker(self.at_icp)
        self.phone.handlers["MESSAGE"] = self._taker(self.at_phone)
        self.phone.register()
        self.wire._told = len(self.wire.log)

    def _taker(self, taken: list[Request]) -> Callable[[ServerTransaction], None]:
        def take(transaction: ServerTransaction) -> None:
            taken.append(transaction.request)
            transaction.reply(self.status, to_tag=new_tag())

        return take

    def write(
        self,
        text: str = "Hello",
        to: str = "1002",
        content_type: str = UTF8,
        phone: Phone | None = None,
        credentials: DigestClient | None = None,
    ) -> None:
        """The phone sends a message."""
        phone = phone or self.phone
        request = _message(f"sip:{to}@{OUTSIDE}", f'"Home" <sip:tw1@{OUTSIDE}>', content_type, text)
        request.add("x-home", "192.168.1.7")
        self._send(phone.node, request, OUTSIDE, credentials or phone.credentials)

    def reply(self, text: str = "Welcome", content_type: str = UTF8, uri: str = "", method: str = "MESSAGE") -> None:
        """The ICP sends one."""
        request = _message(uri or f"sip:1001@{INSIDE}", f'"Office" <sip:1002@{ICP}>', content_type, text, method)
        request.add("x-server", ICP)
        self._send(self.site.icp.node, request, INSIDE, None)

    def _send(self, node: Node, request: Request, host: str, credentials: DigestClient | None) -> None:
        node.agent.exchange(request, Destination("UDP", host, 5060), self.outcomes.append, credentials=credentials)
        self.wire.advance(0.1)

    @property
    def statuses(self) -> list[int]:
        return [outcome.status for outcome in self.outcomes if isinstance(outcome, Response)]


def _message(uri: str, from_: str, content_type: str, text: str, method: str = "MESSAGE") -> Request:
    request = Request.new(method, uri)
    for name, value in (
        ("max-forwards", "70"),
        ("from", f"{from_};tag={new_tag()}"),
        ("to", f"<{uri}>"),
        ("call-id", new_call_id()),
        ("cseq", f"1 {method}"),
    ):
        request.add(name, value)
    if text:
        request.add("content-type", content_type)
        request.body = text.encode()
    return request


def test_a_message_to_the_office_with_a_challenge_on_each_leg() -> None:
    chat = Chat()
    chat.write("Grüße")
    chat.wire.expect("""
        phone1 -> gateway: MESSAGE sdp
        gateway -> phone1: 407
        phone1 -> gateway: MESSAGE sdp
        gateway -> icp: MESSAGE sdp
        icp -> gateway: 407
        gateway -> icp: MESSAGE sdp
        icp -> gateway: 202
        gateway -> phone1: 202
    """)
    message = chat.at_icp[0]
    assert (message.body.decode(), message.content_type) == ("Grüße", UTF8)
    assert message.uri == f"sip:1002@{ICP}"
    assert (message.from_.display, message.from_.uri.user) == ("Home", "1001")
    for secret in ("tw1", "192.168.", OUTSIDE):
        assert secret not in message.encode().decode()


def test_a_message_from_the_office_goes_on_the_phones_own_flow() -> None:
    chat = Chat()
    chat.reply(f"see http://{ICP}/ you typed it")
    chat.wire.expect("""
        icp -> gateway: MESSAGE sdp
        gateway -> phone1: MESSAGE sdp
        phone1 -> gateway: 202
        gateway -> icp: 202
    """)
    message = chat.at_phone[0]
    assert message.uri == chat.phone.contact
    assert (message.from_.display, message.from_.uri.user, message.from_.uri.host) == ("Office", "1002", OUTSIDE)
    message.body = b""
    assert ICP not in message.encode().decode()


@pytest.mark.parametrize(
    ("answered", "phone_told", "icp_told"),
    [(200, 200, 200), (404, 404, 404), (486, 486, 486), (503, 500, 503), (302, 480, 480)],
)
def test_the_final_answer_is_passed_back(answered: int, phone_told: int, icp_told: int) -> None:
    chat = Chat(status=answered)
    chat.write()
    chat.reply()
    assert chat.statuses == [phone_told, icp_told]


def test_wrong_credentials_on_either_side_are_told_apart() -> None:
    chat = Chat()
    chat.write(credentials=DigestClient("tw1", "guessed"))
    assert (chat.statuses, chat.at_icp) == ([407], [])
    chat.site.icp.refuse_credentials = True
    chat.write()
    assert chat.statuses[-1] == 503


def test_a_message_from_where_the_phone_is_not_registered() -> None:
    chat = Chat()
    elsewhere = chat.site.phone(2, host="203.0.113.99", port=40002)
    chat.write(phone=elsewhere)
    assert (chat.statuses, chat.at_icp) == ([403], [])


@pytest.mark.parametrize("content_type", ["text/html", "message/cpim", "application/im-iscomposing+xml"])
def test_only_plain_text_passes(content_type: str) -> None:
    chat = Chat()
    chat.write(content_type=content_type)
    chat.reply(content_type=content_type)
    assert chat.statuses == [415, 415]
    for outcome in chat.outcomes:
        assert isinstance(outcome, Response)
        assert outcome.get("accept") == "text/plain"
    assert chat.at_icp == chat.at_phone == []


def test_a_message_without_a_text_is_refused() -> None:
    chat = Chat()
    chat.write("")
    assert chat.statuses == [415]


def test_a_text_is_as_long_as_one_datagram_carries() -> None:
    chat = Chat()
    chat.write("x" * 700)
    chat.reply("x" * 700)
    assert chat.statuses == [202, 202]
    chat.write("x" * 1200)
    chat.reply("x" * 1200)
    assert chat.statuses[2:] == [413, 413]
    assert len(chat.at_icp) == len(chat.at_phone) == 1


def test_a_device_may_write_so_many_messages_a_minute() -> None:
    chat = Chat(MessagePolicy(per_minute=6, retry_after=10))
    for _ in range(7):
        chat.write()
    assert chat.statuses == [202] * 6 + [503]
    assert isinstance(chat.outcomes[-1], Response)
    assert chat.outcomes[-1].get("retry-after") == "10"
    chat.wire.advance(10)
    chat.write()
    chat.write()
    assert chat.statuses[7:] == [202, 503]
    assert "MESSAGE to 1002: too many messages (503)" in chat.site.texts()


def test_nobody_is_there() -> None:
    chat = Chat()
    chat.phone.registration.stop()
    chat.wire.advance(1)
    chat.reply()
    chat.reply(uri=f"sip:4711@{INSIDE}")
    assert chat.statuses == [480, 404]


def test_an_icp_that_does_not_answer_a_message() -> None:
    chat = Chat()
    chat.wire.lose = lambda carried: carried.what == "MESSAGE" and carried.target[0] == ICP
    chat.write()
    chat.wire.advance(33)
    chat.wire.lose = lambda carried: False
    assert "MESSAGE to 1002 was not delivered (no answer)" in chat.site.texts()


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("lost", range(12))
def test_any_one_lost_datagram_is_made_good(lost: int, double: bool) -> None:
    chat = Chat()
    chat.wire.double = double
    before = len(chat.wire.log)

    def lose(carried: Carried) -> bool:
        return len(chat.wire.log) > before + lost and carried is chat.wire.log[before + lost]

    chat.wire.lose = lose
    chat.write()
    chat.wire.advance(10)
    chat.reply()
    chat.wire.advance(10)
    assert chat.statuses == [202, 202]
    assert (len(chat.at_icp), len(chat.at_phone)) == (1, 1)


# --- OPTIONS


def test_an_icp_hears_whether_a_device_is_there_without_asking_the_phone() -> None:
    chat = Chat()
    before = len(chat.wire.log)

    def ask(uri: str) -> int:
        chat.reply("", uri=uri, method="OPTIONS")
        return chat.statuses[-1]

    assert ask(f"sip:1001@{INSIDE}") == 200
    assert ask(chat.site.icp.contacts["1001"]) == 200
    assert ask(f"sip:1002@{INSIDE}") == 480
    assert ask(f"sip:4711@{INSIDE}") == 404
    assert ask(f"sip:{INSIDE}") == 200
    flow = chat.site.signalling.registrar.bindings.of(1)[0].flow
    assert [c for c in chat.wire.log[before:] if c.target == flow.remote] == []
    chat.site.signalling.set_connection_lost(flow)
    assert ask(f"sip:1001@{INSIDE}") == 480


def test_what_the_gateway_says_it_can_do_is_true() -> None:
    chat = Chat()
    request = _message(f"sip:{OUTSIDE}", f"<sip:tw1@{OUTSIDE}>", "", "", "OPTIONS")
    chat._send(chat.phone.node, request, OUTSIDE, None)
    answer = chat.outcomes[-1]
    assert isinstance(answer, Response)
    assert answer.values("allow-events") == ["message-summary", "dialog", "presence"]
    assert answer.values("accept") == ["application/sdp", "text/plain"]
    assert {"timer", "replaces"} < set(answer.values("supported"))
    allowed = answer.values("allow")
    assert {"SUBSCRIBE", "NOTIFY", "MESSAGE", "REGISTER"} < set(allowed)
    for method in ("PUBLISH", "X"):
        assert method not in allowed
        refused = _message(f"sip:1002@{OUTSIDE}", f"<sip:tw1@{OUTSIDE}>", "", "", method)
        chat._send(chat.phone.node, refused, OUTSIDE, None)
        assert chat.statuses[-1] in (405, 501)
