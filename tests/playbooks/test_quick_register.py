"""The quick way of a REGISTER does what the general one does, and takes what is usual."""

import re
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from opx.gateway.signalling.keepalive import KeepAlivePolicy
from opx.gateway.signalling.signalling import SignallingPolicy
from opx.sip import answered
from opx.sip.digest import Algorithm, Challenge, DigestClient
from opx.sip.flow import Address, Flow
from support.site import HOME, OUTSIDE, Phone, Site

AT_HOME: Address = (HOME, 40001)
ELSEWHERE: Address = (HOME, 40002)
CONTACT = "<sip:tw1@192.168.1.1:5060>"


@dataclass(frozen=True)
class Step:
    """One REGISTER; "" leaves a header out."""

    credentials: str = "right"
    contact: str = CONTACT
    expires: str = "300"
    cseq: str = "7 REGISTER"
    call_id: str = "another"
    via: str = "SIP/2.0/UDP 192.168.1.1:5060;branch=z9hG4bK-{n};rport"
    from_: str = f"<sip:tw1@{OUTSIDE}>;tag=abc"
    to: str = f"<sip:tw1@{OUTSIDE}>"
    forwards: str = "70"
    further: str = ""
    uri: str = f"sip:{OUTSIDE}"
    end: str = "Content-Length: 0\r\n\r\n"
    colon: str = ": "
    backwards: bool = False
    source: Address = AT_HOME
    times: int = 1
    wait: float = 0.1


usual = Step()
SAME = "SIP/2.0/UDP 192.168.1.1;branch=z9hG4bK-same;rport"
odd = {
    "credentials": st.sampled_from(["right", "wrong", "none", "again", "unknown", "junk", "two", "sha", "elsewhere"]),
    "contact": st.sampled_from(
        [
            "",
            "*",
            CONTACT + ";expires=90",
            CONTACT + ";q=1",
            "<sip:tw1@192.168.1.99>",
            f"{CONTACT}, <sip:b@h>",
            "sip:tw1@192.168.1.1:5060",
        ]
    ),
    "expires": st.sampled_from(["", "0", "10", "60", "120", "4000", "99999999999", "x", "-1", "300 "]),
    "cseq": st.sampled_from(
        ["0 REGISTER", "1 REGISTER", "8  REGISTER", "9 register", "x REGISTER", "4294967296 REGISTER", "9 INVITE"]
    ),
    "call_id": st.sampled_from(["same", "", "with space", "\u00fc"]),
    "via": st.sampled_from(
        [
            "SIP/2.0/UDP 192.168.1.1:5060;branch=z9hG4bK-{n}",
            "SIP/2.0/UDP 192.168.1.1;rport;branch=z9hG4bK-{n}",
            "SIP/2.0/UDP 192.168.1.1:99999;branch=z9hG4bK-{n};rport",
            "SIP/2.0/UDP 192.168.1.1;branch=old-{n};rport",
            "SIP/2.0/UDP 192.168.1.1;branch=z9hG4bK;rport",
            "SIP/2.0/TCP 192.168.1.1;branch=z9hG4bK-{n};rport;alias",
            "SIP/2.0/UDP 192.168.1.1;branch=z9hG4bK-{n};rport=5;received=10.0.0.1",
            "SIP/2.0/UDP a;branch=z9hG4bK-{n};rport, SIP/2.0/UDP b;branch=z9hG4bK-x",
            SAME,
            "SIP/2.0/UDP 192.168.1.1:49152;branch=z9hG4bK-{n};rport",
            "SIP/2.0/UDP [2001:db8::1];branch=z9hG4bK-{n};rport",
        ]
    ),
    "from_": st.sampled_from(
        [
            f"<sip:tw1@{OUTSIDE}>",
            f'"Me" <sip:tw1@{OUTSIDE}>;tag=x',
            f"<sip:tw1@{OUTSIDE}>;tag=",
            f"<sip:tw1@{OUTSIDE}>;tag=a b",
            "",
            "<tel:1>;tag=a",
        ]
    ),
    "to": st.sampled_from(
        [
            f"<sip:tw1@{OUTSIDE}>;tag=z",
            f"sip:tw1@{OUTSIDE}",
            "",
            "<sip:tw 1@h>",
            "<tel:12>",
            f'"x\u00fc" <sip:tw1@{OUTSIDE}>',
        ]
    ),
    "forwards": st.sampled_from(["", "0", "7 0", "300", "x"]),
    "further": st.sampled_from(
        [
            "Require: nothing",
            "Supported: path",
            "Require: timer",
            "X-Odd: 1",
            "m: <sip:other@h>",
            "Expires: 60",
            "To: <sip:tw2@h>",
            "Subject: a\r\n b",
            "Subject",
            "User-Agent: \x01",
            "User-Agent: " + "long " * 100,
            "Allow: INVITE\r\nAllow: ACK",
        ]
    ),
    "uri": st.sampled_from(
        ["sip:other.test", "tel:1", f"sip:{OUTSIDE}?a=b", "sip:a b", f"SIP:{OUTSIDE}", f"sips:{OUTSIDE}"]
    ),
    "end": st.sampled_from(
        [
            "\r\n",
            "Content-Length: 3\r\n\r\nabc",
            "Content-Length: 9\r\n\r\nabc",
            "Content-Length: 0\r\n\r\nabc",
            "l: 0\r\n\r\n",
            "",
        ]
    ),
    "colon": st.sampled_from([":", " : ", ":  "]),
    "backwards": st.just(True),
    "source": st.just(ELSEWHERE),
    "times": st.just(2),
    "wait": st.sampled_from([5.0, 40.0, 250.0]),
}


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """The usual one with at most two oddities."""
    names = draw(st.lists(st.sampled_from(sorted(odd)), max_size=2, unique=True))
    return Step(**{name: draw(odd[name]) for name in names})  # type: ignore[arg-type]


class Twin:
    """A site and its phone 1, registered the general way."""

    def __init__(self, quick: bool) -> None:
        # Keep-alives come at random times, and are the same for both.
        self.site = Site(SignallingPolicy(keep_alive=KeepAlivePolicy(interval=0, idle_limit=10_000)))
        self.general: list[str] = []
        agent = self.site.signalling.set_agent
        taken = agent.quick_register
        assert taken is not None

        def noted(data: bytes, flow: Flow) -> bool:
            if taken(data, flow):
                return True
            self.general.append("REGISTER")
            return False

        agent.quick_register = noted if quick else None
        self.phone: Phone = self.site.phone(1)
        self.phone.register()
        self.call_id = self.site.signalling.registrar.bindings.of(1)[0].call_id
        # It does not register again by itself.
        del self.site.wire.agents[AT_HOME]
        self.told = len(self.site.wire.log)
        self.client = DigestClient("tw1", "set-1", cnonce=lambda: "0123456789abcdef")
        self.general.clear()

    def play(self, number: int, step: Step) -> list[str]:
        """What comes of a step, in words that hold for both."""
        for turn in range(2):
            # A set that is challenged comes again; the first of the two is the same message without credentials.
            data = self._message(f"{number}-{turn}", step, with_credentials=turn == 1)
            for _ in range(step.times):
                self.site.signalling.set_agent.receive(data, Flow("UDP", (OUTSIDE, 5060), step.source))
                self.site.wire.deliver()
        self.site.wire.advance(step.wait, step=0.5)
        fresh, self.told = self.site.wire.log[self.told :], len(self.site.wire.log)
        held = [
            (
                b.device_id,
                b.contact,
                b.flow,
                b.call_id.replace(self.call_id, "the first"),
                b.cseq,
                b.user_agent,
                b.registered_at,
                b.expires_at,
            )
            for b in self.site.signalling.registrar.bindings.all()
        ]
        kept = [(key, b.cseq, b.expires_at) for key, b in self.site.store.kept.items()]
        heard = [
            self.site.signalling.registrar.bindings.last_heard(b) for b in self.site.signalling.registrar.bindings.all()
        ]
        texts = [(entry.device_id, entry.at, entry.text) for entry in self.site.entries]
        told = [one.data.decode("utf-8", "replace") for one in fresh if b" OPTIONS" not in one.data]
        sent = [masked(text.replace(self.call_id, "the first")) for text in told]
        return [*sent, repr(held), repr(kept), repr(heard), repr(texts)]

    def _message(self, name: str, step: Step, with_credentials: bool) -> bytes:
        names = ["Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Contact", "Expires", "User-Agent"]
        call_id = self.call_id if step.call_id == "same" else step.call_id
        values = [step.via.format(n=name), step.forwards, step.from_, step.to, call_id, step.cseq, step.contact]
        lines = [f"{n}{step.colon}{v}" for n, v in zip(names, [*values, step.expires, "a phone"], strict=True) if v]
        if step.further:
            lines.append(step.further)
        if with_credentials:
            lines += self._credentials(step)
        if step.backwards:
            lines.reverse()
        head = "".join([f"{line}\r\n" for line in lines])
        return f"REGISTER {step.uri} SIP/2.0\r\n{head}{step.end}".encode()

    def _credentials(self, step: Step) -> list[str]:
        if step.credentials == "none":
            return []
        if step.credentials == "junk":
            return ["Authorization: Digest username"]
        found = self.client.again("REGISTER", step.uri) if step.credentials == "again" else None
        if found is None:
            wanted = Algorithm.SHA256 if step.credentials == "sha" else Algorithm.MD5
            answers = [one for one in reversed(self.site.wire.log) if b"SIP/2.0 401" in one.data]
            values = answers[0].message.get_all("www-authenticate")
            challenge = next(one for one in map(Challenge.parse, values) if one.algorithm is wanted)
            client = self.client
            if step.credentials in ("wrong", "unknown"):
                client = DigestClient("tw1" if step.credentials == "wrong" else "tw9", "guess", cnonce=lambda: "0" * 16)
            uri = "sip:elsewhere.test" if step.credentials == "elsewhere" else step.uri
            found = client.answer([challenge], "REGISTER", uri)
        assert found is not None
        line = f"Authorization: {found[1]}"
        return [line, line] if step.credentials == "two" else [line]


def masked(text: str) -> str:
    """Without what is random, and in an order of its own."""
    text = re.sub(r'(;tag=)[0-9a-f]{12}\b|(nonce=")[^"]*|(branch=)z9hG4bK[0-9a-f]{20,}', r"\1\2\3", text)
    text = re.sub(r'response="[^"]*"|cnonce="[^"]*"|(?m:^Call-ID: [0-9a-f]{24})', "", text)
    head, *lines = text.split("\r\n")
    return "\n".join([head, *sorted(lines)])


@given(st.lists(steps(), min_size=1, max_size=4))
@example([usual, usual, Step(credentials="again", cseq="8 REGISTER"), Step(wait=250.0), Step(wait=250.0)])
@example([Step(via=SAME, wait=w) for w in (5.0, 5.0, 40.0, 0.1)])
@example([Step(expires="60"), Step(expires="300"), Step(expires="60", wait=40.0), Step(expires="0")])
@example([Step(via=SAME, wait=0.1), Step(via=SAME, further="X-Odd: 1"), Step(via=SAME, cseq="x REGISTER")])
@example(
    [Step(via=SAME, further="X-Odd: 1"), Step(via=SAME, wait=40.0), Step(via=SAME, end="Content-Length: 9\r\n\r\n")]
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_quick_and_general_way_come_to_the_same(history: list[Step]) -> None:
    quick, general = Twin(True), Twin(False)
    for number, step in enumerate(history):
        assert quick.play(number, step) == general.play(number, step), step


def test_a_refresh_never_reaches_the_general_way() -> None:
    twin = Twin(True)
    # It says its Contact otherwise than before, which is for the general way to look at.
    twin.play(0, usual)
    twin.general.clear()
    twin.play(1, Step(times=2, cseq="8 REGISTER"))
    assert twin.general == []
    twin.play(2, Step(source=ELSEWHERE, cseq="9 REGISTER"))
    assert twin.general == ["REGISTER", "REGISTER"]


@pytest.mark.parametrize("expires", ["0", "10"])
def test_what_ends_or_is_refused_goes_the_general_way(expires: str) -> None:
    twin = Twin(True)
    twin.play(0, Step(expires=expires))
    assert twin.general == ["REGISTER"]


def test_a_repeated_request_gets_the_same_answer_until_its_time_is_over() -> None:
    twin = Twin(True)
    step = Step(times=3, credentials="none", via=SAME)
    start = len(twin.site.wire.log)
    twin.play(0, step)
    answers = {one.data for one in twin.site.wire.log[start:] if one.data.startswith(b"SIP/2.0 401")}
    assert len(answers) == 1
    twin.site.wire.advance(60, step=1)
    start = len(twin.site.wire.log)
    twin.play(1, step)
    again = {one.data for one in twin.site.wire.log[start:] if one.data.startswith(b"SIP/2.0 401")}
    assert len(again) == 1
    assert again.isdisjoint(answers)


def test_answers_beyond_the_bound_are_left_to_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answered, "MAX_ANSWERS", 1)
    twin = Twin(True)
    twin.play(0, usual)
    assert twin.general == ["REGISTER"]
    assert twin.site.signalling.registrar.bindings.of(1)[0].cseq == 7
