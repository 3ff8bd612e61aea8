"""What a suite's backup holds, beside its database, key and settings."""

from sqlalchemy import Connection, select

from opx.store.backup import Holdings
from opx.store.secrets import Sealer
from opx.suite.models import Setting
from opx.suite.opening import KEY_PROBE, MIGRATIONS
from opx.suite.settings import SuiteSettings

PROGRAM = "opx suite"


def holdings_of(settings: SuiteSettings) -> Holdings:
    """Firmware files are not among them: they are large, and can be had again."""
    certificates = settings.certificates
    return Holdings(
        PROGRAM,
        settings.database_place,
        settings.key_file,
        "suite.key",
        certificates.folder,
        MIGRATIONS,
        ("sip_extension", "phone"),
        _check_key,
        settings.bulletin,
        {"own/chain.pem": certificates.chain, "own/key.pem": certificates.key},
    )


def _check_key(connection: Connection, sealer: Sealer) -> None:
    probe = connection.execute(select(Setting.value).where(Setting.key == "key")).scalar()
    if probe is not None:
        sealer.open(bytes.fromhex(probe), KEY_PROBE)
