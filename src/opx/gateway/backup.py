"""What a gateway's backup holds, beside its database, key and settings."""

from collections.abc import Iterator
from pathlib import Path

from opx.gateway.repository import MIGRATIONS, check_key
from opx.gateway.settings import GatewaySettings
from opx.store.backup import Holdings

PROGRAM = "opx gateway"


def holdings_of(settings: GatewaySettings) -> Holdings:
    certificates = settings.certificates

    def spooled() -> Iterator[Path]:
        """What a gateway had not written of its database."""
        spool = settings.spool_path
        if spool.parent.is_dir():
            for path in spool.parent.iterdir():
                if path.name.startswith(f"{spool.name}.") and path.name.removeprefix(f"{spool.name}.").isdigit():
                    yield path

    return Holdings(
        PROGRAM,
        settings.database_place,
        settings.key_file,
        "gateway.key",
        certificates.folder,
        MIGRATIONS,
        ("icp", "device"),
        check_key,
        settings.control_socket,
        {"import.toml": settings.import_file, "own/chain.pem": certificates.chain, "own/key.pem": certificates.key},
        spooled,
    )
