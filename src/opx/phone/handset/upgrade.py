"""From MiNET to SIP firmware on the office LAN, by TFTP or HTTP, as a person starts it at an unboxed handset."""

from __future__ import annotations

import hashlib

from opx.phone.handset.fetching import Client
from opx.phone.handset.flash import Firmware, Flash, version_of
from opx.phone.handset.http import HttpError
from opx.phone.handset.models import Identity


async def upgrade(identity: Identity, flash: Flash, client: Client, server: str) -> str:
    """Fetch `<model>.st` from a LAN server and flash it; the version that the handset has now.

    `server` is a URL of a folder (http or https), else the address of a TFTP server. HttpError when the file cannot be
    had, NoFirmware when it is none for this handset.
    """
    root = server.rstrip("/") if "://" in server else f"tftp://{server}"
    name = f"{identity.model.name}.st"
    client.user_agent = identity.user_agent(flash.firmware.version)
    answer = await client.get(f"{root}/{name}")
    if answer.status != 200:
        raise HttpError(f"{root} has no {name} ({answer.status})")
    version = version_of(answer.body, identity.model)
    flash.firmware = Firmware("SIP", version, hashlib.sha256(answer.body).hexdigest(), answer.header("etag"))
    return version
