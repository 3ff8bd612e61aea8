"""Pictures for handsets' screens: our mark, for whoever names it in a configuration profile."""

import hashlib
from importlib import resources

from opx.suite.handsets.http import Access, HandsetRequest, HandsetResponse
from opx.suite.phone_pages.desk import LOGO

PNG = "image/png"
AGE = 86_400
"""Seconds for which a phone's copy holds."""


class Images:
    """`images/NAME.png` out of this package's folder, read once."""

    access = Access.HANDSET

    def __init__(self) -> None:
        name = LOGO.rpartition("/")[2]
        body = (resources.files("opx.suite.phone_pages") / "images" / name).read_bytes()
        self._known = {LOGO: (body, hashlib.blake2b(body, digest_size=12).hexdigest())}

    async def answer(self, request: HandsetRequest) -> HandsetResponse | None:
        known = self._known.get(request.path.lower())
        return HandsetResponse(known[0], PNG, etag=known[1], max_age=AGE) if known is not None else None
