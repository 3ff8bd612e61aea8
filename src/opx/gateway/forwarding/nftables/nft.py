"""The `nft` program: one transaction, or one listing, per call."""

import asyncio
import json
import os
import shutil

from opx.gateway.forwarding.interface import ForwardingError
from opx.gateway.forwarding.nftables.ruleset import TABLE, Listing

LIMIT = 10.0
"""Seconds that a call may take; a large foreign ruleset takes tenths."""
_PROBE = f"add table ip {TABLE}\nadd chain ip {TABLE} probe {{ type nat hook prerouting priority dstnat; }}\n"


class NftError(ForwardingError):
    """nft refuses; the text is its own."""


async def change(text: str, *, only_check: bool = False) -> None:
    """All of it or nothing. NftError."""
    await _run(["-c", "-f", "-"] if only_check else ["-f", "-"], text)


async def table() -> Listing:
    """OPX's own table; empty when there is none. NftError."""
    return await _list_ours(["table", "ip", TABLE])


async def counters() -> Listing:
    """Those of OPX's own table; none when there is no such table. NftError."""
    return await _list_ours(["counters", "table", "ip", TABLE])


async def everything() -> Listing:
    """All tables of this network namespace. NftError."""
    return await _list(["ruleset"])


async def problem() -> str:
    """Why this process cannot use nftables; "" when it can. The right is tried out, not derived from who we are."""
    if shutil.which("nft") is None:
        return "nft is not installed (Debian package nftables)"
    try:
        await change(_PROBE, only_check=True)
    except NftError as error:
        if "Operation not permitted" in str(error):
            return "this process has not the right to change nftables (CAP_NET_ADMIN)"
        return f"nftables cannot be used: {error}"
    return ""


async def _list_ours(what: list[str]) -> Listing:
    try:
        return await _list(what)
    except NftError as error:
        if "No such file or directory" in str(error):
            return ()
        raise


async def _list(what: list[str]) -> Listing:
    # -t leaves out the elements of named sets, of which there may be very many.
    found = json.loads(await _run(["-j", "-t", "list", *what], ""))
    listing: Listing = found["nftables"]
    return listing


async def _run(arguments: list[str], text: str) -> str:
    # A file in memory, for a pipe would break where nft ends before it has read everything.
    with os.fdopen(os.memfd_create("opx-nft"), "w+b") as rules:
        rules.write(text.encode())
        rules.seek(0)
        try:
            process = await asyncio.create_subprocess_exec(
                "nft", *arguments, stdin=rules, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
        except OSError as error:
            raise NftError(f"nft cannot be run: {error.strerror}") from None
    try:
        async with asyncio.timeout(LIMIT):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise NftError("nft did not answer") from None
    if process.returncode:
        raise NftError(" ".join(errors.decode(errors="replace").split()))
    return output.decode()
