"""What phones of the LAN get beside HTTPS: firmware by HTTP and TFTP, and an ear for their log."""

import asyncio
import io
import socket
from pathlib import Path

from opx.suite.firmware.store import FirmwareStore
from opx.suite.handsets.service import HandsetService
from opx.suite.lan.room import LanRoom
from opx.suite.syslog.repository import PhoneLog
from support.handset_site import MAC, Handset, HandsetSite, handset_site
from support.network import LoopbackNetwork
from support.programs import needs_program
from support.suite_store import suite_file

IMAGE = b"\x7fIMG\0 6.4.0.140-SIP\0" + bytes(range(256)) * 800


def room(service: HandsetService) -> LanRoom:
    found = service.rooms[1]
    assert isinstance(found, LanRoom)
    return found


async def add_firmware(service: HandsetService) -> FirmwareStore:
    settings = service.settings.firmware
    store = FirmwareStore(service.house.sites.engine, settings.folder, settings.most_bytes)
    stream = io.BytesIO(IMAGE)

    async def read(size: int) -> bytes:
        return stream.read(size)

    await store.add(read, "6930.st", "", "", "ada")
    await room(service).firmware.take_over()
    return store


async def test_a_firmware_is_served_to_handsets_as_its_models_file_and_not_again(tmp_path: Path) -> None:
    async with handset_site(tmp_path, f'[firmware]\nfolder = "{tmp_path}/firmware"\n') as site:
        phone = Handset(site)
        assert (await phone.ask("/6930.st")).status_code == 404
        store = await add_firmware(site.service)
        answer = await phone.ask("/6930.st")
        assert (answer.status_code, answer.content) == (200, IMAGE)
        assert answer.headers["content-length"] == str(len(IMAGE))
        etag = {"if-none-match": answer.headers["etag"]}
        assert (await phone.ask("/6930.st", headers=etag)).status_code == 304
        assert (await phone.ask("/6930.st", method="HEAD")).content == b""
        assert (await phone.ask("/6940.st")).status_code == 404
        assert (await phone.ask("/6930-6.4.0.140-SIP.st")).status_code == 404
        (record,) = await store.all()
        await store.activate(record.id, False)
        await room(site.service).firmware.take_over()
        assert (await phone.ask("/6930.st")).status_code == 404


async def curl(url: str) -> bytes:
    process = await asyncio.create_subprocess_exec("curl", "--silent", url, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return output


@needs_program("curl")
async def test_the_handsets_process_serves_tftp_and_hears_syslog_and_says_what_it_cannot_bind(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    address = loopback.at("20.10")
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taken.bind((address, 5514))
    ports = f'[lan]\ntftp_port = 6969\nsyslog_port = 5514\n[firmware]\nfolder = "{tmp_path}/firmware"\n'
    service = HandsetService(suite_file(tmp_path, address, more=ports))
    await service.start()
    try:
        said = await service.announcement()
        assert f"TFTP for phones of the LAN: {address}, UDP port 6969" in said
        assert any(line.startswith("no syslog of phones of the LAN: UDP port 5514 cannot be bound") for line in said)
        await add_firmware(service)
        at = f"tftp://{address}:6969"
        assert await curl(f"{at}/6930.st") == IMAGE
        system = (await curl(f"{at}/startup.cfg")).decode()
        assert "download protocol: HTTPS" in system and f"https server: {address}" in system
        assert "password" not in system
        assert b"inactive minet present" in await curl(f"{at}/6930.cfg")
        for name in (f"{MAC}.cfg", "ca.key", "../suite.key", "6940.st"):
            assert await curl(f"{at}/{name}") == b""
    finally:
        await service.stop()
        taken.close()


async def test_lines_are_filed_by_the_address_that_a_phone_of_the_lan_was_seen_at(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    address, phone = loopback.at("20.10"), loopback.at("20.101")
    service = HandsetService(suite_file(tmp_path, address, more="[lan]\ntftp = false\nsyslog_port = 5514\n"))
    await service.start()
    try:
        site = HandsetSite(service, {})
        await Handset(site, lan=phone).fetch()
        await site.settled()
        receiver = room(service).syslog
        assert receiver is not None and room(service).tftp is None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((phone, 0))
            sender.sendto(b"<131>sip: registration refused", (address, 5514))
        log = PhoneLog(service.house.sites.engine)
        for _ in range(1000):
            await receiver.flush()
            if lines := await log.lines(MAC, ""):
                break
            await asyncio.sleep(0.01)
        assert [(line.severity, line.text, line.source) for line in lines] == [(3, "sip: registration refused", phone)]
    finally:
        await service.stop()
