"""The kernel driver's manners: what it touches, what it drops, whose rules it names. In network namespaces."""

import asyncio
import contextlib
import ipaddress
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count

import pytest

from opx.gateway.forwarding.interface import ForwardingError
from opx.gateway.forwarding.nftables import machine, nft
from opx.gateway.forwarding.nftables.driver import NftablesDriver
from opx.gateway.forwarding.nftables.foreign import Packet, objection
from opx.gateway.forwarding.rules import Protocol
from support.forwarding import Network, receive, run, send
from support.namespaces import needs_lab, needs_netns
from support.programs import needs_program

pytestmark = [needs_netns(), needs_lab()]

FOREIGN = """
table inet office {
    set guests {
        type ipv4_addr
        elements = { 192.0.2.1, 192.0.2.2 }
    }
    counter seen {
    }
    chain forward {
        type filter hook forward priority 10; policy accept;
        ip saddr @guests counter name "seen" drop
        tcp dport 25 reject
    }
}
table ip nat {
    chain prerouting {
        type nat hook prerouting priority dstnat; policy accept;
        tcp dport 2222 dnat to 10.20.0.20:22
    }
}
"""


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


@pytest.fixture
async def driver(network: Network) -> AsyncIterator[NftablesDriver]:
    made = NftablesDriver(network.policy())
    await made.start()
    yield made
    await made.stop()


def others() -> str:
    """Everything but our table, to the byte, handles included."""
    names = [line.split()[1:] for line in run("nft", "list", "tables").splitlines()]
    return "".join(run("nft", "-a", "list", "table", *name) for name in names if name != ["ip", "opx"])


async def reaches(network: Network, target: tuple[str, int], place: str = "client") -> bool:
    """Whether a connection to an address straight away comes about."""
    with network.at(place):
        probe = socket.socket()
    with probe:
        probe.setblocking(False)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(0.7):
                await asyncio.get_running_loop().sock_connect(probe, target)
                return True
    return False


async def test_other_tables_are_the_same_to_the_byte_through_every_change(
    network: Network, driver: NftablesDriver
) -> None:
    run("nft", "-f", "-", text=FOREIGN)
    before = others()
    assert "office" in before
    await driver.apply([network.route(1, "8185")])
    assert others() == before
    await driver.apply([network.route(1, "8185", host_port=9), network.route(2, "5000", protocol=Protocol.UDP)])
    assert others() == before
    await driver.apply([])
    assert others() == before
    await driver.stop()
    assert others() == before
    assert run("nft", "list", "tables").split() == ["table", "inet", "office", "table", "ip", "nat"]


async def test_a_change_is_one_transaction_and_counts_go_on(network: Network, driver: NftablesDriver) -> None:
    listener = network.listener(8185)
    kept = network.route(1, "8185")
    await driver.apply([kept])
    client = await network.connect(8185)
    server, _ = await network.accept(listener)
    assert await transactions(lambda: driver.apply([kept, network.route(2, "9000", host_port=8185)])) == 1
    await send(client, b"still")
    assert await receive(server) == b"still"
    traffic = (await driver.traffic())[1]
    assert (traffic.connections, traffic.open) == (1, 1)
    await driver.apply([network.route(2, "9000", host_port=8185)])
    assert list(await driver.traffic()) == [2]
    names = run("nft", "list", "table", "ip", "opx")
    assert "rule_1" not in names and "in_1" not in names


async def transactions(act: Callable[[], Awaitable[object]]) -> int:
    """How many times the ruleset was another one afterwards."""
    with subprocess.Popen(("nft", "monitor"), stdout=subprocess.PIPE, text=True) as watching:  # noqa: ASYNC220
        assert watching.stdout is not None
        heard: list[str] = []
        reading = asyncio.create_task(asyncio.to_thread(lambda: heard.extend(watching.stdout or ())))
        marks = (f"mark{number}" for number in count())

        async def mark() -> int:
            """Behind what was heard up to now."""
            name = next(marks)
            run("nft", "add", "table", "ip", name)
            async with asyncio.timeout(0.3):
                while f"add table ip {name}\n" not in heard:
                    await asyncio.sleep(0.01)
            return heard.index(f"add table ip {name}\n")

        while True:
            # It does not say when it listens.
            with contextlib.suppress(TimeoutError):
                start = await mark()
                break
        await act()
        end = await mark()
        watching.terminate()
        await reading
        return sum(line.startswith("# new generation") for line in heard[start:end]) - 1


async def test_what_comes_in_outside_passes_only_by_a_rule(network: Network, driver: NftablesDriver) -> None:
    network.listener(22)
    listener = network.listener(8185)
    with network.at("client"):
        run("ip", "route", "add", f"{network.host}/32", "via", network.outside)
    with network.at("lan"):
        run("ip", "route", "add", "default", "via", network.inside)
    await driver.apply([network.route(1, "8185")])
    assert await reaches(network, (network.outside, 8185))
    # The machine routes now, but not for those outside who would go around the rules.
    assert not await reaches(network, (network.host, 22))
    assert not await reaches(network, (network.host, 8185))
    assert "packets 0" not in run("nft", "list", "counter", "ip", "opx", "strangers")
    # Answers to what the LAN asks for come back.
    with network.at("client"):
        outside = socket.create_server((network.clients[0], 80))
    with outside:
        assert await reaches(network, (network.clients[0], 80), "lan")
    listener.close()


async def test_what_others_forward_is_their_business(network: Network, driver: NftablesDriver) -> None:
    network.listener(22)
    run("nft", "-f", "-", text=FOREIGN)
    with network.at("lan"):
        run("ip", "route", "add", "default", "via", network.inside)
    await driver.apply([network.route(1, "8185")])
    assert await reaches(network, (network.outside, 2222))


async def test_routing_is_opened_behind_the_rules_and_closed_before_them(
    network: Network, driver: NftablesDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, bool]] = []
    real = machine.set_routing

    def watched(on: bool) -> None:
        seen.append((on, "hook forward" in run("nft", "list", "ruleset")))
        real(on)

    monkeypatch.setattr(machine, "set_routing", watched)
    assert not machine.routes()
    await driver.apply([network.route(1, "8185")])
    assert machine.routes()
    # Another gateway process, such as one after a crash, knows who opened it.
    after = NftablesDriver(network.policy())
    await after.apply([network.route(1, "8185"), network.route(2, "8186")])
    await after.stop()
    assert not machine.routes()
    assert seen == [(True, True), (False, True)]


async def test_routing_that_was_there_before_stays(network: Network, driver: NftablesDriver) -> None:
    machine.set_routing(True)
    await driver.apply([network.route(1, "8185")])
    await driver.stop()
    assert machine.routes()


async def test_rules_that_somebody_removed_are_not_said_to_be_in_force(
    network: Network, driver: NftablesDriver
) -> None:
    wanted = [network.route(1, "8185"), network.route(2, "8186")]
    await driver.apply(wanted)
    assert list(await driver.in_force()) == [1, 2]
    run("nft", "flush", "chain", "ip", "opx", "in_2")
    assert list(await driver.in_force()) == [1]
    run("nft", "flush", "chain", "ip", "opx", "from_inside")
    assert await driver.in_force() == {}
    await driver.apply(wanted)
    assert list(await driver.in_force()) == [1, 2]
    machine.set_routing(False)
    assert await driver.in_force() == {}
    assert "does not route any more" in (await driver.hindrances())[1]
    machine.set_routing(True)
    run("nft", "flush", "ruleset")
    assert await driver.in_force() == {}
    # Nothing is counted any more, which is no failure: it is put right at the next look.
    assert (await driver.traffic())[1].connections == 0


async def test_a_table_of_that_name_that_is_something_else_is_made_anew(
    network: Network, driver: NftablesDriver
) -> None:
    text = "table ip opx {\n chain arrive {\n type filter hook input priority 0; policy drop;\n }\n"
    text += " counter sources_5000 {\n }\n}\n"
    run("nft", "-f", "-", text=text)
    await driver.apply([network.route(1, "8185")])
    assert list(await driver.in_force()) == [1]
    listener = network.listener(8185)
    await network.connect(8185)
    await network.accept(listener)


async def test_a_connection_that_was_there_before_the_rule_does_not_keep_datagrams_from_it(
    network: Network, driver: NftablesDriver
) -> None:
    host = network.listener(5000, socket.SOCK_DGRAM)
    client = network.client(0, socket.SOCK_DGRAM)
    loop = asyncio.get_running_loop()
    # Something on the gateway answers, so that the kernel takes this for a connection in use.
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    own.bind((network.outside, 5000))
    with own:
        watching = ("add table ip watch", "add chain ip watch c { type filter hook input priority 0; }")
        run("nft", "-f", "-", text="\n".join((*watching, "add rule ip watch c ct state new\n")))
        await loop.sock_sendto(client, b"early", (network.outside, 5000))
        _, source = own.recvfrom(100)
        own.sendto(b"re", source)
        assert await receive(client) == b"re"
    await driver.apply([network.route(1, "5000", protocol=Protocol.UDP)])
    await loop.sock_sendto(client, b"now", (network.outside, 5000))
    assert await receive(host) == b"now"


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ("", ""),
        ("tcp dport 8185 drop", 'dropped by the rule "tcp dport 8185 drop (handle'),
        ("tcp dport { 80, 8180-8190 } reject", "dropped by the rule"),
        ('tcp dport 8185 drop comment "no apps"', '"no apps"'),
        ("udp dport 8185 drop", ""),
        ("tcp dport != 8185 drop", ""),
        ("tcp dport != { 22, 80 } drop", "dropped by the rule"),
        ("ip daddr 10.20.0.0/24 drop", "dropped by the rule"),
        ("ip daddr 10.21.0.0/24 drop", ""),
        ("ip saddr 192.0.2.0/24 drop", ""),
        ("iifname outside oifname inside drop", "dropped by the rule"),
        ('iifname "out*" drop', "dropped by the rule"),
        ("oifname lo drop", ""),
        ("ct state established,related drop", ""),
        ("ct state new drop", "dropped by the rule"),
        ("ct status dnat accept; drop", ""),
        ("meta l4proto tcp jump more", "chain inet other f"),
        ("meta l4proto udp jump more", ""),
        ("limit rate 1/second drop", ""),
        ("tcp dport 8185 accept; drop", ""),
        ("tcp dport 8185 return; drop", ""),
        ("meta mark 7 accept; tcp dport 8185 counter log drop", "dropped by the rule"),
    ],
)
async def test_a_rule_of_others_that_drops_ours_is_named(
    network: Network, driver: NftablesDriver, rules: str, found: str
) -> None:
    text = "table inet other {\n chain more {\n tcp dport 8185 drop\n }\n"
    lines = rules.replace("; ", "\n")
    text += f" chain f {{\n type filter hook forward priority 20; policy accept;\n {lines}\n }}\n}}\n"
    run("nft", "-f", "-", text=text)
    await driver.apply([network.route(1, "8185"), network.route(2, "9", host_port=8185)])
    told = await driver.hindrances()
    if found:
        assert found in told[1] and found in told[2] and "not of OPX" in told[1]
    else:
        assert told == {}


@pytest.mark.parametrize(
    ("rules", "certain"), [("", True), ("meta mark 7 accept", False), ("ip saddr 192.0.2.0/24 accept", False)]
)
async def test_a_policy_that_drops_is_named_with_the_doubt_that_there_is(
    network: Network, rules: str, certain: bool
) -> None:
    text = "table ip filter {\n chain FORWARD {\n type filter hook forward priority 0; policy drop;\n"
    text += f" {rules}\n }}\n}}\n"
    run("nft", "-f", "-", text=text)
    packet = Packet(Protocol.TCP, ipaddress.IPv4Address(network.host), 8185, "outside", "inside")
    told = objection(await nft.everything(), packet)
    assert told is not None and told.certain is certain
    assert str(told).startswith("dropped by the policy" if certain else "may be dropped by the policy")
    assert "ip filter FORWARD" in str(told)


async def test_what_is_named_does_drop(network: Network, driver: NftablesDriver) -> None:
    network.listener(8185)
    run("nft", "-f", "-", text=FOREIGN.replace("tcp dport 25 reject", "tcp dport 8185 drop"))
    await driver.apply([network.route(1, "8185")])
    assert "inet office forward" in (await driver.hindrances())[1]
    assert not await reaches(network, (network.outside, 8185))


PROBE = """
import asyncio, ipaddress, os, sys
from opx.gateway.forwarding.interface import ForwardingPolicy
from opx.gateway.forwarding.nftables.driver import NftablesDriver
at = ipaddress.IPv4Address
policy = ForwardingPolicy(at(sys.argv[1]), at(sys.argv[2]), 1, 1, 1, 1, 1, 1)
print(os.geteuid(), asyncio.run(NftablesDriver(policy).problem()))
"""


@needs_program("setpriv")
def test_the_right_is_tried_out_and_not_derived_from_the_user(network: Network) -> None:
    def probe(*options: str) -> str:
        return run("setpriv", *options, sys.executable, "-c", PROBE, network.outside, network.inside).strip()

    assert probe() == "0"
    assert probe("--bounding-set=-net_admin", "--inh-caps=-net_admin").startswith("0 this process has not the right")
    with_right = ("--inh-caps=+net_admin", "--ambient-caps=+net_admin")
    user = ("--reuid=65534", "--regid=65534", "--clear-groups")
    readable = subprocess.run(["setpriv", *user, sys.executable, "-c", "import opx"], capture_output=True)
    if readable.returncode == 0:
        assert probe(*user, *with_right) == "65534"
        assert probe(*user).startswith("65534 this process has not the right")


async def test_it_is_not_used_on_loopback_and_not_for_addresses_of_others(network: Network) -> None:
    at = ipaddress.IPv4Address
    for more, expected in (
        ({"outside": at("127.0.10.1")}, "loopback"),
        ({"inside": at("127.0.20.1")}, "loopback"),
        ({"outside": at("198.51.100.99")}, "outside address 198.51.100.99 is not an address of this machine"),
        ({"inside": at("10.20.0.99")}, "inside address"),
    ):
        with pytest.raises(ForwardingError, match=expected):
            await NftablesDriver(network.policy(**more)).start()


async def test_without_nft_it_says_what_to_install(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ForwardingError, match="Debian package nftables"):
        await NftablesDriver(network.policy()).start()
