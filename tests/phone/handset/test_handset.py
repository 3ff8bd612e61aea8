"""A handset on real sockets: a scripted configuration server over HTTPS, and a PBX node to telephone with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from opx.phone.handset.boot import Outcome
from opx.phone.handset.drawing import screen
from opx.phone.handset.fetching import Client, Manner
from opx.phone.handset.flash import Firmware, Flash, NoFirmware
from opx.phone.handset.fleet import Fleet, Member, read_members, unboxed, write_members
from opx.phone.handset.handset import Handset, Place, Power
from opx.phone.handset.http import HttpError
from opx.phone.handset.menu import set_configuration_server
from opx.phone.handset.models import Identity
from opx.phone.handset.upgrade import upgrade
from opx.phone.handset.values import Values
from opx.sip.transport import WheelClock
from support.config_server import ConfigServer, config_server
from support.live import LiveSite, live_office
from support.network import LoopbackNetwork
from support.phones import TONES, TestPhone, hears, playing, until

MAC = "1400E9000001"
IMAGE = b"MITEL 6930 6.4.1.15-SIP\n"
QUICK = Manner(delays=(0.0,), timeout=20.0)


@dataclass
class Home:
    """A handset at `local`, the server that it is set to, and an office with 1101 and 1102."""

    server: ConfigServer
    site: LiveSite
    handset: Handset
    said: list[str]

    def line(self, number: str = "1101", more: str = "") -> str:
        """The handset's own file with that extension on line 1."""
        address = self.site.pbx_address
        return (
            f"sip proxy ip: {address}\nsip registrar ip: {address}\nsip line1 user name: {number}\n"
            f"sip line1 auth name: {number}\nsip line1 password: icp-{number}-Secret\n"
            f"sip line1 screen name: Anna\n{more}"
        )

    def picture(self) -> str:
        console = Console(width=70, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
        console.print(screen(self.handset))
        return console.export_text()


def typed(server: ConfigServer) -> Flash:
    flash = Flash(Firmware("SIP", "6.4.0.140"))
    entries = {
        "Download Protocol": "HTTPS",
        "HTTPS Server": server.address,
        "HTTPS Port": str(server.port),
        "Cert Validation": "false",
    }
    set_configuration_server(flash, Values(local=flash.local), entries)
    return flash


def outcome(at: Home) -> Outcome:
    assert at.handset.last is not None
    return at.handset.last.outcome


@pytest.fixture
async def clock() -> AsyncIterator[WheelClock]:
    made = WheelClock()
    made.start()
    yield made
    made.stop()


@asynccontextmanager
async def home(loopback: LoopbackNetwork, folder: Path, clock: WheelClock, **place: object) -> AsyncIterator[Home]:
    async with (
        live_office(loopback, folder, ("1101", "1102")) as site,
        config_server(loopback.at("20.10"), {"startup.cfg": "# common"}) as server,
    ):
        said: list[str] = []
        where = Place(loopback.at("30.1"), manner=QUICK, **place)  # type: ignore[arg-type]
        handset = Handset(Identity.of(MAC, "6930"), typed(server), where, clock, on_event=said.append)
        try:
            yield Home(server, site, handset, said)
        finally:
            await handset.power_off()


async def test_it_boots_registers_and_talks(loopback: LoopbackNetwork, tmp_path: Path, clock: WheelClock) -> None:
    async with home(loopback, tmp_path, clock, source=playing(TONES[0])) as at:
        base = at.server.url
        at.server.files |= {
            f"{MAC}.cfg": at.line(
                more=f"action uri startup: {base}/up\naction uri registered: {base}/in?u=$$SIPUSERNAME$$\n"
                f"action uri outgoing: {base}/out?n=$$REMOTENUMBER$$&s=$$LINESTATE$$\n"
                f"action uri disconnected: {base}/over\naction uri connected: {base}/on"
            )
        }
        for path in ("up", "in", "out", "over", "on"):
            at.server.files[path] = b'<AastraIPPhoneExecute><ExecuteItem URI=""/></AastraIPPhoneExecute>'
        await at.handset.power_on()
        await at.handset.registered.wait()
        first = at.server.asked[0]
        assert first.headers["user-agent"] == "Mitel6930 MAC:14-00-E9-00-00-01 V:6.4.0.140-SIP"
        numbers = [asked.connection for asked in at.server.asked]
        assert len(set(numbers)) == len(numbers), "a connection for each file"
        assert "Anna" in at.picture() and "No Service" not in at.picture()
        other = TestPhone(at.site, "1102", TONES[1])
        await other.online()
        call = at.handset.call("1102")
        await until(call.answered.is_set)
        await hears(call, TONES[1])
        await hears(other.calls[0], TONES[0])
        assert "Connected  1102" in at.picture()
        other.hang_up(other.calls[0])
        await until(call.ended.is_set)
        await until(lambda: "over" in at.server.paths())
        await at.handset.idle()
        targets = [asked.target for asked in at.server.asked]
        assert {"/up", "/in?u=1101", "/out?n=1102&s=OUTGOING", "/on", "/over"} <= set(targets)
        await other.stop()


async def test_it_answers_a_challenge_and_keeps_the_connection_for_that_alone(
    loopback: LoopbackNetwork, tmp_path: Path, clock: WheelClock
) -> None:
    async with home(loopback, tmp_path, clock) as at:
        at.server.users = {"aastra": "aastra"}
        at.server.files[f"{MAC}.cfg"] = at.line(more="http digest username: own\nhttp digest password: s3cret")
        await at.handset.power_on()
        assert {asked.user for asked in at.server.asked} == {"", "aastra"}
        pairs = list(zip(at.server.asked[::2], at.server.asked[1::2], strict=True))
        assert all((one.connection, one.user, two.user) == (two.connection, "", "aastra") for one, two in pairs)
        at.server.users = {"own": "s3cret"}
        at.server.asked.clear()
        await at.handset.reboot()
        assert outcome(at) is Outcome.READ
        assert {asked.user for asked in at.server.asked} == {"", "own"}
        assert "s3cret" not in "".join(at.said)


async def test_it_flashes_reboots_and_says_its_new_version(
    loopback: LoopbackNetwork, tmp_path: Path, clock: WheelClock
) -> None:
    async with home(loopback, tmp_path, clock) as at:
        at.server.files["6930.st"] = IMAGE
        await at.handset.power_on()
        assert at.handset.boots == 2
        agents = [asked.headers["user-agent"].rpartition(":")[2] for asked in at.server.asked]
        assert agents == ["6.4.0.140-SIP"] * 5 + ["6.4.1.15-SIP"] * 5
        assert at.server.asked[-1].path == "6930.st"


async def test_it_believes_only_the_installed_authority_once_told_to(
    loopback: LoopbackNetwork, tmp_path: Path, clock: WheelClock
) -> None:
    async with home(loopback, tmp_path, clock) as at:
        at.server.files |= {
            "ca.pem": at.server.authority_pem,
            f"{MAC}.cfg": at.line(more="https user certificates: ca.pem\n!https validate certificates: 1"),
        }
        await at.handset.power_on()
        await at.handset.reboot()
        assert outcome(at) is Outcome.READ
        async with config_server(at.server.address, {"startup.cfg": "# somebody else"}) as stranger:
            at.handset.flash.local["https port"] = str(stranger.port)
            await at.handset.reboot()
            assert outcome(at) is Outcome.AWAY
            assert stranger.asked == []
        assert any("TLS" in text for text in at.said)
        await at.handset.registered.wait()


async def test_with_its_server_away_it_registers_with_what_it_read_before(
    loopback: LoopbackNetwork, tmp_path: Path, clock: WheelClock
) -> None:
    async with home(loopback, tmp_path, clock) as at:
        at.server.files[f"{MAC}.cfg"] = at.line()
        await at.handset.power_on()
        await at.handset.power_off()
        assert "(off)" in at.picture()
        at.server.answering = False
        await at.handset.power_on()
        assert outcome(at) is Outcome.AWAY
        await at.handset.registered.wait()


async def test_check_sync_waits_for_the_call_and_then_reads_anew(
    loopback: LoopbackNetwork, tmp_path: Path, clock: WheelClock
) -> None:
    async with home(loopback, tmp_path, clock) as at:
        at.server.files[f"{MAC}.cfg"] = at.line()
        await at.handset.power_on()
        await at.handset.registered.wait()
        call = at.handset.call("*9")
        await until(call.answered.is_set)
        at.server.asked.clear()
        at.server.files[f"{MAC}.cfg"] = at.line("1102")
        at.handset.on_check_sync(False)
        assert at.server.asked == [] and not call.ended.is_set()
        at.handset.hang_up(call)
        await until(lambda: [line.settings.proxy.username for line in at.handset.lines] == ["1102"])
        await at.handset.registered.wait()
        assert "6930.st" not in at.server.paths(), "no firmware without a reboot"
        at.handset.on_check_sync(True)
        await until(lambda: at.handset.boots == 2 and at.handset.power is Power.ON)
        assert "6930.st" in at.server.paths()


async def test_keys_pages_and_orders_lead_to_one_another(
    loopback: LoopbackNetwork, tmp_path: Path, clock: WheelClock
) -> None:
    async with home(loopback, tmp_path, clock) as at:
        base = at.server.url
        at.server.files |= {
            f"{MAC}.cfg": at.line(
                more=f"topsoftkey1 type: line\ntopsoftkey2 type: xml\ntopsoftkey2 label: Hot Desk\n"
                f"topsoftkey2 value: {base}/desk?u=$$SIPUSERNAME$$\nsip xml notify event: 1\n"
                f"action uri xml sip notify: {base}/news\n!tone set: UK"
            ),
            "desk": f"""<AastraIPPhoneInputScreen type="number"><Title>Log in</Title><Prompt>Extension</Prompt>
<URL>{base}/login</URL><Parameter>ext</Parameter><Default></Default></AastraIPPhoneInputScreen>""",
            "login": f"""<AastraIPPhoneExecute><ExecuteItem URI="Led: topsoftkey2=on"/>
<ExecuteItem URI="{base}/done"/></AastraIPPhoneExecute>""",
            "done": """<AastraIPPhoneConfiguration setType="remote">
<ConfigurationItem><Parameter>topsoftkey2 label</Parameter><Value>Log Out</Value></ConfigurationItem>
<ConfigurationItem><Parameter>tone set</Parameter><Value>US</Value>
</ConfigurationItem></AastraIPPhoneConfiguration>""",
            "news": """<AastraIPPhoneTextScreen><Title>News</Title><Text>Hello</Text></AastraIPPhoneTextScreen>""",
        }
        await at.handset.power_on()
        await at.handset.actions.press("Hot Desk")
        assert at.server.asked[-1].target == "/desk?u=1101"
        assert "Extension: _" in at.picture()
        at.handset.actions.type_in("1102")
        await at.handset.actions.press("Submit")
        assert [asked.target for asked in at.server.asked[-2:]] == ["/login?ext=1102", "/done"]
        assert [key.name for key in at.handset.keys] == ["Anna", "Log Out"]
        assert at.handset.values["tone set"] == "UK", "locked"
        assert "Log Out ●" in at.picture()
        assert at.handset.on_xml_notify(b"")
        await at.handset.idle()
        assert "Hello" in at.picture()
        at.handset.on_xml_notify(b"<html/>")
        await at.handset.idle()
        assert "Cannot display" in at.picture()
        await at.handset.actions.press("goodbye")


async def test_the_log_in_key_asks_the_server_again_as_whom_was_typed(
    loopback: LoopbackNetwork, tmp_path: Path, clock: WheelClock
) -> None:
    async with home(loopback, tmp_path, clock) as at:
        at.server.files["startup.cfg"] = "http digest force login: 1"
        await at.handset.power_on()
        assert "Log In" in at.picture()
        at.server.users = {"1101": "471147"}
        at.server.files |= {"startup.cfg": "# known", f"{MAC}.cfg": at.line()}
        await at.handset.actions.press("Log In")
        at.handset.actions.type_in("1101")
        at.handset.actions.type_in("471147")
        assert "******" in at.picture()
        await at.handset.actions.press("Submit")
        await at.handset.registered.wait()
        assert "Log In" not in at.picture()
        assert "471147" not in "".join(at.said)


async def test_minet_firmware_is_upgraded_from_the_lan(loopback: LoopbackNetwork, clock: WheelClock) -> None:
    async with config_server(loopback.at("20.10"), {"6930.st": IMAGE, "6940.st": IMAGE}, secure=False) as server:
        flash, local = Flash(), loopback.at("20.31")
        identity = Identity.of(MAC, "6930")
        handset = Handset(identity, flash, Place(local), clock)
        await handset.power_on()
        assert server.asked == [] and handset.telephony is None
        await handset.power_off()
        client = Client(local, "", QUICK)
        assert await upgrade(identity, flash, client, server.url) == "6.4.1.15"
        with pytest.raises(NoFirmware, match="6930"):
            await upgrade(Identity.of(MAC, "6940"), Flash(), client, server.url)
        with pytest.raises(HttpError, match="404"):
            await upgrade(Identity.of(MAC, "6970"), Flash(), client, server.url)


async def test_a_fleet_comes_back_from_its_file(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with (
        live_office(loopback, tmp_path, ("1101", "1102")) as site,
        config_server(loopback.at("20.10"), {"startup.cfg": "# common"}) as server,
    ):
        members = unboxed(3, "6930", MAC, loopback.at("40.1"), typed(server))
        write_members(tmp_path / "fleet.jsonl", members)
        members = read_members(tmp_path / "fleet.jsonl")
        assert isinstance(members[0], Member) and members[2].identity.mac == "1400E9000003"
        address = site.pbx_address
        for member, number in zip(members, ("1101", "1102", ""), strict=True):
            if number:
                server.files[f"{member.identity.mac}.cfg"] = (
                    f"sip registrar ip: {address}\nsip line1 user name: {number}\n"
                    f"sip line1 password: icp-{number}-Secret"
                )
        fleet = Fleet(members, Manner(keep_alive=True))
        fleet.power_on()
        await until(lambda: fleet.report().registered == 2 and fleet.handsets[2].power is Power.ON)
        report = await fleet.wait(0.0)
        assert (report.configured, report.registered, report.complete) == (3, 2, False)
        assert report.tally.connections == 3, "one each"
        assert report.time(0.5) <= report.time(1.0)
        assert sum(report.troubles.values()) == 1
        await fleet.power_off()
