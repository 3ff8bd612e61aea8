"""Messages that decode only what is asked for.

A message keeps its header lines as they came, with a list of their canonical names beside them, and the first value
of each name at hand; a typed value is made when it is first wanted. Most messages pass through a server with four or
five of their twenty headers looked at, and are answered by copying lines.
"""

import re
from collections.abc import Iterator

from opx.sip.address import NameAddr
from opx.sip.errors import LocalProtocolError, RemoteProtocolError
from opx.sip.grammar import canonical, display_name, has_control, is_token, line_start, split_commas
from opx.sip.headers import CSeq, Via, parse_cseq
from opx.sip.reasons import REASONS
from opx.sip.uri import Uri

SINGLE_LINE = frozenset(("authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate"))
"""Headers whose commas do not separate elements (RFC 3261 section 7.3.1)."""

MAX_DELTA = 2**32 - 1
"""Largest number of seconds that a header may say (section 25.1)."""


class Message:
    """What requests and responses share. Header names are canonical: lower case, long form."""

    __slots__ = ("_cseq", "_first", "_lines", "_names", "_via", "body")

    def __init__(
        self, lines: list[str], names: list[str], body: bytes = b"", first: dict[str, str] | None = None
    ) -> None:
        self._lines = lines
        self._names = names
        self.body = body
        # The first value of each name, stripped; None until somebody asks, for many responses are only sent.
        self._first = first
        self._cseq: CSeq | None = None
        self._via: Via | None = None

    @property
    def start_line(self) -> str:
        raise LocalProtocolError("a message is a request or a response")

    # --- header lines

    @property
    def names(self) -> list[str]:
        """The canonical names of all lines, in order."""
        return self._names

    def get(self, name: str) -> str | None:
        """The value of the first line of that name, stripped; None when there is none."""
        first = self._first
        if first is None:
            first = self._first = self._read_first()
        return first.get(name)

    def _read_first(self) -> dict[str, str]:
        first: dict[str, str] = {}
        for line, name in zip(self._lines, self._names, strict=True):
            if name not in first:
                first[name] = line[line.index(":") + 1 :].strip()
        return first

    def get_all(self, name: str) -> list[str]:
        """The values of all lines of that name, stripped, in order."""
        return [
            line[line.index(":") + 1 :].strip()
            for line, known in zip(self._lines, self._names, strict=True)
            if known == name
        ]

    def values(self, name: str) -> list[str]:
        """The elements of a header, whether they came in one line or in several."""
        lines = self.get_all(name)
        if name in SINGLE_LINE:
            return lines
        return [part for line in lines for part in split_commas(line)]

    def items(self) -> Iterator[tuple[str, str]]:
        for line, name in zip(self._lines, self._names, strict=True):
            yield name, line[line.index(":") + 1 :].strip()

    def add(self, name: str, value: str) -> None:
        """Add a line behind the others. LocalProtocolError when it would not be one line of that header."""
        start = line_start(name)
        # `isprintable` costs a tenth of a search and settles it for nearly every value.
        if start is not None and value.isprintable():
            line = start + value
        else:
            name, line = _line(name, value)
        self._names.append(name)
        self._lines.append(line)
        if self._first is not None and name not in self._first:
            self._first[name] = value.strip()

    def prepend(self, name: str, value: str) -> None:
        """Add a line before the others of its name, as a Via or Route needs it."""
        name, line = _line(name, value)
        index = self._names.index(name) if name in self._names else 0
        self._names.insert(index, name)
        self._lines.insert(index, line)
        if self._first is not None:
            self._first[name] = value.strip()
        self._forget(name)

    def set(self, name: str, value: str) -> None:
        """Have exactly one line of that name, where the first one was."""
        name, line = _line(name, value)
        if name in self._names:
            index = self._names.index(name)
            self._lines[index] = line
            for other in range(len(self._names) - 1, index, -1):
                if self._names[other] == name:
                    del self._names[other], self._lines[other]
        else:
            self._names.append(name)
            self._lines.append(line)
        if self._first is not None:
            self._first[name] = value.strip()
        self._forget(name)

    def remove(self, name: str) -> None:
        for index in range(len(self._names) - 1, -1, -1):
            if self._names[index] == name:
                del self._names[index], self._lines[index]
        if self._first is not None:
            self._first.pop(name, None)
        self._forget(name)

    def _forget(self, name: str) -> None:
        if name == "via":
            self._via = None
        elif name == "cseq":
            self._cseq = None

    # --- typed values

    def need(self, name: str) -> str:
        """The value of a header that must be there. RemoteProtocolError when it is not."""
        value = self.get(name)
        if value is None:
            raise RemoteProtocolError(f"{display_name(name)} is missing")
        return value

    @property
    def via(self) -> Via:
        """The topmost Via."""
        if self._via is None:
            values = split_commas(self.need("via"))
            if not values:
                raise RemoteProtocolError("Via is empty")
            self._via = Via.parse(values[0])
        return self._via

    @property
    def branch(self) -> str:
        """The branch of the topmost Via, "" when it has none."""
        line = self.need("via")
        start = line.find(";branch=")
        comma = line.find(",")
        if start < 0 or 0 <= comma < start or '"' in line:
            return self.via.branch
        end = line.find(";", start + 8)
        branch = line[start + 8 : end] if end >= 0 else line[start + 8 :]
        return branch.partition(",")[0].strip()

    @property
    def call_id(self) -> str:
        return self.need("call-id")

    @property
    def cseq(self) -> CSeq:
        if self._cseq is None:
            self._cseq = parse_cseq(self.need("cseq"))
        return self._cseq

    @property
    def from_(self) -> NameAddr:
        return NameAddr.parse(self.need("from"))

    @property
    def to(self) -> NameAddr:
        return NameAddr.parse(self.need("to"))

    @property
    def from_tag(self) -> str:
        return _tag_of(self.need("from"))

    @property
    def to_tag(self) -> str:
        return _tag_of(self.need("to"))

    @property
    def contacts(self) -> list[NameAddr]:
        """All Contact addresses, [] when there are none or it is `*`."""
        if self.contact_star:
            return []
        return NameAddr.parse_many(self.get_all("contact"))

    @property
    def contact_star(self) -> bool:
        return self.get("contact") == "*"

    @property
    def expires(self) -> int | None:
        """Seconds, None when absent."""
        return self._number("expires", MAX_DELTA)

    @property
    def max_forwards(self) -> int | None:
        return self._number("max-forwards", 255)

    @property
    def content_type(self) -> str:
        """ "" when absent."""
        return self.get("content-type") or ""

    def _number(self, name: str, largest: int) -> int | None:
        value = self.get(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit()) or len(value) > 20:
            raise RemoteProtocolError(f"malformed {display_name(name)}")
        number = int(value)
        if number > largest:
            raise RemoteProtocolError(f"{display_name(name)} is out of range")
        return number

    # --- writing

    def encode(self) -> bytes:
        """The message as bytes; Content-Length is put right."""
        lines = self._lines
        names = self._names
        length = str(len(self.body))
        if "content-length" in names:
            if names.count("content-length") > 1 or self.get("content-length") != length:
                self.set("content-length", length)
            text = "\r\n".join((self.start_line, *lines, "", ""))
        else:
            text = "\r\n".join((self.start_line, *lines, f"Content-Length: {length}", "", ""))
        return text.encode("utf-8", "surrogateescape") + self.body


class Request(Message):
    """`uri` is the Request-URI as it came; `target` reads it."""

    __slots__ = ("method", "uri")

    def __init__(
        self,
        method: str,
        uri: str,
        lines: list[str],
        names: list[str],
        body: bytes = b"",
        first: dict[str, str] | None = None,
    ) -> None:
        super().__init__(lines, names, body, first)
        self.method = method
        self.uri = uri

    @classmethod
    def new(cls, method: str, uri: str) -> "Request":
        """An empty request of our own. LocalProtocolError when method or URI cannot stand in a request line."""
        if not is_token(method) or not uri or " " in uri or "\t" in uri or has_control(uri):
            raise LocalProtocolError("a request line needs a token and a URI without white space")
        return cls(method, uri, [], [], b"", {})

    @property
    def start_line(self) -> str:
        return f"{self.method} {self.uri} SIP/2.0"

    @property
    def target(self) -> Uri:
        """The Request-URI. RemoteProtocolError(416) for what is no URI at all."""
        return Uri.parse(self.uri)

    def reply(self, status: int, reason: str | None = None, *, to_tag: str = "") -> "Response":
        """A response with the headers that every response copies (RFC 3261 section 8.2.6.2).

        `to_tag` is added to a To without one, except in a 100. Record-Route is copied where a dialog may come of it.
        """
        lines: list[str] = []
        names: list[str] = []
        route = 100 < status < 300 and self.method == "INVITE"
        for line, name in zip(self._lines, self._names, strict=True):
            if name in _COPIED:
                if name == "to" and to_tag and status > 100 and not _tag_of(line):
                    line = f"{line.rstrip()};tag={to_tag}"
            elif not (route and name == "record-route"):
                continue
            lines.append(line)
            names.append(name)
        return Response(status, REASONS.get(status, "Unknown") if reason is None else _clean(reason), lines, names)

    def stamp_source(self, host: str, port: int) -> None:
        """Note in the topmost Via where the request came from (RFC 3261 section 18.2.1, RFC 3581 section 4)."""
        try:
            index = self._names.index("via")
        except ValueError:
            return
        line = self._lines[index]
        usual = _USUAL_TOP_VIA.match(line)
        if usual is not None:
            # What nearly every phone sends: one Via that asks for rport and claims nothing itself.
            before, after = usual.groups()
            self._stamped(index, f"{before}{after};rport={port};received={host}")
            return
        top, comma, rest = line.partition(",")
        parts = top.split(";")
        kept = []
        asked = False
        for part in parts[1:]:
            name = part.partition("=")[0].strip().lower()
            if name == "rport":
                asked = True
            elif name != "received":
                kept.append(part)
        head = parts[0].rstrip()
        sent_by = head[head.rfind(" ") + 1 :]
        if asked:
            kept.append(f"rport={port}")
        if asked or not _same_host(sent_by, host):
            kept.append(f"received={host}")
        stamped = ";".join((head, *kept))
        self._stamped(index, f"{stamped},{rest}" if comma else stamped)

    def _stamped(self, index: int, line: str) -> None:
        self._lines[index] = line
        self._via = None
        if self._first is not None:
            self._first["via"] = line[line.index(":") + 1 :].strip()


class Response(Message):
    __slots__ = ("reason", "status")

    def __init__(
        self,
        status: int,
        reason: str,
        lines: list[str],
        names: list[str],
        body: bytes = b"",
        first: dict[str, str] | None = None,
    ) -> None:
        super().__init__(lines, names, body, first)
        self.status = status
        self.reason = reason

    @property
    def start_line(self) -> str:
        return f"SIP/2.0 {self.status} {self.reason}"


_COPIED = frozenset(("via", "from", "to", "call-id", "cseq"))
_USUAL_TOP_VIA = re.compile(r"([^;,\"]*[^;,\"\s](?:;branch=[^;,\"\s]*)?);rport((?:;branch=[^;,\"\s]*)?)\Z")


def _line(name: str, value: str) -> tuple[str, str]:
    name = canonical(name)
    start = line_start(name)
    if start is None or (not value.isprintable() and has_control(value)):
        raise LocalProtocolError(f"{name!r} cannot hold line breaks or control characters")
    return name, start + value


def _clean(reason: str) -> str:
    if has_control(reason):
        raise LocalProtocolError("a reason phrase holds no line breaks or control characters")
    return reason


def _tag_of(value: str) -> str:
    """The tag of a From or To without building the address."""
    start = value.find(";tag=", value.rfind(">") + 1)
    if start < 0:
        if "tag" not in value.lower():
            return ""
        return NameAddr.parse(value[value.find(":") + 1 :] if _has_name(value) else value).tag
    end = value.find(";", start + 5)
    return (value[start + 5 : end] if end >= 0 else value[start + 5 :]).strip()


def _has_name(line: str) -> bool:
    return canonical(line.partition(":")[0]) == "to"


def _same_host(sent_by: str, host: str) -> bool:
    if sent_by.startswith("["):
        return sent_by[1:].partition("]")[0] == host
    return sent_by.partition(":")[0] == host
