"""The gateway's settings file: what is allowed, and how a mistake is named."""

from pathlib import Path

import pytest

from opx.config import ConfigError, load_settings, parse_settings
from opx.gateway.settings import GatewaySettings

SIDES = """\
[set_side]
address = "127.0.10.1"
[icp_side]
address = "127.0.20.1"
"""


def settings(text: str) -> GatewaySettings:
    return parse_settings(GatewaySettings, text, "gateway.toml")


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        settings(text)
    return refused.value.problems


def test_two_addresses_are_all_that_must_be_given() -> None:
    read = settings(SIDES)

    assert (read.set_side.port, read.icp_side.port) == (5060, 5060)
    assert read.set_side.transports == ("UDP", "TCP")
    assert (read.keep_alive.interval, read.keep_alive.idle_limit) == (20.0, 300.0)
    assert read.registration.contacts_per_device == 1
    assert read.registration.set_max_expires < read.registration.icp_expires
    assert read.media.rtp_ports[0] % 2 == 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[set_side]\naddress = "127.0.10.1"\n', "1: icp_side: is missing; expected"),
        (
            SIDES.replace("127.0.10.1", "2001:db8::1"),
            "2: set_side.address: '2001:db8::1' is IPv6; expected IPv4, media is carried over IPv4 only so far",
        ),
        (
            SIDES + "[calls]\nsession_expires = 300\nmin_se = 600\n",
            "7: calls.min_se: 600 is above session_expires; expected at most 300",
        ),
        (
            SIDES.replace("127.0.10.1", "gateway.example"),
            "2: set_side.address: 'gateway.example' is no address; expected an IPv4 address of this machine",
        ),
        (
            SIDES.replace("127.0.10.1", "0.0.0.0"),
            "2: set_side.address: a wildcard address; expected one address of this machine, nothing listens everywhere",
        ),
        (
            SIDES.replace("127.0.20.1", "127.0.10.1"),
            "3: icp_side: has set_side's address 127.0.10.1; expected the gateway's address inside",
        ),
        (
            SIDES.replace("127.0.20.1", "127.0.10.2"),
            "3: icp_side: is in one network with set_side (127.0.10.0/24, 127.0.10.0/24); expected different ones "
            "(prefix says how large they are, allow_same_network = true permits it)",
        ),
        (
            SIDES + "prefix = 16\n",
            "3: icp_side: is in one network with set_side (127.0.0.0/16, 127.0.10.0/24); expected different ones "
            "(prefix says how large they are, allow_same_network = true permits it)",
        ),
        (
            SIDES + "transports = []\n",
            '5: icp_side.transports: no transport, or one twice; expected "UDP", "TCP" or both',
        ),
        (SIDES + "port = 70000\n", "5: icp_side.port: is not allowed; expected"),
        (
            SIDES + "[registration]\nset_min_expires = 200\n",
            "5: registration.set_default_expires: 120 is below set_min_expires; expected at least 200",
        ),
        (
            SIDES + "[registration]\nset_max_expires = 100\n",
            "6: registration.set_max_expires: 100 is below set_default_expires; expected at least 120",
        ),
        (
            SIDES + "[registration]\nicp_expires = 300\n",
            "6: registration.icp_expires: 300 leaves no gap; expected far more than set_max_expires, which is 300: "
            "sets register often, the ICP hears of it seldom",
        ),
        (
            SIDES + "[registration]\nicp_retry_max = 1\n",
            "6: registration.icp_retry_max: 1 is below icp_retry_min; expected at least 2",
        ),
        (
            SIDES + "[keep_alive]\ninterval = 200\n",
            "6: keep_alive.interval: is not allowed; expected",
        ),
        (
            SIDES + "[keep_alive]\ninterval = 60\nidle_limit = 60\n",
            "7: keep_alive.idle_limit: 60 is not above interval; expected more than 60",
        ),
        (
            SIDES + "[keep_alive]\ninterval = 0\n",
            "5: keep_alive: nothing is sent and idle_limit is 300; expected an interval, or an idle_limit above "
            "registration.set_max_expires, which is 300",
        ),
        (SIDES + "[keep_alive]\nintervall = 30\n", "6: keep_alive.intervall: unknown key; did you mean interval?"),
        (
            SIDES + "[digest]\nalgorithms = []\n",
            '6: digest.algorithms: none, or one twice; expected "SHA-256", "MD5" or both, each once',
        ),
        (
            SIDES + "[digest]\nrealm = 'a\"b'\n",
            "6: digest.realm: is no realm; expected plain ASCII text without quotes and backslashes",
        ),
        (
            SIDES + "[icps]\nprobe_patience = 11\n",
            "6: icps.probe_patience: 11 is above probe_interval; expected at most 10",
        ),
        (
            SIDES + '[dns]\nnameservers = ["ns.example"]\n',
            "6: dns.nameservers[0]: 'ns.example' is no name server; expected its IPv4 address, or ADDRESS:PORT",
        ),
        (
            SIDES + '[dns]\nnameservers = ["10.0.0.53:99999"]\n',
            "6: dns.nameservers[0]: '10.0.0.53:99999' is no name server; expected ADDRESS or ADDRESS:PORT",
        ),
        (
            SIDES + "[dns]\nmin_ttl = 60\nmax_ttl = 30\n",
            "7: dns.max_ttl: 30 is below min_ttl; expected at least 60",
        ),
        (
            SIDES + "[media]\nrtp_ports = [20001, 30000]\n",
            "6: media.rtp_ports: 20001 to 30000 is no range; expected an even first port from 1024 on and a last one "
            "well above it",
        ),
        (
            SIDES + "[media]\nrtp_ports = [20000, 20007]\nworkers = 3\n",
            "7: media.workers: 3 is too many for ports 20000 to 20007; expected at most 2",
        ),
        (
            SIDES + "[media]\nrtp_ports = [5000, 6001]\n",
            "5: media: rtp_ports 5000 to 6001 hold set_side.port 5060; expected a range without it",
        ),
        (SIDES + "[media]\nlatch_window = inf\n", "6: media.latch_window: is not allowed; expected"),
        (
            SIDES + '[limits]\nemergency_numbers = ["112", "nine"]\n',
            "6: limits.emergency_numbers[1]: 'nine' is no number; expected digits, * and #",
        ),
        (
            'database = "one"\nkey_file = "one"\n' + SIDES,
            "2: key_file: is the database; expected a file of its own",
        ),
        ("[set_side\n", "1: Expected ']' at the end of a table declaration; expected TOML"),
    ],
)
def test_a_mistake_is_named_with_line_key_and_what_would_be_right(text: str, problem: str) -> None:
    (found,) = problems(text)
    assert found.startswith(f"gateway.toml:{problem}")


def test_a_default_that_a_setting_contradicts_is_named_too() -> None:
    assert problems(SIDES.replace("[icp_side]", "port = 20010\n[icp_side]")) == [
        "gateway.toml:1: media: rtp_ports 20000 to 30999 hold set_side.port 20010; expected a range without it"
    ]


def test_all_mistakes_are_named_at_once() -> None:
    assert len(problems(SIDES + "port = 0\n[media]\nworkers = -1\n[limits]\ncalls = 0\n")) == 3


def test_one_network_for_both_sides_can_be_permitted() -> None:
    text = "allow_same_network = true\n" + SIDES.replace("127.0.20.1", "127.0.10.2")

    assert settings(text).icp_side.address == "127.0.10.2"


def test_small_prefixes_make_neighbours_different_networks() -> None:
    text = SIDES.replace("127.0.20.1", "127.0.10.5").replace("[icp_side]", "prefix = 30\n[icp_side]")

    assert settings(text + "prefix = 30\n").icp_side.address == "127.0.10.5"


def test_without_keep_alive_the_registrations_must_come_within_the_idle_limit() -> None:
    assert settings(SIDES + "[keep_alive]\ninterval = 0\nidle_limit = 400\n").keep_alive.interval == 0


def test_relative_paths_start_at_the_file_and_absolute_ones_stay(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('database = "data/g.db"\nkey_file = "/etc/opx/g.key"\n' + SIDES)

    read = load_settings(GatewaySettings, file)

    assert read.database == tmp_path / "data" / "g.db"
    assert read.key_file == Path("/etc/opx/g.key")
    assert read.control_socket == tmp_path / "gateway.sock"
    assert read.import_file is None
    assert read.spool_path == tmp_path / "data" / "g.spool"
    assert read.database_place.url.database == str(tmp_path / "data" / "g.db")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gateway\.toml: cannot be read: No such file or directory"):
        load_settings(GatewaySettings, tmp_path / "gateway.toml")
