"""A peer is known by its certificate's fingerprint, and hears nothing when it is another one."""

import asyncio
import ssl

import httpx
import pytest
import trustme

from opx.pinning import FingerprintDiffers, PinnedContext, fetch_fingerprint, readable


async def test_another_certificate_ends_the_connection_before_a_byte_is_sent() -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("elsewhere.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(4096))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        host, port = server.sockets[0].getsockname()
        url = f"https://{host}:{port}/secret"
        right = await fetch_fingerprint(host, port, "127.0.0.1")
        heard.clear()
        async with httpx.AsyncClient(verify=PinnedContext.of("ab" * 32), trust_env=False) as client:
            with pytest.raises(httpx.ConnectError) as refused:
                await client.get(url)
        causes = []
        cause: BaseException | None = refused.value
        while cause is not None:
            causes.append(cause)
            cause = cause.__cause__ or cause.__context__
        (differs,) = [cause for cause in causes if isinstance(cause, FingerprintDiffers)]
        assert differs.fingerprint == right
        assert not any(heard)
        async with httpx.AsyncClient(verify=PinnedContext.of(right), trust_env=False) as client:
            assert (await client.get(url)).status_code == 204
        assert heard[-1].startswith(b"GET /secret")


async def test_the_fingerprint_of_no_server_is_an_error() -> None:
    with pytest.raises(OSError):
        await fetch_fingerprint("127.0.0.1", 9)


def test_fingerprints_are_shown_as_everywhere() -> None:
    assert readable("0aff") == "0A:FF"
