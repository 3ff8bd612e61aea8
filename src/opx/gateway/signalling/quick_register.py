"""The usual REGISTER, answered without taking the message apart.

A gateway's day is refreshes: thousands of sets that say every few minutes what they said before, each of them twice
since it is challenged. What such a message needs is one split of its head, a handful of comparisons and one hash. This
is tried on the bytes of each REGISTER that comes by UDP; whatever is unusual in any way is left to the general path
(`registrar.py`), which decides what is right: here nothing is refused, no binding is made, moved or ended, and no
error is told. Left to it are unknown users and wrong credentials, first registrations, several contacts, other
expiries than the policy grants as they are, extensions, bodies, folded lines, and everything the parser would doubt.
"""

import re

from opx.gateway.signalling.alg import AlgWatch
from opx.gateway.signalling.directory import Directory
from opx.gateway.signalling.registrar import Registrar
from opx.sip.agent import UserAgent, new_tag
from opx.sip.digest import Authorization, DigestVerifier
from opx.sip.errors import RemoteProtocolError
from opx.sip.flow import Flow
from opx.sip.parser import is_usual_address, is_usual_uri

MAX_OCTETS = 4096
"""A longer message is not the usual one."""

_START, _VERSION = "REGISTER ", " SIP/2.0"
_PORT = r"(?::(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}))?"
_VIA = re.compile(
    rf"(SIP/2\.0/UDP [A-Za-z0-9_][A-Za-z0-9_.\-]*{_PORT});(?:rport;)?branch=(z9hG4bK[\w.\-]+)(?:;rport)?\Z"
)
_TAG = re.compile(r"[A-Za-z0-9_.\-]+\Z")
_READ = frozenset(("Via", "From", "To", "Call-ID", "CSeq", "Contact", "Expires", "Authorization", "Max-Forwards"))
_OF_NO_ACCOUNT = frozenset(
    ("User-Agent", "Allow", "Supported", "Content-Length", "Accept", "Allow-Events", "Date", "Accept-Language")
)
"""Nothing that they may say changes how a REGISTER is answered."""
_KNOWN = _READ | _OF_NO_ACCOUNT


class QuickRegistrar:
    """`take` each REGISTER before anybody else has looked at it."""

    def __init__(
        self,
        agent: UserAgent,
        *,
        registrar: Registrar,
        directory: Directory,
        verifier: DigestVerifier,
        alg: AlgWatch,
    ) -> None:
        self._layer = agent.layer
        self._wheel = agent.wheel
        self._registrar = registrar
        self._directory = directory
        self._verifier = verifier
        self._alg = alg

    def take(self, data: bytes, flow: Flow) -> bool:
        """Whether this REGISTER has been answered; if not, nothing has happened."""
        if len(data) > MAX_OCTETS or flow.transport != "UDP":
            return False
        try:
            text = data.decode("ascii")
        except UnicodeDecodeError:
            return False
        lines = text.split("\r\n")
        # Two empty ones at the end: the head is over, and nothing follows it.
        if lines.pop() or lines.pop():
            return False
        start = lines[0]
        del lines[0]
        try:
            fields = dict([line.split(": ", 1) for line in lines])
            via, from_, to = fields["Via"], fields["From"], fields["To"]
            call_id, cseq = fields["Call-ID"], fields["CSeq"]
        except (ValueError, KeyError):
            return False
        if len(fields) != len(lines) or not fields.keys() <= _KNOWN or not "".join(lines).isprintable():
            return False
        top = _VIA.match(via)
        if top is None or via.count(";rport") != 1:
            return False
        head, branch = top.groups()
        key = (branch, head, "REGISTER")
        uri = start[len(_START) : -len(_VERSION)]
        number = cseq[: -len(" REGISTER")]
        forwards = fields.get("Max-Forwards", "70")
        if (
            not start.endswith(_VERSION)
            or not is_usual_uri(uri)
            or not cseq.endswith(" REGISTER")
            or not number.isdigit()
            or len(number) > 9
            or not forwards.isdigit()
            or len(forwards) > 2
            or fields.get("Content-Length", "0") != "0"
            or not call_id
            or " " in call_id
            or not _are_plain(from_, to)
        ):
            return False
        if self._layer.repeat(key):
            return True
        if self._layer.serves(key) or not self._layer.answered.has_room(self._wheel.now):
            return False
        offered = fields.get("Authorization")
        if offered is None:
            if not self._alg.knows(flow):
                return False
            self._registrar.bindings.heard(flow)
            end = "".join([f"WWW-Authenticate: {value}\r\n" for _, value in self._verifier.challenges(self._wheel.now)])
            status = "401 Unauthorized"
        else:
            end = self._refreshed(offered, uri, fields, flow, int(number))
            if not end:
                return False
            status = "200 OK"
        host, port = flow.remote
        answer = (
            f"SIP/2.0 {status}\r\nVia: {head};branch={branch};rport={port};received={host}\r\nFrom: {from_}\r\n"
            f"To: {to};tag={new_tag()}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\n{end}Content-Length: 0\r\n\r\n"
        ).encode("ascii")
        self._layer.answered.keep(key, flow, answer, self._wheel.now)
        self._layer.transmit(flow, answer)
        return True

    def _refreshed(self, offered: str, uri: str, fields: dict[str, str], flow: Flow, cseq: int) -> str:
        """The Contact line of a 200, when the credentials are right and a binding is merely prolonged; else ""."""
        said, asked = fields.get("Contact", ""), fields.get("Expires")
        if asked is not None and not (asked.isdigit() and len(asked) <= 9):
            return ""
        try:
            credentials = Authorization.parse(offered)
        except RemoteProtocolError:
            return ""
        device = self._directory.by_username(credentials.username)
        if device is None or not device.enabled or credentials.algorithm is None:
            return ""
        binding = self._registrar.refreshable(device.id, flow, said, fields["Call-ID"], cseq)
        if binding is None:
            return ""
        expires = self._registrar.granted(binding, None if asked is None else int(asked))
        if not expires or credentials.realm != self._verifier.realm:
            return ""
        secret = device.set_ha1.get(credentials.algorithm.value)
        # The last of all questions, for a nonce's count is used up by the answer.
        if not self._verifier.judge(credentials, "REGISTER", secret, self._wheel.now, uri).ok:
            return ""
        self._registrar.bindings.heard(flow)
        self._registrar.refresh(binding, fields["Call-ID"], cseq, fields.get("User-Agent", ""), expires)
        return f"Contact: <{binding.contact}>;expires={expires}\r\n"


def _are_plain(from_: str, to: str) -> bool:
    """A From with a tag and a To without one, both of them SIP addresses as nearly everybody writes them."""
    if not is_usual_address(to) or not to.endswith(">"):
        return False
    # Who registers himself writes the same twice.
    if from_.startswith(to):
        tag = from_[len(to) :]
        return tag.startswith(";tag=") and _TAG.match(tag, 5) is not None
    return is_usual_address(from_) and ">;tag=" in from_
