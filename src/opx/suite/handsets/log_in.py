"""The Log In page: extension and one-time code typed on the handset's screen, for handsets that do not ask themselves.

Whoever comes here is a stranger by definition; what they typed is right or wrong, and they learn no more than that.
"""

import time
from collections.abc import Callable

from opx.suite.handsets.authority import Authority
from opx.suite.handsets.code_desk import CodeDesk, looks_like_number
from opx.suite.handsets.files import LOG_IN_PAGE
from opx.suite.handsets.http import XML, Access, HandsetRequest, HandsetResponse
from opx.suite.handsets.records import Sighting
from opx.suite.handsets.shelf import Shelf
from opx.suite.xml_objects.orders import FAST_REBOOT, Execute
from opx.suite.xml_objects.parts import InputField
from opx.suite.xml_objects.screens import InputForm, TextScreen, XmlObject

MAX_CODE = 32


class LogInPage:
    """Without parameters the form; with them the answer. `page` is its path, `title` what stands above it."""

    access = Access.TRACED

    def __init__(
        self,
        codes: CodeDesk,
        authority: Authority,
        shelf: Shelf,
        clock: Callable[[], float] = time.time,
        page: str = LOG_IN_PAGE,
        title: str = "Log In",
    ) -> None:
        self._page = page
        self._title = title
        self._codes = codes
        self._authority = authority
        self._shelf = shelf
        self._clock = clock

    async def answer(self, request: HandsetRequest) -> HandsetResponse | None:
        base = self._shelf.place(request.caller.side).base
        if not request.caller.secure or not base:
            return None
        number, code = request.query.get("extension", ""), request.query.get("code", "")
        if not number and not code:
            return _page(self._form(base))
        if not looks_like_number(number) or len(code) > MAX_CODE:
            return _page(self._wrong(base))
        sighting = _sighting(request, self._clock())
        result = await self._codes.typed(sighting, number, code)
        if result.phone is None:
            self._authority.refused(sighting.mac, request.caller.source, result.refused)
            return _page(self._wrong(base))
        # It comes back for its file within the window.
        return _page(Execute((FAST_REBOOT,)))

    def _form(self, base: str) -> InputForm:
        fields = (InputField("Extension:", "extension", "number"), InputField("Code:", "code", "number", password=True))
        return InputForm(self._title, base + self._page, fields)

    def _wrong(self, base: str) -> TextScreen:
        text = "Extension or code is not right. Ask your administrator for a new code."
        return TextScreen(self._title, text, done=base + self._page)


def _page(shown: XmlObject) -> HandsetResponse:
    return HandsetResponse(shown.render(), XML)


def _sighting(request: HandsetRequest, now: float) -> Sighting:
    caller = request.caller
    identity = caller.identity
    return Sighting(
        identity.mac, now, identity.model, identity.firmware, identity.user_agent, caller.side, caller.source
    )
