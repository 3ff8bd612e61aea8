"""The certificates that the gateway's HTTPS servers show, by its settings."""

import time
from pathlib import Path

import pytest
import trustme

from opx.config import ConfigError, load_settings
from opx.gateway.certificates import certificates_in_use, near_expiry, server_certificate
from opx.gateway.settings import GatewaySettings
from opx.web.authority import AUTHORITY_DAYS, SERVER_DAYS, CertificateError

SIDES = '[set_side]\naddress = "127.0.10.1"\n[icp_side]\naddress = "127.0.20.1"\n'


def settings(folder: Path, text: str = "") -> GatewaySettings:
    (folder / "gateway.toml").write_text(f"{SIDES}[certificates]\n{text}")
    return load_settings(GatewaySettings, folder / "gateway.toml")


def test_without_any_setting_a_private_authority_is_made_beside_the_settings_file(tmp_path: Path) -> None:
    gateway = settings(tmp_path)
    certificate = server_certificate(gateway)
    certificate.open()

    assert certificate.authority_file == tmp_path / "certificates" / "ca.pem"
    server, authority = certificates_in_use(gateway)
    assert server.names == ("127.0.20.1",), "the outside address is no name of a server inside"
    assert authority.subject == "CN=OPX gateway CA"


def test_further_names_are_in_the_certificate(tmp_path: Path) -> None:
    gateway = settings(tmp_path, 'names = ["Gateway.example", "192.168.7.1"]\n')
    server_certificate(gateway).open()

    assert set(certificates_in_use(gateway)[0].names) == {"127.0.20.1", "192.168.7.1", "gateway.example"}


def test_what_expires_soon_is_told(tmp_path: Path) -> None:
    gateway = settings(tmp_path, "warn_days = 20\n")
    server_certificate(gateway).open()
    now, day = time.time(), 86400

    assert near_expiry(gateway, now) == []
    assert [info.authority for info in near_expiry(gateway, now + (SERVER_DAYS - 19) * day)] == [False]
    assert [info.authority for info in near_expiry(gateway, now + AUTHORITY_DAYS * day)] == [False, True]


def test_an_own_pair_is_taken_from_the_settings_files_folder(tmp_path: Path) -> None:
    issued = trustme.CA().issue_cert("gateway.example")
    gateway = settings(tmp_path, 'chain = "own/chain.pem"\nkey = "own/key.pem"\n')
    with pytest.raises(CertificateError, match=r"own/chain\.pem cannot be read"):
        server_certificate(gateway).open()

    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "chain.pem").write_bytes(issued.cert_chain_pems[0].bytes())
    (tmp_path / "own" / "key.pem").write_bytes(issued.private_key_pem.bytes())
    server_certificate(gateway).open()

    assert [info.names for info in certificates_in_use(gateway)] == [("gateway.example",)]
    assert not (tmp_path / "certificates").exists()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('chain = "a.pem"', "certificates.key: chain and key go together"),
        ('key = "a.key"', "certificates.key: chain and key go together"),
        ('names = ["not a name"]', "certificates.names[0]: 'not a name' is no host name or address; expected one"),
        ('names = ["-a.example"]', "'-a.example' is no host name or address"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        settings(tmp_path, text)
    assert problem in str(refused.value)
