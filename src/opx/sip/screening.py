"""What a user agent server looks at before anybody deals with a request (RFC 3261 section 8.2).

Nothing here needs to know what the request is for, so that every application is spared it.
"""

import hashlib
import secrets
from collections.abc import Callable

from opx.sip.dialog import Dialog
from opx.sip.errors import RemoteProtocolError
from opx.sip.message import Request, Response
from opx.sip.multipart import SDP, Part, parts_of
from opx.sip.parser import SINGLE

SCHEMES = frozenset(("sip", "sips", "tel"))
"""Request-URIs that can be meant for us."""
ACCEPTED = f"{SDP}, multipart/mixed"
"""Bodies that a session can use, as Accept says it."""
_ANSWERABLE = frozenset((SDP, "application/*", "*/*"))
_TELLING = frozenset(("require", "accept"))
_QUALIFYING = frozenset(("content-encoding", "content-disposition"))
_SESSION_METHODS = frozenset(("INVITE", "UPDATE", "PRACK"))


class Screening:
    """Looks at requests for one user agent.

    `supported` holds the option tags, in lower case, that a peer may require; `new_tag` makes To tags.
    """

    def __init__(self, supported: frozenset[str], new_tag: Callable[[], str]) -> None:
        self._supported = supported
        self._new_tag = new_tag
        self._called: dict[tuple[str, str], tuple[Dialog, int]] = {}
        self._secret = secrets.token_bytes(16)

    # --- requests that a transaction was made of

    def refusal(self, request: Request) -> Response | None:
        """What a request that no application could serve is answered with, None for one that may go on.

        RemoteProtocolError for a malformed body.
        """
        if not request.uri.startswith(("sip:", "sips:")) and request.target.scheme not in SCHEMES:
            return self._reply(request, 416)
        if not _TELLING.isdisjoint(request.names):
            unknown = [tag for tag in request.values("require") if tag.lower() not in self._supported]
            if unknown:
                return self._reply(request, 420, ("unsupported", ", ".join(unknown)))
            if request.method in _SESSION_METHODS and not _accepts_descriptions(request):
                return self._reply(request, 406)
        if request.method not in _SESSION_METHODS:
            return None
        if request.body and not _is_description(request):
            refused = self._refuse_body(request)
            if refused is not None:
                return refused
        if request.method == "INVITE" and self._is_merged(request):
            return self._reply(request, 482)
        return None

    def _reply(self, request: Request, status: int, *headers: tuple[str, str]) -> Response:
        response = request.reply(status, to_tag=self._new_tag())
        for name, value in headers:
            response.add(name, value)
        return response

    def _refuse_body(self, request: Request) -> Response | None:
        """415 for a body that a session cannot do with (section 8.2.3).

        Beside a description a part may be passed over unless its sender says that it must not be; alone it may only
        where the sender says so.
        """
        encoding = (request.get("content-encoding") or "identity").lower()
        if encoding != "identity":
            return self._reply(request, 415, ("accept", ACCEPTED), ("accept-encoding", "identity"))
        parts = parts_of(request)
        described = any(part.describes_session for part in parts)
        if all(_may_pass(part, described) for part in parts):
            return None
        return self._reply(request, 415, ("accept", ACCEPTED))

    # --- the same call by two ways (section 8.2.2.2)

    def remember(self, dialog: Dialog) -> None:
        """A dialog is open. Of those that a peer's INVITE made, a second copy of the INVITE is told by it.

        A copy for somebody else is none: a proxy rings several phones that are reached here.
        """
        if dialog.remote_seq is not None:
            self._called[dialog.call_id, dialog.request_uri] = dialog, dialog.remote_seq

    def forget(self, dialog: Dialog) -> None:
        key = (dialog.call_id, dialog.request_uri)
        known = self._called.get(key)
        if known is not None and known[0] is dialog:
            del self._called[key]

    def _is_merged(self, invite: Request) -> bool:
        known = self._called.get((invite.call_id, invite.uri))
        if known is None or invite.to_tag:
            return False
        dialog, number = known
        return (dialog.remote_tag, number) == (invite.from_tag, invite.cseq.number)

    # --- requests that no transaction can be made of

    def stateless_refusal(self, error: RemoteProtocolError, host: str, port: int) -> Response | None:
        """The answer to what `error` could read of the request that came from `host`; None where there can be none."""
        request = error.request
        if request is None or request.method == "ACK":
            return None
        try:
            request.stamp_source(host, port)
            for name in SINGLE:
                # Of two the first is answered; both would make the answer malformed too.
                if request.names.count(name) > 1:
                    request.set(name, request.need(name))
            return request.reply(error.status, error.reason or None, to_tag=self._stateless_tag(request))
        except RemoteProtocolError:
            return None

    def _stateless_tag(self, request: Request) -> str:
        """The same for every repetition of the request (section 8.2.7), and not to be guessed."""
        known = (request.get(name) or "" for name in ("call-id", "from", "cseq"))
        text = "\n".join(known).encode("utf-8", "surrogateescape")
        return hashlib.blake2s(text, key=self._secret, digest_size=6).hexdigest()


def _is_description(request: Request) -> bool:
    """Whether the body is nothing but a description, as nearly always."""
    return request.content_type == SDP and _QUALIFYING.isdisjoint(request.names)


def _accepts_descriptions(request: Request) -> bool:
    """Without Accept it says that it does (section 20.1)."""
    if "accept" not in request.names:
        return True
    ranges = (value.partition(";")[0].strip().lower() for value in request.values("accept"))
    return any(each in _ANSWERABLE for each in ranges)


def _may_pass(part: Part, described: bool) -> bool:
    if part.describes_session or part.handling == "optional":
        return True
    return described and part.handling != "required"
