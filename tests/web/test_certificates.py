"""The private authority: made once, constrained to its names, and its server certificates renewed in time."""

import datetime
import logging
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from opx.web.authority import AUTHORITY_DAYS, SERVER_DAYS, Authority, CertificateError, write_private
from opx.web.certificates import RENEW_DAYS, CertificateFiles, ensure_certificate, load_chain, read_certificates
from opx.web.served import OwnPair, load_pair
from support.together import run_together

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
NAMES = ["192.168.20.1", "gateway.example.com"]


def made(folder: Path, names: list[str] = NAMES, now: datetime.datetime = NOW) -> CertificateFiles:
    return ensure_certificate(folder, names, "OPX test CA", now=now)


def handshake(context: ssl.SSLContext, authority: Path, name: str) -> dict[str, object]:
    """The server's certificate as a client that trusts `authority` alone sees it; ssl.SSLError when it does not."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cafile=str(authority)).wrap_bio(to_client, to_server, server_hostname=name)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client, server, client, server]
    for end in waiting:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    seen = client.getpeercert()
    assert seen is not None
    return dict(seen)


@pytest.mark.parametrize("names", [NAMES, NAMES[:1], NAMES[1:], ["203.0.113.7"], ["fd00::1", "gateway"]])
def test_a_first_start_makes_an_authority_and_a_certificate_that_clients_accept(
    tmp_path: Path, names: list[str]
) -> None:
    files = made(tmp_path / "certificates", names)

    context = load_pair(OwnPair(files.certificate, files.key))
    for name in names:
        handshake(context, files.authority, name)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for|mismatch"):
        handshake(context, files.authority, "192.168.20.2")


def test_keys_are_for_their_owner_only_and_certificates_for_all(tmp_path: Path) -> None:
    made(tmp_path)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir() if path.suffix}
    assert modes == {"ca.key": 0o600, "server.key": 0o600, "ca.pem": 0o644, "server.pem": 0o644}


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    made(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    made(tmp_path)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_the_authority_may_vouch_for_ends_at_its_names(tmp_path: Path) -> None:
    """Even with the authority's key nobody can be another site toward its clients."""
    files = made(tmp_path)
    authority = Authority.load(files.authority, tmp_path / "ca.key")

    for name in ("bank.example.com", "example.com", "203.0.113.7", "xgateway.example.com"):
        assert not authority.permits([name])
        certificate, key = authority.issue([name], NOW)
        write_private(tmp_path / "forged.pem", certificate)
        write_private(tmp_path / "forged.key", key)
        with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
            handshake(load_pair(OwnPair(tmp_path / "forged.pem", tmp_path / "forged.key")), files.authority, name)
    assert authority.permits(["192.168.7.9", "gateway.example.com", "a.gateway.example.com"])


@pytest.mark.parametrize(("names", "other"), [(["127.0.0.1"], "host.example"), (["host.example"], "192.0.2.1")])
def test_an_authority_for_one_kind_of_names_may_not_issue_for_the_other(
    tmp_path: Path, names: list[str], other: str
) -> None:
    made(tmp_path, names)

    assert not Authority.load(tmp_path / "ca.pem", tmp_path / "ca.key").permits([other])


def test_a_certificate_is_renewed_before_it_expires_and_the_authority_stays(tmp_path: Path) -> None:
    files = made(tmp_path)
    first, authority = files.certificate.read_bytes(), files.authority.read_bytes()
    renewal = NOW + datetime.timedelta(days=SERVER_DAYS - RENEW_DAYS)

    made(tmp_path, now=renewal - datetime.timedelta(days=1))
    assert files.certificate.read_bytes() == first
    made(tmp_path, now=renewal + datetime.timedelta(days=1))

    assert files.certificate.read_bytes() != first
    assert files.authority.read_bytes() == authority
    (renewed,) = read_certificates(files.certificate)
    assert SERVER_DAYS - 1 < renewed.days_left((renewal + datetime.timedelta(days=1)).timestamp()) <= SERVER_DAYS


def test_no_certificate_outlives_its_authority_and_none_is_made_again_and_again_near_its_end(tmp_path: Path) -> None:
    files = made(tmp_path)
    end = NOW + datetime.timedelta(days=AUTHORITY_DAYS)

    made(tmp_path, now=end - datetime.timedelta(days=10))
    last = files.certificate.read_bytes()
    assert load_chain(files.certificate)[0].not_valid_after_utc == end
    made(tmp_path, now=end - datetime.timedelta(days=5))
    assert files.certificate.read_bytes() == last


def test_an_expired_authority_is_replaced_kept_aside_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    files = made(tmp_path)
    old = files.authority.read_bytes()
    later = NOW + datetime.timedelta(days=AUTHORITY_DAYS + 1)

    made(tmp_path, now=later)

    assert files.authority.read_bytes() != old
    assert [path.read_bytes() for path in tmp_path.glob("*-ca.pem")] == [old]
    assert f"{files.authority}: a new authority is made, the one before has expired" in caplog.text


def test_other_names_get_another_certificate_from_the_same_authority_where_it_may(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    files = made(tmp_path)
    authority = files.authority.read_bytes()

    made(tmp_path, ["192.168.21.1", "gateway.example.com"])
    assert files.authority.read_bytes() == authority
    assert set(read_certificates(files.certificate)[0].names) == {"192.168.21.1", "gateway.example.com"}
    assert caplog.text == ""

    made(tmp_path, ["192.168.21.1", "other.example.net"])
    assert files.authority.read_bytes() != authority
    assert "may not issue for the names that are wanted now; clients must trust the new file" in caplog.text


def test_a_key_that_does_not_belong_to_the_certificate_is_replaced_with_it(tmp_path: Path) -> None:
    files = made(tmp_path)
    ensure_certificate(tmp_path, NAMES, "", stem="other", now=NOW)
    files.key.write_bytes((tmp_path / "other.key").read_bytes())

    made(tmp_path)

    load_pair(OwnPair(files.certificate, files.key))


def test_servers_of_two_sides_show_names_of_their_own_side_only(tmp_path: Path) -> None:
    inside = ensure_certificate(tmp_path, ["192.168.20.1"], "OPX test CA", stem="inside")
    outside = ensure_certificate(tmp_path, ["192.168.30.1"], "OPX test CA", stem="outside")

    assert inside.authority == outside.authority
    assert read_certificates(inside.certificate)[0].names == ("192.168.20.1",)
    assert b"192.168.20" not in outside.certificate.read_bytes()
    assert read_certificates(outside.certificate)[0].names == ("192.168.30.1",)


@pytest.mark.parametrize("broken", ["ca.key", "ca.pem"])
@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN nothing"])
def test_an_authority_that_lost_a_file_is_never_replaced_unseen(
    tmp_path: Path, broken: str, content: bytes | None
) -> None:
    made(tmp_path)
    (tmp_path / broken).unlink()
    if content is not None:
        (tmp_path / broken).write_bytes(content)

    with pytest.raises(CertificateError, match="restore both files of the authority from a backup, or remove both"):
        made(tmp_path)


def test_an_authority_with_the_key_of_another_is_refused(tmp_path: Path) -> None:
    made(tmp_path / "one")
    made(tmp_path / "other")
    (tmp_path / "one" / "ca.key").write_bytes((tmp_path / "other" / "ca.key").read_bytes())

    with pytest.raises(CertificateError, match=r"ca\.key does not belong to .*ca\.pem"):
        made(tmp_path / "one")


def test_starts_at_once_agree_on_one_authority(tmp_path: Path) -> None:
    seen = run_together(
        4,
        "from pathlib import Path\nfrom opx.web.certificates import ensure_certificate",
        "files = ensure_certificate(Path(sys.argv[1]), ['127.0.0.1'], 'OPX test CA')\n"
        "print(files.authority.read_bytes().hex(), files.certificate.read_bytes().hex(), files.key.read_bytes().hex())",
        str(tmp_path),
    )

    assert len(set(seen)) == 1


def test_an_authority_of_an_earlier_release_without_constraints_goes_on(tmp_path: Path) -> None:
    files = made(tmp_path)
    authority = Authority.load(files.authority, tmp_path / "ca.key")
    plain = x509.CertificateBuilder(
        issuer_name=authority.certificate.issuer,
        subject_name=authority.certificate.subject,
        public_key=authority.key.public_key(),
        serial_number=1,
        not_valid_before=NOW,
        not_valid_after=NOW + datetime.timedelta(days=100),
        extensions=[
            entry for entry in authority.certificate.extensions if not isinstance(entry.value, x509.NameConstraints)
        ],
    ).sign(authority.key, hashes.SHA256())
    assert Authority(plain, authority.key).permits(["anything.example", "203.0.113.9"])


def test_an_authority_for_any_name_outlives_every_change_of_names(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path, NAMES, "OPX test CA", constrained=False, now=NOW)
    first = files.authority.read_bytes()

    names = ["198.51.100.7", "phones.example.org"]
    ensure_certificate(tmp_path, names, "OPX test CA", constrained=False, now=NOW)

    assert files.authority.read_bytes() == first
    context = load_pair(OwnPair(files.certificate, files.key))
    for name in names:
        handshake(context, files.authority, name)
