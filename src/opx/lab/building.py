"""Builds the plan within the holder's namespaces, with iproute2 and nftables."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from opx.lab import namespaces
from opx.lab.plan import (
    DEFAULT_ROUTES,
    HOME_NETWORK,
    HOME_ROUTER,
    HOMES,
    HOSTS,
    LINKS,
    MORE_ADDRESSES,
    OUTSIDE,
    ROUTERS,
    Alg,
    Home,
    Nat,
)

NETNS = Path("/run/netns")
"""Where `ip netns` keeps its names; of the holder's own /run."""
SIP_PORT = 5060

MASQUERADE = {Nat.PORT_RESTRICTED: "masquerade", Nat.SYMMETRIC: "masquerade random,fully-random"}
"""Linux keeps a mapping for all destinations of a socket unless it is told to choose at random each time."""


class BuildError(Exception):
    """A lab could not be built; the text says what failed."""


def build(algs: Mapping[str, Alg]) -> None:
    """Hosts, cables, addresses, routes and NAT. BuildError when a program is missing or fails."""
    _ip("", [f"netns add {host}" for host in HOSTS])
    _ip("", [_cable(*link.ends) for link in LINKS])
    ends = [end for link in LINKS for end in link.ends]
    for host in HOSTS:
        lines = ["link set lo up"]
        lines += [f"link set {interface} up" for name, interface, _ in ends if name == host]
        lines += [f"addr add {to} dev {interface}" for name, interface, to in (*ends, *MORE_ADDRESSES) if name == host]
        if host in DEFAULT_ROUTES:
            lines.append(f"route add default via {DEFAULT_ROUTES[host]}")
        with inside(host):
            _set("net/ipv6/conf/all/disable_ipv6", "1")
            if host in ROUTERS:
                _set("net/ipv4/ip_forward", "1")
        _ip(host, lines)
    for home in HOMES:
        alg = algs.get(home.name, Alg.NONE)
        with inside(home.router):
            _run(["nft", "-f", "-"], nat_rules(home, alg), _kernel_alg_hint(alg))
            if alg not in (Alg.NONE, Alg.KERNEL):
                _start_mangler(home, alg)


def nat_rules(home: Home, alg: Alg) -> str:
    """A home router's nftables rules."""
    helper = chain = ""
    if alg is Alg.KERNEL:
        helper = 'ct helper sip { type "sip" protocol udp; l3proto ip; }'
        chain = f'type filter hook prerouting priority filter\niifname "lan" udp dport {SIP_PORT} ct helper set "sip"'
    elif alg is not Alg.NONE:
        chain = f'type nat hook prerouting priority dstnat\niifname "lan" udp dport {SIP_PORT} redirect to :{SIP_PORT}'
    return f"""\
table ip home {{
    {helper}
    chain alg {{
        {chain}
    }}
    chain translate {{
        type nat hook postrouting priority srcnat
        oifname "wan" ip saddr {HOME_NETWORK} {MASQUERADE[home.nat]}
    }}
    chain pass {{
        type filter hook forward priority filter; policy drop
        iifname "lan" oifname "wan" accept
        iifname "wan" ct state established,related accept
    }}
    chain take {{
        type filter hook input priority filter; policy drop
        iifname {{ "lo", "lan" }} accept
        ct state established,related accept
    }}
}}
"""


@contextmanager
def inside(host: str) -> Iterator[None]:
    """This process, and what it starts meanwhile, is in a host's network namespace."""
    outer = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        namespaces.join_file(NETNS / host)
        yield
    finally:
        namespaces.join_file(Path(f"/proc/self/fd/{outer}"))
        os.close(outer)


def _cable(one: tuple[str, str, str], other: tuple[str, str, str]) -> str:
    return f"link add {one[1]} netns {one[0]} type veth peer name {other[1]} netns {other[0]}"


def _start_mangler(home: Home, alg: Alg) -> None:
    arguments = [alg.value, HOME_ROUTER, home.public, OUTSIDE, str(SIP_PORT)]
    mangler = subprocess.Popen([sys.executable, "-m", "opx.lab.mangler", *arguments], stdout=subprocess.PIPE)
    assert mangler.stdout is not None
    if not mangler.stdout.readline():
        raise BuildError(f"the ALG of {home.name} did not start")


def _kernel_alg_hint(alg: Alg) -> str:
    others = ", ".join(other for other in Alg if other not in (Alg.NONE, Alg.KERNEL))
    return f"; this kernel may lack its SIP ALG (nf_nat_sip), take one of {others}" if alg is Alg.KERNEL else ""


def _ip(host: str, lines: list[str]) -> None:
    _run(["ip", *(("-n", host) if host else ()), "-batch", "-"], "\n".join(lines))


def _run(arguments: list[str], text: str, hint: str = "") -> None:
    try:
        done = subprocess.run(arguments, input=text, capture_output=True, text=True)
    except FileNotFoundError:
        package = {"ip": "iproute2", "nft": "nftables"}[arguments[0]]
        raise BuildError(f"{arguments[0]} is not installed (Debian package {package})") from None
    if done.returncode != 0:
        raise BuildError(f"{' '.join(arguments)} failed: {done.stderr.strip()}{hint}")


def _set(name: str, value: str) -> None:
    path = Path("/proc/sys") / name
    if not path.exists():
        return  # a kernel without IPv6 has none to switch off
    try:
        path.write_text(value, encoding="ascii")
    except OSError as error:
        raise BuildError(f"cannot set {path}: {error.strerror}") from None
