"""Call flows as sipp scenarios, put together from the steps that one party of a call takes, in their order."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Self
from xml.sax.saxutils import quoteattr

REASONS = {100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 401: "Unauthorized"}
CHALLENGE = 'Digest realm="icp", nonce="[call_id]", algorithm=MD5, qop="auth"'
Patterns = Mapping[str, str]


def audio(version: int = 1, direction: str = "sendrecv", more: str = "") -> str:
    """A description of one audio stream; `more` are further lines."""
    return (
        f"v=0\no=sipp 1 {version} IN IP4 [local_ip]\ns=-\nc=IN IP4 [media_ip]\nt=0 0\n"
        f"m=audio [media_port] RTP/AVP 0\na=rtpmap:0 PCMU/8000\na={direction}\n{more}"
    )


@dataclass
class _Call:
    """A dialog of a party as far as the scenario knows it beforehand; `open` are requests without their answer."""

    number: int
    calls: bool
    call_id: str
    tag: str
    local: str
    remote: str
    invite: tuple[int, str, str]
    in_dialog: bool = False
    up: bool = False
    sequence: int = 0
    open: list[str] = field(default_factory=list)


class Party:
    """One party of a call. `user` and `password` are what it registers and calls with, or what it asks callers for.

    Whatever comes is checked against `has` (header with its colon, or "body": what must be found) and `lacks` (what
    must not be found): POSIX extended regular expressions. With `proxied` a proxy stands in the way of every call.
    """

    def __init__(self, user: str, password: str, target: str = "", *, proxied: bool = False) -> None:
        self.user = user
        self.password = password
        self._proxied = proxied
        self._steps: list[str] = []
        self._variables: list[str] = []
        self._calls: list[_Call] = []
        self._needs_tag: dict[str, bool] = {}
        self._branches: list[Party] = []
        self.new_call(target)

    def scenario(self) -> str:
        names = ",".join(dict.fromkeys(self._variables))
        references = [f'<Reference variables="{names}"/>'] if names else []
        head = ['<?xml version="1.0"?>', '<scenario name="flow">']
        branches = [step for branch in self._branches for step in ('<nop next="end"/>', *branch._steps)]
        branches += ['<label id="end"/>'] if branches else []
        return "\n".join([*head, *self._steps, *branches, *references, "</scenario>"])

    def new_call(self, target: str = "") -> Self:
        """What follows belongs to a further call; `target` is whom this party calls, "" when it is called."""
        number = len(self._calls) + 1
        uri, tag = f"sip:{target}@[remote_ip]", f";tag=[pid]-[call_number]-{number}"
        self._call = _Call(
            number,
            calls=bool(target),
            call_id="[call_id]" if number == 1 else f"{number}///[call_id]",
            tag=tag,
            local=f" <sip:{self.user}@[remote_ip]>{tag}" if target else f"[$to_{number}]{tag}",
            remote=f"[$to_{number}]" if target else f"[$from_{number}]",
            invite=(0, uri, f" <{uri}>"),
        )
        self._calls.append(self._call)
        return self

    def back_to(self, number: int) -> Self:
        """What follows belongs to the first, second ... call of this party."""
        self._call = self._calls[number - 1]
        return self

    @property
    def calls(self) -> bool:
        """It made the first call."""
        return self._calls[0].calls

    @property
    def replaces(self) -> str:
        """This call, as whoever takes the other end's place has to name it; escaped for a Refer-To."""
        name = self.named.replace(";", "%3B").replace("=", "%3D")
        return name.replace("///", "%2F%2F%2F")

    @property
    def named(self) -> str:
        """The same as it stands in a Replaces header."""
        call = self._call
        return f"{call.call_id};to-tag=[$tag_{call.number}];from-tag={call.tag.removeprefix(';tag=')}"

    # --- registering

    def register(self, answer: int = 200) -> Self:
        """Register at a server that asks for credentials, and then answers so."""
        me = f"<sip:{self.user}@[remote_ip]>"
        who = f"Max-Forwards: 70\nFrom: {me};tag=[call_number]r\nTo: {me}\nCall-ID: [call_id]\n{self._contact}"
        line = f"REGISTER sip:[remote_ip] SIP/2.0\n{VIA}{who}Expires: 300\n"
        self._send(f"{line}CSeq: 1 REGISTER\n")
        self._steps.append('<recv response="401" auth="true"/>')
        self._send(f"{line}CSeq: 2 REGISTER\n{self._credentials}")
        self._steps.append(f'<recv response="{answer}"/>')
        return self

    def registrar(self) -> Self:
        """A server that answers an OPTIONS, or takes a registration after asking for its credentials."""
        self._steps.append('<recv request="OPTIONS" optional="true" next="1"/>')
        self._steps.append('<recv request="REGISTER"/>')
        self._copy(401, f"WWW-Authenticate: {CHALLENGE}\n")
        self._steps.append('<recv request="REGISTER">' + self._actions(verify=True) + "</recv>")
        self._fail_unless_verified()
        self._copy(200, "[last_Contact:];expires=7200\n", ' next="2"')
        self._steps.append('<label id="1"/>')
        self._copy(200, "")
        self._steps.append('<label id="2"/>')
        return self

    # --- a call's INVITE

    def invite(self, body: str = "", headers: str = "", *, challenged: bool = True, trying: bool = True) -> Self:
        """Begin the call; with `challenged` the other side asks for credentials first. `trying`: 100 comes."""
        if challenged:
            self._send_invite(body, headers)
            self._steps.append('<recv response="407" auth="true"/>')
            self._call.open.pop()
            self.acknowledge_refusal()
            headers += self._credentials
        return self.reinvite(body, headers, trying=trying)

    def reinvite(self, body: str = "", headers: str = "", *, trying: bool = True) -> Self:
        self._send_invite(body, headers)
        if trying:
            self._steps.append('<recv response="100"/>')
        return self

    def _send_invite(self, body: str, headers: str) -> None:
        call = self._call
        call.sequence += 1
        uri, to = (self._target, call.remote) if call.in_dialog else call.invite[1:]
        call.invite = (call.sequence, uri, to)
        self._send(self._request("INVITE", call.sequence, uri, to) + self._contact + headers, body)
        call.open.append("INVITE")

    def acknowledge_refusal(self) -> Self:
        """ACK the final answer from 300 on that came last; it belongs to the INVITE's own transaction."""
        number, uri, _ = self._call.invite
        self._send(self._request("ACK", number, uri, "[last_To:]", "[last_Via:]\n"))
        return self

    def ack(self, body: str = "") -> Self:
        """ACK a 2xx."""
        self._send(self._request("ACK", self._call.invite[0], self._target, self._call.remote), body)
        return self

    def cancel(self, headers: str = "") -> Self:
        """Give the INVITE up; what came last must be an answer to it."""
        self._send(self._request("CANCEL", *self._call.invite, "[last_Via:]\n") + headers)
        self._call.open.append("CANCEL")
        return self

    def invited(self, *, has: Patterns | None = None, lacks: Patterns | None = None) -> Self:
        """An INVITE comes, is asked for credentials, and comes again with the right ones.

        By 401, for sipp cannot verify the answer to a 407.
        """
        self.receive("INVITE").reply(401, headers=f"WWW-Authenticate: {CHALLENGE}\n").receive("ACK")
        self.receive("INVITE", has=has, lacks=lacks, verify=True)
        self._fail_unless_verified()
        return self

    # --- any request and answer

    def request(self, method: str, body: str = "", headers: str = "", kind: str = "application/sdp") -> Self:
        """A request within the call other than INVITE."""
        call = self._call
        call.sequence += 1
        text = self._request(method, call.sequence, self._target, call.remote)
        self._send(text + self._contact + headers, body, kind)
        call.open.append(method)
        return self

    def prack(self, body: str = "") -> Self:
        """Acknowledge the provisional answer that `expect` got with `reliable`."""
        return self.request("PRACK", body, f"RAck:[$rseq] {self._call.invite[0]} INVITE\n")

    def expect(
        self, status: int, *, has: Patterns | None = None, lacks: Patterns | None = None, reliable: bool = False
    ) -> Self:
        """An answer comes."""
        call, saved = self._call, {}
        answered = call.open[0 if status < 200 else -1]
        if status >= 200:
            call.open.pop()
        if answered == "INVITE" and 100 < status < 300:
            saved[f"target_{call.number}"] = TARGET
            if call.calls:
                saved |= {f"to_{call.number}": ("To:", ".*"), f"tag_{call.number}": ("To:", "tag=([^;]*)")}
                saved |= {} if call.up else self._saved_route()
            call.in_dialog, call.up = True, call.up or status >= 200
        if reliable:
            saved["rseq"] = ("RSeq:", ".*")
        self._steps.append(f'<recv response="{status}">{self._actions(saved, has, lacks)}</recv>')
        return self

    def receive(
        self,
        method: str,
        *,
        has: Patterns | None = None,
        lacks: Patterns | None = None,
        takes: Mapping[str, tuple[str, str]] | None = None,
        verify: bool = False,
    ) -> Self:
        """A request comes; `reply` answers it. `takes`: header to a pattern and names for its groups, as in [$name]."""
        call, saved = self._call, dict[str, tuple[str, str]]()
        if method != "ACK":
            saved = {f"{name}_{method}": (f"{name}:", ".*") for name in ("Via", "From", "To", "Call-ID", "CSeq")}
        if self._proxied and method not in ("ACK", "CANCEL"):
            saved[f"Via2_{method}"] = ("Via:", ".*")
        first = method == "INVITE" and not call.in_dialog and not call.calls
        self._needs_tag[method] = first or method == "CANCEL"
        if first:
            saved |= {f"from_{call.number}": ("From:", ".*"), f"to_{call.number}": ("To:", ".*")}
            saved |= {f"target_{call.number}": TARGET} | self._saved_route()
        for header, (pattern, names) in (takes or {}).items():
            saved[names] = (header, pattern)
        self._steps.append(f'<recv request="{method}">{self._actions(saved, has, lacks, verify)}</recv>')
        return self

    def reply(self, status: int, body: str = "", headers: str = "", *, to: str = "INVITE", tag: str = "") -> Self:
        """Answer the newest request of that method; with `tag` as another phone behind a forking proxy would."""
        ours = f"{self._call.tag}{tag}" if self._needs_tag[to] else ""
        text = f"SIP/2.0 {status} {REASONS.get(status, 'Other')}\nVia:[$Via_{to}]\n"
        if self._proxied and to != "CANCEL":
            text += f"Via:[$Via2_{to}]\n"
        if self._proxied and to == "INVITE" and self._needs_tag[to]:
            text += f"Record-Route:[$route_{self._call.number}]\n"
        text += f"From:[$From_{to}]\n"
        text += f"To:[$To_{to}]{ours}\nCall-ID:[$Call-ID_{to}]\nCSeq:[$CSeq_{to}]\n"
        if 100 < status < 300:
            text += self._contact
            self._call.in_dialog = True
        self._send(text + headers, body)
        return self

    def either(self, header: str, pattern: str = ".") -> "Party":
        """Where the INVITE that came has such a header, the party that is returned goes on, else this one."""
        label = f"branch_{len(self._branches)}"
        self._steps[-1] = self._steps[-1].replace("<action>", f"<action>{self._ereg(pattern, header, label, '')}")
        self._steps.append(f'<nop next="{label}" test="{label}"/>')
        branch = copy(self)
        branch._steps, branch._branches = [f'<label id="{label}"/>'], []
        branch._needs_tag, branch._call = dict(self._needs_tag), copy(self._call)
        self._branches.append(branch)
        return branch

    def hang_up(self) -> Self:
        return self.request("BYE").expect(200)

    def hung_up(self) -> Self:
        return self.receive("BYE").reply(200, to="BYE")

    def pause(self, milliseconds: int) -> Self:
        """Let the others act in between; no verdict may hang on how long that takes."""
        self._steps.append(f'<pause milliseconds="{milliseconds}"/>')
        return self

    # --- parts

    @property
    def _target(self) -> str:
        return f"[$target_{self._call.number}]"

    def _saved_route(self) -> dict[str, tuple[str, str]]:
        return {f"route_{self._call.number}": ("Record-Route:", ".*")} if self._proxied else {}

    @property
    def _contact(self) -> str:
        return f"Contact: <sip:{self.user}@[local_ip]:[local_port]>\n"

    @property
    def _credentials(self) -> str:
        return f"[authentication username={self.user} password={self.password}]\n"

    def _request(self, method: str, number: int, uri: str, to: str, via: str = "") -> str:
        line = f"{method} {uri} SIP/2.0\n{via or VIA}"
        call = self._call
        routed = self._proxied and call.in_dialog and not via
        line += f"Route:[$route_{call.number}]\n" if routed else ""
        to = f"{to}\n" if to.startswith("[last") else f"To:{to}\n"
        return f"{line}Max-Forwards: 70\nFrom:{call.local}\n{to}Call-ID: {call.call_id}\nCSeq: {number} {method}\n"

    def _send(self, text: str, body: str = "", kind: str = "application/sdp") -> None:
        """Once: on a loopback network nothing is lost, and a late repetition would only confuse the other's order."""
        content = f"Content-Type: {kind}\n" if body else ""
        self._steps.append(f"<send><![CDATA[\n{text}{content}Content-Length: [len]\n\n{body}]]></send>")

    def _copy(self, status: int, headers: str, following: str = "") -> None:
        same = "[last_Via:]\n[last_From:]\n[last_To:];tag=[call_number]\n[last_Call-ID:]\n[last_CSeq:]\n"
        text = f"SIP/2.0 {status} {REASONS[status]}\n{same}{headers}Content-Length: 0\n\n"
        self._steps.append(f"<send{following}><![CDATA[\n{text}]]></send>")

    def _actions(
        self,
        saved: Mapping[str, tuple[str, str]] | None = None,
        has: Patterns | None = None,
        lacks: Patterns | None = None,
        verify: bool = False,
    ) -> str:
        actions = []
        for name, (header, pattern) in (saved or {}).items():
            # A pattern with a group gives the whole first.
            names = f"whole,{name}" if "(" in pattern else name
            occurrence = 2 if name.startswith("Via2_") else 1
            actions.append(self._ereg(pattern, header, names, "check_it", occurrence))
        for wanted, check in ((has, "check_it"), (lacks, "check_it_inverse")):
            for header, pattern in (wanted or {}).items():
                actions.append(self._ereg(pattern, header, f"check_{len(self._variables)}", check))
        if verify:
            self._variables.append("valid")
            actions.append(f'<verifyauth assign_to="valid" username="{self.user}" password="{self.password}"/>')
        return f"<action>{''.join(actions)}</action>" if actions else ""

    def _ereg(self, pattern: str, header: str, names: str, check: str, occurrence: int = 1) -> str:
        self._variables.extend(names.split(","))
        where = 'search_in="body"' if header == "body" else f'search_in="hdr" header="{header}"'
        where += f' occurrence="{occurrence}"' if occurrence > 1 else ""
        checked = f' {check}="true"' if check else ""
        return f'<ereg regexp={quoteattr(pattern)} {where}{checked} assign_to="{names}"/>'

    def _fail_unless_verified(self) -> None:
        label = f"verified_{len(self._steps)}"
        self._steps.append(f'<nop next="{label}" test="valid"/>')
        self._steps.append('<nop><action><error message="wrong credentials"/></action></nop>')
        self._steps.append(f'<label id="{label}"/>')


TARGET = ("Contact:", "<(sip:[^>]*)>")
VIA = "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport\n"
SIPFRAG = "message/sipfrag;version=2.0"
KNOWS_REFER = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, REFER, NOTIFY\nSupported: replaces\n"


def told(party: Party, status: int, *, over: bool = False) -> Party:
    """A NOTIFY of how the transfer goes."""
    state = "terminated" if over else "active"
    has = {"Event:": "refer", "Subscription-State:": state, "body": f"SIP/2.0 {status}"}
    return party.receive("NOTIFY", has=has).reply(200, to="NOTIFY")


def tells(party: Party, text: str, *, over: bool = False) -> Party:
    state = "terminated;reason=noresource" if over else "active;expires=60"
    return party.request("NOTIFY", f"SIP/2.0 {text}\n", f"Event: refer\nSubscription-State: {state}\n", SIPFRAG).expect(
        200
    )
