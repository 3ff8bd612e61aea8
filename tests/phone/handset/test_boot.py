"""What a handset fetches at its start, in which order, and what it makes of the answers. In memory."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from opx.phone.handset import cfg
from opx.phone.handset.boot import Boot, Outcome, Result
from opx.phone.handset.flash import Firmware, Flash, FlashFile, NoFirmware, version_of
from opx.phone.handset.http import Answer, AnswerReader, HttpError, Url, request
from opx.phone.handset.menu import MenuRefused, advanced, set_configuration_server
from opx.phone.handset.models import MODELS, Identity
from opx.phone.handset.trust import Trust
from opx.phone.handset.values import Values
from opx.sip.digest import DigestClient

IDENTITY = Identity.of("1400E9000001", "6930")
ROOT = "https://198.51.100.1:8202/"
TYPED = {
    "download protocol": "HTTPS",
    "https server": "198.51.100.1",
    "https port": "8202",
    "https validate certificates": "0",
}
IMAGE = b"\0\0MITEL 6930 6.4.1.15-SIP\n" + bytes(100)


class Server:
    """Answers from memory. A number is a status, an exception is raised once, then the next entry counts."""

    def __init__(self, files: dict[str, list[str | bytes | int | Exception]]) -> None:
        self.trust = Trust()
        self.digest: DigestClient | None = None
        self.files = files
        self.asked: list[str] = []
        self.trusted: dict[str, Trust] = {}
        self.shown: dict[str, DigestClient | None] = {}

    async def get(self, url: str, headers: Sequence[tuple[str, str]] = ()) -> Answer:
        name = url.removeprefix(ROOT)
        self.asked.append(name)
        self.trusted[name] = self.trust
        self.shown[name] = self.digest
        entries = self.files.get(name, [404])
        entry = entries.pop(0) if len(entries) > 1 else entries[0]
        if isinstance(entry, Exception):
            raise entry
        if isinstance(entry, int):
            return Answer(entry)
        etag = '"1"'
        if ("If-None-Match", etag) in headers:
            return Answer(304)
        return Answer(200, {"etag": [etag]}, entry.encode() if isinstance(entry, str) else entry)


def server(**files: str | bytes | int | list[str | bytes | int | Exception]) -> Server:
    """By name with `_` for `.`; `MAC_cfg` is the handset's own file."""
    named = {
        name.replace("_", ".").replace("MAC", IDENTITY.mac).replace("M6", "6"): entry for name, entry in files.items()
    }
    return Server({name: entry if isinstance(entry, list) else [entry] for name, entry in named.items()})


def flash() -> Flash:
    return Flash(Firmware("SIP", "6.4.0.140"), local=dict(TYPED))


async def boot(source: Server, memory: Flash, *, firmware: bool = True) -> tuple[Result, Values]:
    values = Values(local=memory.local)
    values.load([cfg.read(text) for text in memory.server_files.values()])
    result = await Boot(IDENTITY, memory, values, source, (0.0, 0.0), lambda text: None).run(firmware=firmware)
    return result, values


async def test_files_are_asked_for_in_the_handsets_order_and_the_later_ones_count_more() -> None:
    source = server(
        startup_cfg="tone set: US\nlanguage 1: german.txt\ndirectory 1: staff.csv",
        M6930_cfg="tone set: UK",
        MAC_cfg="tone set: Germany\nsip line1 user name: 1001",
        german_txt="de",
        staff_csv="Anna, 1001",
    )
    memory = flash()
    result, values = await boot(source, memory)
    assert result.outcome is Outcome.READ and result.changed and result.problems == []
    assert source.asked == [
        *("startup.cfg", "aastra.cfg", "6930.cfg", "1400E9000001.cfg", "6930.st"),
        *("german.txt", "staff.csv"),
    ]
    assert values["tone set"] == "Germany"
    assert memory.files == {"language 1": "de", "directory 1": "Anna, 1001"}


async def test_without_content_in_the_first_file_the_handset_goes_no_further() -> None:
    source = server(startup_cfg="", MAC_cfg="tone set: UK")
    result, _ = await boot(source, flash())
    assert result.outcome is Outcome.REFUSED
    assert source.asked == ["startup.cfg", "aastra.cfg"]


async def test_the_older_name_of_the_first_file_will_do() -> None:
    source = server(aastra_cfg="# here", MAC_cfg="tone set: UK")
    result, values = await boot(source, flash())
    assert (result.outcome, values["tone set"]) == (Outcome.READ, "UK")


@pytest.mark.parametrize("failure", [HttpError("cannot be reached"), 503])
async def test_with_its_server_away_it_goes_on_with_what_it_has(failure: Exception | int) -> None:
    memory = flash()
    memory.server_files = {"startup.cfg": "tone set: UK"}
    source = Server({"startup.cfg": ["tone set: US"], "aastra.cfg": [failure]})
    result, values = await boot(source, memory)
    assert result.outcome is Outcome.AWAY
    assert source.asked == ["startup.cfg", *["aastra.cfg"] * 3]
    assert values["tone set"] == "UK", "half a configuration is none"


async def test_a_second_try_that_succeeds_is_told() -> None:
    source = server(startup_cfg=[HttpError("reset"), 503, "# here"])
    result, _ = await boot(source, flash())
    assert (result.outcome, result.second_tries) == (Outcome.READ, 2)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_file_leaves_what_was_read_before(status: int) -> None:
    memory = flash()
    memory.server_files = {"startup.cfg": "# x", "1400E9000001.cfg": "sip line1 user name: 1001"}
    result, values = await boot(server(startup_cfg="# x", MAC_cfg=status), memory)
    assert result.outcome is Outcome.REFUSED
    assert values["sip line1 user name"] == "1001"


async def test_a_file_that_is_gone_is_gone() -> None:
    memory = flash()
    memory.server_files = {"startup.cfg": "# x", "1400E9000001.cfg": "sip line1 user name: 1001"}
    result, values = await boot(server(startup_cfg="# x"), memory)
    assert result.changed
    assert values["sip line1 user name"] == ""


async def test_what_the_handset_does_not_understand_is_told_with_its_file() -> None:
    result, _ = await boot(server(startup_cfg="# x", M6930_cfg="colour: red"), flash())
    assert result.problems == ["6930.cfg: line 1: unknown parameter colour"]


async def test_new_firmware_is_flashed_once() -> None:
    memory = flash()
    source = server(startup_cfg="# x", M6930_st=IMAGE)
    result, _ = await boot(source, memory)
    assert result.outcome is Outcome.FLASHED
    assert memory.firmware.version == "6.4.1.15"
    result, _ = await boot(source, memory)
    assert result.outcome is Outcome.READ
    result, _ = await boot(source, memory, firmware=False)
    assert source.asked[-1] == "1400E9000001.cfg"


@pytest.mark.parametrize("image", [b"<html>", b"MITEL 6940 6.4.1.15-SIP\n"])
async def test_what_is_no_firmware_for_this_model_is_not_flashed(image: bytes) -> None:
    memory = flash()
    result, _ = await boot(server(startup_cfg="# x", M6930_st=image), memory)
    assert result.outcome is Outcome.READ and len(result.problems) == 1
    assert memory.firmware.version == "6.4.0.140"
    with pytest.raises(NoFirmware):
        version_of(image, MODELS["6930"])


async def test_the_authority_is_installed_and_believed_from_then_on() -> None:
    pem = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"
    source = server(
        startup_cfg="!https validate certificates: 1\nhttps validate hostname: 0\nhttps user certificates: ca.pem\n"
        "language 1: german.txt",
        ca_pem=pem,
        german_txt="de",
    )
    memory = flash()
    await boot(source, memory)
    assert source.trusted["ca.pem"] == Trust()
    assert source.trusted["german.txt"] == Trust(True, False, True, pem)
    assert memory.certificates == pem


async def test_what_was_typed_stays_above_an_unlocked_validation() -> None:
    source = server(startup_cfg="https validate certificates: 1")
    _, values = await boot(source, flash())
    assert not values.flag("https validate certificates")


async def test_without_a_server_nothing_is_asked() -> None:
    source = server()
    result, _ = await boot(source, Flash(Firmware("SIP", "6.4.0.140")))
    assert (result.outcome, source.asked) == (Outcome.NONE, [])


# --- the menu


def test_minet_firmware_has_no_configuration_server_menu() -> None:
    with pytest.raises(MenuRefused, match="MiNET firmware"):
        advanced(Flash(), Values(), "22222")


def test_the_menu_wants_the_administrators_password_as_it_is_now() -> None:
    memory, values = flash(), Values()
    advanced(memory, values, "22222")
    values.load([cfg.read("!admin password: 4711")])
    with pytest.raises(MenuRefused, match="wrong"):
        advanced(memory, values, "22222")
    advanced(memory, values, "4711")


def test_the_configuration_server_page_is_kept_and_checked() -> None:
    memory, values = flash(), Values()
    entries = {
        "Download Protocol": "https",
        "HTTPS Server": "gw.example",
        "HTTPS Port": "8202",
        "Cert Validation": "false",
    }
    set_configuration_server(memory, values, entries)
    assert memory.local == {**TYPED, "https server": "gw.example"}
    for wrong in ({"HTTPS Port": "0"}, {"Cert Validation": "maybe"}, {"Download Protocol": "SMB"}, {"Colour": "red"}):
        with pytest.raises(MenuRefused):
            set_configuration_server(memory, values, wrong)


# --- flash and HTTP


def test_flash_survives_as_a_file_of_its_owner(tmp_path: Path) -> None:
    file = FlashFile(tmp_path / "state" / "1400E9000001.json")
    assert file.read() is None
    memory = flash()
    memory.digest = ("1001", "4711")
    memory.server_files = {"startup.cfg": "# x"}
    file.write(memory)
    assert file.read() == memory
    assert file.path.stat().st_mode & 0o777 == 0o600
    file.path.write_text("{}")
    with pytest.raises(ValueError, match="not the state of a handset"):
        file.read()


def test_urls_are_http_and_nothing_else() -> None:
    url = Url.parse("https://gw.example:8202/xml/menu?a=b")
    assert (url.host, url.port, url.target, url.authority) == ("gw.example", 8202, "/xml/menu?a=b", "gw.example:8202")
    for wrong in ("ftp://a/b", "menu.xml", "https://"):
        with pytest.raises(ValueError):
            Url.parse(wrong)
    assert request(url, [("A", "b")], keep_alive=False).startswith(
        b"GET /xml/menu?a=b HTTP/1.1\r\nHost: gw.example:8202\r\n"
    )


def test_answers_are_read_in_pieces_and_must_be_whole() -> None:
    reader = AnswerReader()
    for piece in (b"HTTP/1.1 200 OK\r\nContent-", b"Length: 4\r\nETag: x\r\n\r\nab", b"cd"):
        reader.feed(piece)
    assert reader.done and (reader.answer.status, reader.answer.body, reader.answer.header("etag")) == (
        200,
        b"abcd",
        "x",
    )
    half = AnswerReader()
    half.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
    with pytest.raises(HttpError, match="before the answer was whole"):
        half.end()
    with pytest.raises(HttpError, match="not HTTP"):
        AnswerReader().feed(b"220 smtp.example ESMTP\r\n")
    small = AnswerReader(max_body=3)
    with pytest.raises(HttpError, match="too large"):
        small.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd")


async def test_a_password_that_the_files_bring_is_shown_for_what_they_name() -> None:
    own = "http digest username: opx-1\nhttp digest password: own\ndirectory 1: directory.csv\n"
    server = Server({"startup.cfg": ["tone set: UK\n"], "1400E9000001.cfg": [own], "directory.csv": ["Ada,1001\n"]})
    server.digest = before = DigestClient("aastra", "aastra")
    flash = Flash(Firmware("SIP", "6.4.0.140"), local=dict(TYPED))
    await Boot(IDENTITY, flash, Values(local=flash.local), server, (), lambda text: None).run()
    assert server.shown["1400E9000001.cfg"] is before
    assert server.shown["directory.csv"] is server.digest is not before
