"""A running gateway takes over at once what its settings file says of licences, expiries and bounds."""

from pathlib import Path

import pytest

from opx.config import SettingsFile
from opx.gateway.control.client import ControlClient
from opx.gateway.control.protocol import NotAllowed
from opx.gateway.service import GatewayService
from opx.gateway.settings import GatewaySettings
from support.network import LoopbackNetwork


async def test_licences_change_at_once_and_a_file_with_a_mistake_changes_nothing(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    path = tmp_path / "gateway.toml"
    text = f"""
[set_side]
address = "{loopback.at("10.1")}"
[icp_side]
address = "{loopback.at("20.1")}"
[media]
workers = 0
[limits]
licences = 1
"""
    path.write_text(text)
    file = SettingsFile.read(path)
    gateway = GatewayService(file.settings(GatewaySettings), file=file)
    await gateway.start()
    client = ControlClient(gateway.settings.control_socket)
    licences = gateway.signalling.registrar.licences
    try:
        path.write_text(text.replace("licences = 1", "licences = 7"))
        assert licences.total == 1
        await client.take_settings()
        assert licences.total == 7
        assert (await client.status()).licences == 7
        path.write_text(text.replace("licences = 1", "licences = -7"))
        with pytest.raises(NotAllowed, match=r"gateway.toml:9: limits.licences"):
            await client.take_settings()
        assert licences.total == 7
    finally:
        await client.close()
        await gateway.stop()
