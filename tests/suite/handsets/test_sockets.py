"""The server on real sockets with TLS, and curl as a stranger's handset."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from opx.suite.handsets.records import State
from opx.suite.handsets.service import CLIENT_AUTHORITY, HandsetService
from opx.suite.sites.records import GatewaySpec
from support.handset_site import MAC
from support.network import LoopbackNetwork
from support.programs import needs_program
from support.suite_store import suite_file, with_pbx

pytestmark = needs_program("curl")

AGENT = "Mitel6930 MAC:14-00-E9-12-34-56 V:6.4.0.140-SIP"
PORTS = "https_port = 8202\nhttp_port = 8203\n"


@asynccontextmanager
async def running(folder: Path, network: LoopbackNetwork, more: str = "") -> AsyncIterator[HandsetService]:
    settings = f'[handsets]\nlan = ["{network.base}.0.0/16"]\n{PORTS}{more}'
    service = HandsetService(suite_file(folder, network.at("20.10"), settings))
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


async def curl(folder: Path, source: str, *arguments: str, agent: str = AGENT) -> str:
    """What curl gets, headers first; "" when it gets nothing."""
    process = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--include", "--noproxy", "*", "--interface", source, "--user-agent", agent,
        "--cacert", str(folder / "suite-certificates" / "ca.pem"), *arguments,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    return output.decode()


async def test_curl_fetches_what_a_handset_does(tmp_path: Path, loopback: LoopbackNetwork) -> None:
    async with running(tmp_path, loopback) as service:
        url, source = f"https://{loopback.at('20.10')}:8202", loopback.at("20.101")
        first = await curl(tmp_path, source, f"{url}/startup.cfg")
        assert first.startswith("HTTP/1.1 200 OK\r\ncontent-length: ") and "chunked" not in first
        assert "https port: 8202" in first
        assert (await curl(tmp_path, source, "--head", f"{url}/startup.cfg")).endswith("\r\n\r\n")
        authority = (tmp_path / "suite-certificates" / "ca.pem").read_text()
        assert (await curl(tmp_path, source, f"{url}/ca.pem")).endswith(authority)

        file = f"{url}/{MAC}.cfg"
        digest = ("--digest", "--user", "aastra:aastra")
        assert (await curl(tmp_path, source, file)).startswith("HTTP/1.1 401 Unauthorized\r\n")
        assert "!sip line1 password:\n" in await curl(tmp_path, source, *digest, file)
        await service.witness.flush()
        await with_pbx(service.house.sites, "2001")
        (extension,), _ = await service.house.sites.extensions()
        await service.house.phones.assign(MAC, extension.id)
        phone = await service.house.phones.approve(MAC, service.clock(), 900.0)
        await service.keeper.take_over_all()
        delivered = await curl(tmp_path, source, *digest, file)
        assert "!sip line1 password: pbx-Secret-1\n" in delivered and phone.digest is not None
        own = ("--digest", "--user", f"{phone.digest.name}:{phone.digest.password}")
        assert "!sip line1 password: pbx-Secret-1\n" in await curl(tmp_path, source, *own, file)
        await service.binder.settle()
        assert "!sip line1 password:\n" in await curl(tmp_path, source, *digest, file)
        for wrong in (f"{phone.digest.name}:x", f"x:{phone.digest.password}"):
            assert "200 OK" not in await curl(tmp_path, source, "--digest", "--user", wrong, file)
        assert "Not found" in await curl(tmp_path, source, *own, file, agent="curl/8.0")
        plain = f"http://{loopback.at('20.10')}:8203/{MAC}.cfg"
        assert "pbx-Secret-1" not in await curl(tmp_path, source, *own, plain)
        assert "Not found" in await curl(tmp_path, source, "--data", "x=1", f"{url}/startup.cfg")


async def test_the_gateways_inside_address_is_the_outside(tmp_path: Path, loopback: LoopbackNetwork) -> None:
    async with running(tmp_path, loopback) as service:
        gateway = loopback.at("20.1")
        await service.house.sites.gateway.save(GatewaySpec(gateway))
        await service.keeper.take_over_all()
        url = f"{loopback.at('20.10')}:8202"
        assert "log server" not in await curl(tmp_path, gateway, f"https://{url}/startup.cfg")
        assert "log server" in await curl(tmp_path, loopback.at("20.101"), f"https://{url}/startup.cfg")
        assert "Not found" in await curl(tmp_path, gateway, f"http://{loopback.at('20.10')}:8203/startup.cfg")


async def exchange(address: str, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(address, 8203)
    writer.write(data)
    answer = b""
    try:
        while piece := await reader.read(65536):
            answer += piece
    except ConnectionResetError:
        pass
    writer.close()
    return answer


@pytest.mark.parametrize(
    "data",
    [b"\x16\x03\x01\x02\x00\x01\x00", b"GET / NONSENSE\r\n\r\n", b"GET /startup.cfg HTTP/1.1\r\nX: " + b"a" * 9000],
    ids=["tls", "nonsense", "long head"],
)
async def test_what_is_no_request_gets_no_answer(tmp_path: Path, loopback: LoopbackNetwork, data: bytes) -> None:
    async with running(tmp_path, loopback):
        assert await exchange(loopback.at("20.10"), data) == b""


async def test_a_head_that_does_not_come_ends_the_connection(tmp_path: Path, loopback: LoopbackNetwork) -> None:
    async with running(tmp_path, loopback, "[handsets.limits]\nrequest_seconds = 0.2\n"):
        assert await exchange(loopback.at("20.10"), b"GET /startup.cfg HTTP/1.1\r\n") == b""


async def test_one_host_has_so_many_connections(tmp_path: Path, loopback: LoopbackNetwork) -> None:
    async with running(tmp_path, loopback, "[handsets.limits]\nconnections_per_host = 1\n"):
        first = socket.create_connection((loopback.at("20.10"), 8203))
        try:
            await asyncio.sleep(0)
            while await exchange(loopback.at("20.10"), b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"):
                await asyncio.sleep(0.01)
        finally:
            first.close()


async def test_a_handsets_certificate_binds_it_where_the_administrator_has_named_its_authority(
    tmp_path: Path, loopback: LoopbackNetwork
) -> None:
    factory, stranger = trustme.CA(), trustme.CA()
    folder = tmp_path / "suite-certificates"
    folder.mkdir()
    factory.cert_pem.write_to_path(folder / CLIENT_AUTHORITY)
    pairs = {}
    for name, authority in (("own", factory), ("other", factory), ("foreign", stranger)):
        issued = authority.issue_cert(common_name=name)
        issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / f"{name}.pem")
        pairs[name] = ("--cert", str(tmp_path / f"{name}.pem"))
    async with running(tmp_path, loopback, "client_authority = true\n") as service:
        url, source = f"https://{loopback.at('20.10')}:8202/{MAC}.cfg", loopback.at("20.101")
        await service.house.phones.add(MAC)
        phone = await service.house.phones.approve(MAC, service.clock(), 900.0)
        await service.keeper.take_over_all()
        assert phone.digest is not None
        own = ("--digest", "--user", f"{phone.digest.name}:{phone.digest.password}")
        assert "200 OK" in await curl(tmp_path, source, *own, *pairs["own"], url)
        await service.binder.settle()
        stored = await service.house.phones.phone(MAC)
        assert stored.state is State.APPROVED and "commonName=own" in stored.certificate_subject
        assert "200 OK" in await curl(tmp_path, source, *own, *pairs["own"], url)
        assert "200 OK" not in await curl(tmp_path, source, *own, *pairs["other"], url)
        assert "200 OK" not in await curl(tmp_path, source, *own, url)
        assert await curl(tmp_path, source, *own, *pairs["foreign"], url) == ""


async def test_an_authority_that_is_missing_is_said(tmp_path: Path, loopback: LoopbackNetwork) -> None:
    with pytest.raises(OSError, match=CLIENT_AUTHORITY):
        async with running(tmp_path, loopback, "client_authority = true\n"):
            pass


async def test_a_port_that_is_taken_is_said(tmp_path: Path, loopback: LoopbackNetwork) -> None:
    with socket.create_server((loopback.at("20.10"), 8202)), pytest.raises(OSError, match="8202 cannot be listened on"):
        async with running(tmp_path, loopback):
            pass
