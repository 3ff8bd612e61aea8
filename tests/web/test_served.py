"""Certificates that are replaced while a server runs: taken over without a restart, or refused with the reason."""

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from opx.web.authority import SERVER_DAYS, CertificateError
from opx.web.certificates import RENEW_DAYS, read_certificates
from opx.web.served import OwnPair, ServerCertificate, certificate_report, load_pair
from opx.web.server import HttpsServer
from support.network import LoopbackNetwork

NAME = "gateway.example"
DAY = datetime.timedelta(days=1)


class Own:
    """A certificate of the owner's own in `folder`, from an authority that clients trust, with one in between."""

    def __init__(self, folder: Path) -> None:
        self.root = trustme.CA(key_type=trustme.KeyType.ECDSA)
        self.between = self.root.create_child_ca(key_type=trustme.KeyType.ECDSA)
        self.pair = OwnPair(folder / "fullchain.pem", folder / "private.pem")
        self.ca = folder / "root.pem"
        self.root.cert_pem.write_to_path(self.ca)

    def issue(
        self,
        kind: trustme.KeyType = trustme.KeyType.ECDSA,
        not_before: datetime.datetime | None = None,
        not_after: datetime.datetime | None = None,
    ) -> trustme.LeafCert:
        return self.between.issue_cert(NAME, key_type=kind, not_before=not_before, not_after=not_after)

    def write(self, issued: trustme.LeafCert, key: trustme.LeafCert | None = None) -> bytes:
        """Returns the server's own certificate, DER."""
        self.pair.chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        self.pair.key.write_bytes((key or issued).private_key_pem.bytes())
        return der(issued)


def der(issued: trustme.LeafCert) -> bytes:
    certificate = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
    return certificate.public_bytes(serialization.Encoding.DER)


class Says(list[str]):
    """What the owner is told."""


def of_own(own: Own, folder: Path, says: Says) -> ServerCertificate:
    return ServerCertificate(folder / "certificates", [NAME], "OPX test CA", own.pair, on_notice=says.append)


async def hello(request: object, receive: object, send: object) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
    await send({"type": "http.response.body", "body": b"hello"})  # type: ignore[operator]


@asynccontextmanager
async def serving(network: LoopbackNetwork, certificate: ServerCertificate) -> AsyncIterator[tuple[str, int]]:
    server = HttpsServer(hello, network.at("20.1"), 8443, certificate)
    await server.start()
    try:
        yield network.at("20.1"), 8443
    finally:
        await server.stop()


class Client:
    """A connection with TLS to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, address: tuple[str, int], ca: Path, version: ssl.TLSVersion | None = None) -> "Client":
        context = ssl.create_default_context(cafile=str(ca))
        if version is not None:
            context.maximum_version = version
        return cls(*await asyncio.open_connection(*address, ssl=context, server_hostname=NAME))

    @property
    def certificate(self) -> bytes:
        found: bytes = self._writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return found

    async def get(self) -> bytes:
        self._writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        return await self._reader.readuntil(b"hello")

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


async def seen(address: tuple[str, int], ca: Path, version: ssl.TLSVersion | None = None) -> bytes:
    """The certificate that a new connection gets."""
    client = await Client.to(address, ca, version)
    try:
        assert b"hello" in await client.get()
        return client.certificate
    finally:
        await client.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("kind", [trustme.KeyType.ECDSA, trustme.KeyType.RSA])
async def test_new_files_are_shown_to_new_connections_and_running_ones_go_on(
    loopback: LoopbackNetwork, tmp_path: Path, kind: trustme.KeyType, version: ssl.TLSVersion
) -> None:
    own, says = Own(tmp_path), Says()
    first = own.write(own.issue())
    certificate = of_own(own, tmp_path, says)
    async with serving(loopback, certificate) as address:
        running = await Client.to(address, own.ca, version)
        assert running.certificate == first

        second = own.write(own.issue(kind))
        assert await seen(address, own.ca, version) == first
        assert certificate.look()

        assert await seen(address, own.ca, version) == second
        assert b"hello" in await running.get()
        assert not certificate.look()
        await running.close()
    assert len(says) == 1 and f"{own.pair.chain}: taken over without a restart; it lasts" in says[0]


async def test_the_watch_looks_by_itself(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    own, says, looked = Own(tmp_path), Says(), asyncio.Event()
    own.write(own.issue())
    certificate = of_own(own, tmp_path, says)
    certificate.open()

    async def sleep(seconds: float) -> None:
        if says:
            looked.set()
            await asyncio.Event().wait()

    own.write(own.issue())
    watching = asyncio.create_task(certificate.watch(sleep))
    await looked.wait()
    watching.cancel()
    assert "taken over" in says[0]


async def test_a_pair_that_does_not_match_is_refused_once_and_a_good_one_taken_after_it(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    own, says = Own(tmp_path), Says()
    first = own.write(own.issue())
    certificate = of_own(own, tmp_path, says)
    async with serving(loopback, certificate) as address:
        second = own.issue()
        own.write(second, key=own.issue())
        assert not certificate.look() and not certificate.look()

        assert await seen(address, own.ca) == first
        assert says == [
            f"a new certificate is refused and the one before stays in use: {own.pair.key} does not belong to the "
            f"first certificate of {own.pair.chain}; expected the server's own pair"
        ]
        own.write(second)
        assert certificate.look()
        assert await seen(address, own.ca) == der(second)


def spoil(own: Own, how: str) -> None:
    issued = own.issue()
    own.write(issued)
    chain, key = own.pair.chain, own.pair.key
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    if how == "no chain":
        chain.unlink()
    elif how == "no key":
        key.unlink()
    elif how == "empty chain":
        chain.write_bytes(b"")
    elif how == "half a chain":
        chain.write_bytes(chain.read_bytes()[:200])
    elif how == "half a key":
        key.write_bytes(key.read_bytes()[:60])
    elif how == "turned round":
        chain.write_bytes(b"".join(blob.bytes() for blob in reversed(issued.cert_chain_pems)))
    elif how == "a stranger above":
        other = trustme.CA()
        chain.write_bytes(issued.cert_chain_pems[0].bytes() + other.cert_pem.bytes())
    elif how == "sealed key":
        key.write_bytes(
            loaded.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"passphrase"),
            )
        )
    elif how == "expired":
        now = datetime.datetime.now(datetime.UTC)
        own.write(own.issue(not_before=now - 3 * DAY, not_after=now - DAY))


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("no chain", "fullchain.pem cannot be read (No such file or directory)"),
        ("no key", "private.pem cannot be read (No such file or directory)"),
        ("empty chain", "fullchain.pem holds no certificate"),
        ("half a chain", "fullchain.pem holds no certificate"),
        ("half a key", "private.pem holds no private key"),
        ("turned round", "expected the server's own pair"),
        ("a stranger above", "expected the chain in order, the server's first"),
        ("sealed key", "private.pem is sealed with a passphrase"),
        ("expired", "fullchain.pem is not valid now"),
    ],
)
async def test_files_that_cannot_be_used_leave_the_old_certificate_in_use(
    loopback: LoopbackNetwork, tmp_path: Path, how: str, why: str
) -> None:
    own, says = Own(tmp_path), Says()
    first = own.write(own.issue())
    certificate = of_own(own, tmp_path, says)
    async with serving(loopback, certificate) as address:
        spoil(own, how)
        assert not certificate.look()

        assert await seen(address, own.ca) == first
        (said,) = says
        assert why in said
        assert "PRIVATE" not in said
        if how != "expired":
            with pytest.raises(CertificateError):
                of_own(own, tmp_path, says).open()


def test_a_private_certificate_is_renewed_while_the_server_runs(tmp_path: Path) -> None:
    now, says = datetime.datetime.now(datetime.UTC), Says()
    certificate = ServerCertificate(tmp_path, ["127.0.0.1"], "OPX test CA", on_notice=says.append, clock=lambda: now)
    certificate.open()
    first = (tmp_path / "server.pem").read_bytes()
    assert not certificate.look()

    now += (SERVER_DAYS - RENEW_DAYS) * DAY + DAY
    assert certificate.look()

    assert (tmp_path / "server.pem").read_bytes() != first
    assert certificate.authority_file == tmp_path / "ca.pem"
    assert says == [f"{tmp_path}/server.pem: taken over without a restart; it lasts {SERVER_DAYS} days"]


async def test_a_certificate_follows_the_names_of_its_server(tmp_path: Path) -> None:
    names = ["127.0.0.1"]
    looks = 0

    async def renamed() -> list[str]:
        return names

    async def sleep(seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            names.append("phones.example.com")
        elif looks == 3:
            raise asyncio.CancelledError

    says = Says()
    certificate = ServerCertificate(
        tmp_path, names[:], "OPX test CA", constrained=False, renamed=renamed, on_notice=says.append
    )
    certificate.open()
    authority = (tmp_path / "ca.pem").read_bytes()
    with pytest.raises(asyncio.CancelledError):
        await certificate.watch(sleep)

    assert set(certificate_report(tmp_path)[0].names) == {"127.0.0.1", "phones.example.com"}
    assert len(says) == 1 and "taken over without a restart" in says[0]
    assert (tmp_path / "ca.pem").read_bytes() == authority


def test_a_renewal_that_fails_is_said_once_and_tried_again(tmp_path: Path) -> None:
    says = Says()
    certificate = ServerCertificate(tmp_path, ["127.0.0.1"], "OPX test CA", on_notice=says.append)
    certificate.open()
    key = (tmp_path / "ca.key").read_bytes()
    (tmp_path / "ca.key").unlink()

    assert not certificate.look() and not certificate.look()
    assert len(says) == 1 and "the certificate cannot be renewed: " in says[0] and "ca.key" in says[0]

    (tmp_path / "ca.key").write_bytes(key)
    certificate.look()
    assert (tmp_path / "server.pem").exists()


def test_expiry_is_reported_for_whoever_watches_it(tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    ServerCertificate(tmp_path / "own", ["127.0.0.1"], "OPX test CA").open()
    server, authority = certificate_report(tmp_path / "own")
    assert (server.names, server.authority) == (("127.0.0.1",), False)
    assert (authority.subject, authority.authority) == ("CN=OPX test CA", True)
    assert SERVER_DAYS - 1 < server.days_left(now.timestamp()) <= SERVER_DAYS

    own = Own(tmp_path)
    own.write(own.issue(not_after=now + 5 * DAY))
    report = certificate_report(tmp_path / "nowhere", own.pair)
    assert [entry.authority for entry in report] == [False, True]
    assert report[0].names == (NAME,)
    assert 4 < report[0].days_left(now.timestamp()) <= 5
    with pytest.raises(CertificateError, match=r"server\.pem cannot be read"):
        certificate_report(tmp_path / "nowhere")


def test_old_versions_of_tls_are_not_spoken(tmp_path: Path) -> None:
    own = Own(tmp_path)
    own.write(own.issue())

    assert load_pair(own.pair).minimum_version is ssl.TLSVersion.TLSv1_2
    assert read_certificates(own.pair.chain)[0].names == (NAME,)
