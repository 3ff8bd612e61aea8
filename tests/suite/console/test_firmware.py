"""Configuration > Firmware."""

from pathlib import Path

import httpx

from support.console import Visitor, signed_in
from support.suite_console import open_suite_console

IMAGE = b"\x7fIMG\0 V6.4.0.140-SIP\0" + bytes(500_000)


async def upload(visitor: Visitor, data: bytes, name: str, **values: str) -> httpx.Response:
    await visitor.get("/firmware")
    token = visitor.form("/firmware/add")["form_token"]
    fields = {"form_token": token, "model": "", "version": "", **values}
    visitor.page = await visitor.client.post(
        "/firmware/add", data=fields, files={"file": (name, data)}, follow_redirects=True
    )
    return visitor.page


async def test_a_firmware_is_uploaded_activated_and_deleted(tmp_path: Path) -> None:
    more = f'[firmware]\nfolder = "{tmp_path}/firmware"\nmost_bytes = 1000000\n'
    async with open_suite_console(tmp_path, more) as suite:
        visitor = await signed_in(suite)
        assert (await upload(visitor, IMAGE, "6930.st")).status_code == 200
        assert "6.4.0.140-SIP for 6930 is in the library: phones get it" in visitor.text
        assert (tmp_path / "firmware" / "6930-6.4.0.140-SIP.st").read_bytes() == IMAGE
        await upload(visitor, bytes(5000), "6930.st", version="6.5.0.1")
        assert "activate it when it is wanted" in visitor.text
        await visitor.send("/firmware/2/activate")
        assert "Phones 6930 get 6.5.0.1-SIP" in visitor.text
        await visitor.send("/firmware/1/delete")
        assert "6.4.0.140-SIP for 6930 is deleted." in visitor.text
        assert [path.name for path in (tmp_path / "firmware").iterdir()] == ["6930-6.5.0.1-SIP.st"]
        await visitor.send("/firmware/2/deactivate")
        assert "they keep what they have" in visitor.text
        await visitor.get("/audit-log")
        assert "added a firmware" in visitor.text and "deactivated a firmware" in visitor.text


async def test_a_file_that_cannot_be_taken_is_refused_with_the_reason(tmp_path: Path) -> None:
    more = f'[firmware]\nfolder = "{tmp_path}/firmware"\nmost_bytes = 1000000\n'
    async with open_suite_console(tmp_path, more) as suite:
        visitor = await signed_in(suite)
        for data, name, values, said in (
            (b"plain", "6930.st", {}, "expected a version such as"),
            (IMAGE, "firmware.bin", {}, "expected a model such as"),
            (IMAGE, "6930.st", {"version": "1.2.3.4"}, "the file itself says that it is 6.4.0.140-SIP"),
            (IMAGE * 2, "6930.st", {}, "at most 1000000 bytes"),
        ):
            assert (await upload(visitor, data, name, **values)).status_code == 422
            assert said in visitor.text
        assert (await upload(visitor, IMAGE * 3, "6930.st")).status_code == 413
        await visitor.get("/firmware")
        await visitor.send("/firmware/add")
        assert "choose a file" in visitor.text
        assert list((tmp_path / "firmware").iterdir()) == []
