"""Finds the page of a path, and answers with its object. A page that fails is an apology on the phone's screen."""

import logging
from collections.abc import Awaitable, Callable, Mapping

from opx.suite.handsets.http import XML as XML_TYPE
from opx.suite.handsets.http import Access, HandsetRequest, HandsetResponse
from opx.suite.handsets.records import Side
from opx.suite.phone_pages.desk import XML, PageRequest
from opx.suite.xml_objects.parts import Manner
from opx.suite.xml_objects.screens import TextScreen, XmlObject

SCREEN_SECONDS = 60
"""How long a screen with a message stays."""
MAX_FIELD = 64
"""Characters of what is typed on a phone."""

Page = Callable[[PageRequest], Awaitable[XmlObject]]

log = logging.getLogger(__name__)


class PhonePages:
    """A `handsets.http.Route` for approved phones. `base_of` is what addresses for phones of a side begin with."""

    access = Access.PHONE

    def __init__(self, base_of: Callable[[Side], str], pages: Mapping[str, Page]) -> None:
        self._base_of = base_of
        self._pages = pages

    async def answer(self, request: HandsetRequest) -> HandsetResponse | None:
        caller = request.caller
        page = self._pages.get(request.path.lower().removeprefix(XML))
        if page is None or caller.phone is None:
            return None
        query = {name: value[:MAX_FIELD].strip() for name, value in request.query.items()}
        asked = PageRequest(caller.phone, caller.identity.model, caller.side, self._base_of(caller.side), query)
        try:
            body = (await page(asked)).render()
        except Exception:
            log.exception("the page %s could not be made for %s", request.path, caller.phone.mac)
            body = message("Sorry", "This does not work now. Please try again later.").render()
        return HandsetResponse(body, XML_TYPE)


def message(title: str, text: str, done: str = "") -> TextScreen:
    return TextScreen(title, text, done=done, manner=Manner(timeout=SCREEN_SECONDS))
