"""Subscriptions of two user agents to each other (RFC 6665), over a wire that a test can cut."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from opx.sip.digest import Algorithm, DigestClient, DigestVerifier, ha1
from opx.sip.errors import LocalProtocolError
from opx.sip.flow import Destination, Flow
from opx.sip.message import Request
from opx.sip.nonces import NonceIssuer
from opx.sip.notifier import Ended, ExpiresBounds, Gone, Notifier, NotifierEvent, Refreshed
from opx.sip.subscriber import Closed, Granted, Notified, Over, Subscriber, SubscriberEvent, SubscriberPolicy
from opx.sip.subscription import Content, EventType, Reason, State, SubscriptionState
from opx.sip.transactions import ServerTransaction
from support.sipnet import Carried, Node, Wire

HERE, THERE = ("192.0.2.1", 5060), ("192.0.2.2", 5060)
CREDENTIALS = DigestClient("alice", "wonderland")
WAITING = Content("application/simple-message-summary", b"Messages-Waiting: yes\r\n")
NONE = Content("application/simple-message-summary", b"Messages-Waiting: no\r\n")


@dataclass
class Pair:
    """A watcher and what it watches. `answer` says what becomes of a SUBSCRIBE."""

    challenge: bool = False
    bounds: ExpiresBounds = field(default_factory=ExpiresBounds)
    answer: Callable[[Notifier], None] | None = None
    watched: list[Notifier] = field(default_factory=list)
    heard: list[NotifierEvent] = field(default_factory=list)
    told: list[SubscriberEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.wire = Wire()
        self.watcher = Node(self.wire, "watcher", HERE)
        self.source = Node(self.wire, "source", THERE, on_request_do=self._on_subscribe)
        self.verifier = DigestVerifier("there", NonceIssuer(b"there", 3600.0))

    def _on_subscribe(self, transaction: ServerTransaction) -> None:
        request, now = transaction.request, self.wire.wheel.now
        if self.challenge:
            offered = request.get_all("authorization")
            if not self.verifier.verify("SUBSCRIBE", offered, _ha1, now, request.uri).ok:
                response = request.reply(401, to_tag="c")
                for name, value in self.verifier.challenges(now, proxy=False):
                    response.add(name, value)
                transaction.respond(response)
                return
        notifier = Notifier(
            self.source.agent, self.heard.append, transaction, contact="sip:192.0.2.2:5060", bounds=self.bounds
        )
        self.watched.append(notifier)
        if notifier.too_brief:
            notifier.reject_too_brief()
        elif self.answer is not None:
            self.answer(notifier)
        else:
            notifier.accept()
            notifier.notify(WAITING)

    def subscribe(self, expires: int = 3600) -> Subscriber:
        subscriber = Subscriber(
            self.watcher.agent,
            self.told.append,
            Destination("UDP", *THERE),
            uri="sip:alice@192.0.2.2",
            from_="<sip:alice@192.0.2.2>",
            to="<sip:alice@192.0.2.2>",
            contact="sip:alice@192.0.2.1:5060",
            event=EventType("message-summary"),
            accept=("application/simple-message-summary",),
            credentials=CREDENTIALS,
            policy=SubscriberPolicy(expires),
        )
        subscriber.start()
        self.wire.deliver()
        return subscriber

    def contents(self) -> list[Content]:
        return [event.content for event in self.told if isinstance(event, Notified)]

    def closed(self) -> list[Closed]:
        return [event for event in self.told if isinstance(event, Closed)]

    def nothing_left(self) -> None:
        self.wire.advance(40)
        for node in (self.watcher, self.source):
            assert node.agent.dialogs == 0
            assert node.agent._expected == {}
            assert len(node.agent.layer) == 0


def _ha1(username: str, algorithm: Algorithm) -> str:
    return ha1(algorithm, "alice", "there", "wonderland")


def requests(pair: Pair, method: str) -> list[Request]:
    return [c.message for c in pair.wire.log if c.what == method and isinstance(c.message, Request)]


def test_a_subscription_is_challenged_granted_and_told_the_state() -> None:
    pair = Pair(challenge=True)
    pair.subscribe()
    pair.wire.expect("""
        watcher -> source: SUBSCRIBE
        source -> watcher: 401
        watcher -> source: SUBSCRIBE
        source -> watcher: 200
        source -> watcher: NOTIFY sdp
        watcher -> source: 200
    """)
    state = SubscriptionState(State.ACTIVE, 3600)
    assert pair.told == [Granted(3600), Notified(state, WAITING)]
    notify = requests(pair, "NOTIFY")[0]
    assert notify.get("event") == "message-summary"
    assert notify.get("subscription-state") == "active;expires=3600"
    assert notify.uri == "sip:alice@192.0.2.1:5060"
    assert notify.content_type == WAITING.content_type
    pair.watched[0].notify(NONE)
    pair.wire.deliver()
    assert pair.contents() == [WAITING, NONE]


def test_a_notification_that_comes_before_the_answer_makes_the_dialog() -> None:
    pair = Pair()
    pair.wire.lose = lambda carried: carried.what == "200" and carried.message.cseq.method == "SUBSCRIBE"
    pair.subscribe()
    assert pair.told == [Notified(SubscriptionState(State.ACTIVE, 3600), WAITING)]
    pair.wire.lose = lambda carried: False
    pair.wire.advance(1)
    assert pair.told[1:] == [Granted(3600)]
    pair.watched[0].notify(NONE)
    pair.wire.deliver()
    assert pair.contents() == [WAITING, NONE]
    assert pair.watcher.agent.dialogs == pair.source.agent.dialogs == 1


def test_an_answer_that_never_comes_does_not_end_what_is_notified() -> None:
    pair = Pair()
    pair.wire.lose = lambda carried: carried.what == "200" and carried.message.cseq.method == "SUBSCRIBE"
    subscriber = pair.subscribe()
    pair.wire.advance(33)
    pair.wire.lose = lambda carried: False
    assert not subscriber.over
    pair.wire.advance(0.8 * 3600)
    assert pair.told[-2:] == [Granted(3600), Notified(SubscriptionState(State.ACTIVE, 3600), WAITING)]


def test_it_is_refreshed_in_time_within_its_dialog_and_told_the_state_again() -> None:
    pair = Pair(bounds=ExpiresBounds(60, 600, 600))
    pair.subscribe()
    assert pair.told[0] == Granted(600)
    pair.wire.advance(3000, step=1.0)
    subscribes = requests(pair, "SUBSCRIBE")
    assert len(subscribes) == 1 + 3000 // 480
    assert len({s.call_id for s in subscribes}) == 1
    assert all(s.to_tag == pair.watched[0].dialog.local_tag for s in subscribes[1:])
    assert all(b.cseq.number == a.cseq.number + 1 for a, b in pairwise(subscribes))
    assert pair.heard == [Refreshed(600)] * (len(subscribes) - 1)
    assert len(pair.contents()) == len(subscribes)
    assert len(pair.watched) == 1


def test_unsubscribing_brings_a_last_notification_and_leaves_nothing() -> None:
    pair = Pair()
    subscriber = pair.subscribe()
    pair.wire.expect("""
        watcher -> source: SUBSCRIBE
        source -> watcher: 200
        source -> watcher: NOTIFY sdp
        watcher -> source: 200
    """)
    subscriber.unsubscribe()
    pair.wire.expect("""
        watcher -> source: SUBSCRIBE
        source -> watcher: 200
        source -> watcher: NOTIFY sdp
        watcher -> source: 200
    """)
    assert requests(pair, "SUBSCRIBE")[-1].expires == 0
    assert requests(pair, "NOTIFY")[-1].get("subscription-state") == "terminated;reason=timeout"
    assert pair.heard == [Ended(Gone.UNSUBSCRIBED)]
    assert len(pair.told) == 2
    assert subscriber.over
    pair.nothing_left()


def test_unsubscribing_before_the_answer_takes_it_back_as_soon_as_it_is_there() -> None:
    pair = Pair()
    pair.wire.lose = lambda carried: carried.source == THERE
    subscriber = pair.subscribe()
    subscriber.unsubscribe()
    pair.wire.lose = lambda carried: False
    pair.wire.advance(5)
    assert pair.told == []
    assert pair.heard == [Ended(Gone.UNSUBSCRIBED)]
    pair.nothing_left()


def test_a_state_is_fetched_once() -> None:
    pair = Pair()
    subscriber = pair.subscribe(expires=0)
    assert [type(event) for event in pair.told] == [Notified, Closed]
    assert pair.contents() == [WAITING]
    assert pair.heard == [Ended(Gone.UNSUBSCRIBED)]
    assert subscriber.over
    pair.nothing_left()


def test_a_notifier_that_ends_it_says_why_and_whether_to_come_again() -> None:
    for reason, retry_after, again in (
        (Reason.DEACTIVATED, None, 0.0),
        (Reason.PROBATION, 30, 30.0),
        (Reason.GIVEUP, None, 0.0),
        (Reason.REJECTED, None, None),
        (Reason.NORESOURCE, None, None),
    ):
        pair = Pair()
        pair.subscribe()
        pair.watched[0].terminate(reason, retry_after)
        pair.wire.deliver()
        closed = pair.closed()
        assert [c.reason for c in closed] == [reason]
        assert closed[0].again_after == again
        assert pair.heard == []
        pair.watched[0].notify(NONE)
        pair.wire.deliver()
        assert pair.contents() == [WAITING, WAITING]
        pair.nothing_left()


@pytest.mark.parametrize("status", [403, 404, 489, 500, 503])
def test_a_refusal_is_reported_with_its_status(status: int) -> None:
    pair = Pair(answer=lambda notifier: notifier.reject(status, (("retry-after", "20"),)))
    pair.subscribe()
    assert pair.told == [Closed(Over.REFUSED, status, retry_after=20)]
    assert pair.closed()[0].again_after == (20.0 if status >= 500 else None)
    pair.nothing_left()


def test_asking_for_too_little_asks_again_for_the_least_that_is_granted() -> None:
    pair = Pair(bounds=ExpiresBounds(120, 600, 600))
    pair.subscribe(expires=60)
    pair.wire.expect("""
        watcher -> source: SUBSCRIBE
        source -> watcher: 423
        watcher -> source: SUBSCRIBE
        source -> watcher: 200
        source -> watcher: NOTIFY sdp
        watcher -> source: 200
    """)
    assert pair.told[0] == Granted(120)


def test_a_notifier_that_forgot_is_noticed_at_the_next_refresh() -> None:
    pair = Pair(bounds=ExpiresBounds(60, 100, 100))
    pair.subscribe()
    pair.watched[0].drop()
    pair.wire.advance(81)
    assert pair.closed() == [Closed(Over.LOST, 481)]
    assert pair.closed()[0].again_after == 0.0
    pair.nothing_left()


def test_a_refresh_that_nobody_answers_is_tried_again_until_the_subscription_ends() -> None:
    pair = Pair(bounds=ExpiresBounds(60, 1000, 1000))
    pair.subscribe()
    pair.wire.lose = lambda carried: True
    pair.wire.advance(870)
    assert pair.closed() == []
    pair.wire.lose = lambda carried: False
    pair.wire.advance(60)
    assert pair.heard == [Refreshed(1000)]
    pair.wire.lose = lambda carried: True
    pair.wire.advance(1100, step=1.0)
    assert pair.closed() == [Closed(Over.EXPIRED)]
    assert pair.heard[-1] == Ended(Gone.EXPIRED)
    pair.nothing_left()


def test_a_notifier_that_never_notifies_has_not_subscribed_anybody() -> None:
    pair = Pair(answer=lambda notifier: notifier.accept())
    pair.subscribe()
    pair.wire.advance(33)
    assert pair.closed() == [Closed(Over.SILENT)]


def test_nobody_answers() -> None:
    pair = Pair()
    pair.wire.lose = lambda carried: True
    pair.subscribe()
    pair.wire.advance(33)
    assert pair.told == [Closed(Over.UNANSWERED)]
    pair.nothing_left()


def test_a_subscription_that_is_not_refreshed_expires_at_the_notifier() -> None:
    pair = Pair(bounds=ExpiresBounds(60, 100, 100))
    subscriber = pair.subscribe()
    subscriber._cancel(subscriber._refresh_timer)
    pair.wire.advance(99)
    assert pair.heard == []
    pair.wire.advance(1.2)
    assert pair.heard == [Ended(Gone.EXPIRED)]
    pair.nothing_left()


def test_a_notification_that_is_refused_ends_the_subscription() -> None:
    pair = Pair()
    subscriber = pair.subscribe()
    subscriber._finish()
    pair.watched[0].notify(NONE)
    pair.wire.deliver()
    assert pair.heard == [Ended(Gone.FAILED, 481)]
    pair.nothing_left()


def test_a_notification_that_nobody_answers_ends_the_subscription() -> None:
    pair = Pair()
    pair.subscribe()
    pair.wire.lose = lambda carried: True
    pair.watched[0].notify(NONE)
    pair.wire.advance(33)
    assert pair.heard == [Ended(Gone.FAILED)]


def test_states_that_come_while_a_notification_is_under_way_are_told_as_one() -> None:
    pair = Pair()
    pair.subscribe()
    sent = len(pair.wire.log)
    pair.wire.lose = lambda carried: carried is pair.wire.log[sent]
    for number in range(5):
        pair.watched[0].notify(Content("text/plain", b"%d" % number))
    pair.wire.advance(2)
    assert [content.body for content in pair.contents()[1:]] == [b"0", b"4"]


def test_the_state_is_held_back_while_there_is_no_way_and_follows_to_a_new_flow() -> None:
    pair = Pair()
    pair.subscribe()
    notifier = pair.watched[0]
    notifier.route = None
    notifier.notify(NONE)
    pair.wire.advance(60)
    assert pair.contents() == [WAITING]
    elsewhere = ("192.0.2.99", 777)
    pair.wire.attach("elsewhere", elsewhere, pair.watcher.agent)
    notifier.route = Flow("UDP", THERE, elsewhere)
    pair.wire.deliver()
    assert pair.contents() == [WAITING, NONE]
    assert pair.wire.log[-2].target == elsewhere


def test_requests_of_strangers_reach_neither_end() -> None:
    pair = Pair()
    pair.subscribe()
    stranger = Node(pair.wire, "stranger", ("192.0.2.66", 5060))
    answers: list[int] = []
    notify = requests(pair, "NOTIFY")[0]
    for changes in (
        {"from": "<sip:alice@192.0.2.2>;tag=guessed"},
        {"event": "dialog"},
        {"event": "message-summary;id=7"},
        {"call-id": "guessed"},
    ):
        request = Request.new("NOTIFY", notify.uri)
        for name in ("max-forwards", "from", "to", "call-id", "contact", "event", "subscription-state"):
            request.add(name, changes.get(name) or notify.need(name))
        request.add("cseq", "99 NOTIFY")
        stranger.agent.exchange(request, Destination("UDP", *HERE), lambda o: answers.append(o.status))  # type: ignore[union-attr]
        pair.wire.deliver()
    assert answers == [481] * 4
    assert pair.contents() == [WAITING]


def test_a_notification_that_was_overtaken_is_not_taken_for_news() -> None:
    pair = Pair()
    pair.subscribe()
    pair.watched[0].dialog.local_seq = 50
    pair.watched[0].notify(NONE)
    pair.wire.deliver()
    pair.watched[0].dialog.local_seq = 10
    pair.watched[0].notify(WAITING)
    pair.wire.deliver()
    assert pair.contents() == [WAITING, NONE]
    assert pair.heard == [Ended(Gone.FAILED, 500)]


def test_of_a_fork_one_notifier_is_kept() -> None:
    pair = Pair()
    pair.subscribe()
    notify = requests(pair, "NOTIFY")[0]
    answers: list[int] = []
    request = Request.new("NOTIFY", notify.uri)
    for name in ("max-forwards", "to", "call-id", "contact", "event", "subscription-state"):
        request.add(name, notify.need(name))
    request.add("from", "<sip:alice@192.0.2.2>;tag=fork")
    request.add("cseq", "1 NOTIFY")
    pair.source.agent.exchange(request, Destination("UDP", *HERE), lambda o: answers.append(o.status))  # type: ignore[union-attr]
    pair.wire.deliver()
    assert answers == [481]


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("lost", range(16))
def test_any_one_lost_datagram_of_a_subscription_is_made_good(lost: int, double: bool) -> None:
    pair = Pair(challenge=True, bounds=ExpiresBounds(60, 600, 600))
    pair.wire.double = double

    def lose(carried: Carried) -> bool:
        return pair.wire.log.index(carried) == lost

    pair.wire.lose = lose
    subscriber = pair.subscribe()
    pair.wire.advance(10)
    pair.watched[-1].notify(NONE)
    pair.wire.advance(600)
    assert pair.contents()[-1] == NONE
    assert Refreshed(600) in pair.heard
    subscriber.unsubscribe()
    pair.wire.advance(10)
    assert pair.heard[-1] == Ended(Gone.UNSUBSCRIBED)
    pair.nothing_left()


def test_an_owner_answers_once() -> None:
    pair = Pair()
    pair.subscribe()
    assert not pair.watched[0].asked
    with pytest.raises(LocalProtocolError):
        pair.watched[0].accept()
