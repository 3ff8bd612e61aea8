"""OPX's nftables table: written as text, read back as JSON. No process is started here.

Text, because the JSON of nftables 1.0 has no words for a set that packets add to, nor for a concatenation with a
conntrack port. Everything that goes into it is a number or an address.

    prerouting   arrive  a new connection to the outside address: limits, then DNAT to the host
    forward      pass    what came in outside: ours is counted and accepted, answers pass, the rest is dropped
    postrouting  leave   SNAT to the inside address

Chains are emptied and filled in one transaction. Sets and counters stay meanwhile: counts go on, and connections that
count against a limit are not forgotten. What a limit is stands in the names of those that hold it, since a set that
exists keeps its elements' own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opx.gateway.forwarding.interface import ForwardingPolicy, WantedRoute
from opx.gateway.forwarding.rules import PortRange, Ports, Protocol, Route

TABLE = "opx"
SET_SIZE = 131072
"""Sources whose connections are counted; more of them at once are refused."""
ROUTING = "opened_routing"
"""A counter that is there when it was OPX that let this machine route."""
STRANGERS = "strangers"
"""Counts what arrived outside and was dropped, for it had no business beyond this machine."""

Listing = Sequence[Mapping[str, Any]]
"""What `nft -j list table` says: objects with one key, which is their kind."""


@dataclass(frozen=True, slots=True)
class Table:
    """What the table is made of. `outside_interface` bears the outside address."""

    policy: ForwardingPolicy
    outside_interface: str
    wanted: tuple[WantedRoute, ...]
    opened_routing: bool
    with_timeouts: bool = True
    """Whether the kernel can have idle limits of its own for our connections."""

    def transaction(self, before: Listing) -> str:
        """The change from `before`, which is empty when there is no such table yet."""
        lines = [f"add table ip {TABLE}"]
        lines += [_add(kind, name, body) for kind, name, body in self._objects()]
        chains = self._chains()
        known = names(before, "chain")
        lines += [f"add chain ip {TABLE} {name} {_hook(name)}".rstrip() for name in chains]
        lines += [f"flush chain ip {TABLE} {name}" for name in {**dict.fromkeys(chains), **dict.fromkeys(known)}]
        lines += [f"delete chain ip {TABLE} {name}" for name in known if name not in chains]
        wanted = {(kind, name) for kind, name, _ in self._objects()}
        for kind in ("counter", "set", "ct timeout"):
            lines += [f"delete {kind} ip {TABLE} {name}" for name in names(before, kind) if (kind, name) not in wanted]
        lines += [f"add rule ip {TABLE} {name} {rule}" for name, rules in chains.items() for rule in rules]
        return "\n".join(lines) + "\n"

    def replacement(self) -> str:
        """The same for a table that cannot be changed into this one: it goes, and counts with it."""
        return f"add table ip {TABLE}\ndelete table ip {TABLE}\n{self.transaction(())}"

    # --- objects

    def _objects(self) -> Iterable[tuple[str, str, str]]:
        limits = self.policy
        yield "set", self._sources, f"type ipv4_addr; size {SET_SIZE}; flags dynamic;"
        if self.with_timeouts:
            established, closing = int(limits.idle_limit), int(limits.half_close_limit)
            states = f"established : {established}, fin_wait : {closing}, close_wait : {closing}"
            yield "ct timeout", self._idle(Protocol.TCP), f"protocol tcp; l3proto ip; policy = {{ {states} }};"
            idle = max(1, int(limits.udp_idle_limit))
            states = f"unreplied : {idle}, replied : {idle}"
            yield "ct timeout", self._idle(Protocol.UDP), f"protocol udp; l3proto ip; policy = {{ {states} }};"
        yield "counter", STRANGERS, ""
        if self.opened_routing:
            yield "counter", ROUTING, ""
        for one in self.wanted:
            for what in ("new", "up", "down", "refused"):
                yield "counter", counter_name(one.key, what), ""

    @property
    def _sources(self) -> str:
        return f"sources_{self.policy.connections_per_source}"

    def _idle(self, protocol: Protocol) -> str:
        limits = self.policy
        if protocol is Protocol.UDP:
            return f"udp_{int(limits.udp_idle_limit)}"
        return f"tcp_{int(limits.idle_limit)}_{int(limits.half_close_limit)}"

    # --- chains

    def _chains(self) -> dict[str, list[str]]:
        outside = self.policy.outside
        chains = {
            "arrive": [f"ip daddr != {outside} accept", *self._dispatch("{protocol} dport", "in")],
            "pass": [
                f"ct status dnat ct original ip daddr {outside} jump ours",
                # What other programs of this machine forward, or have asked for, is their business.
                f'iifname "{self.outside_interface}" ct status dnat accept',
                f'iifname "{self.outside_interface}" ct direction reply accept',
                f'iifname "{self.outside_interface}" ct state related accept',
                f'iifname "{self.outside_interface}" counter name "{STRANGERS}" drop',
            ],
            "ours": list(self._dispatch("ct original proto-dst", "pass")),
            "leave": list(self._snat()),
            "from_inside": [f"snat to {self.policy.inside}"],
        }
        for one in self.wanted:
            chains[f"in_{one.key}"] = list(self._arriving(one.key, one.route))
            chains[f"pass_{one.key}"] = [
                f'ct direction original counter name "{counter_name(one.key, "up")}" accept',
                f'counter name "{counter_name(one.key, "down")}" accept',
            ]
        return chains

    def _dispatch(self, port: str, prefix: str) -> Iterable[str]:
        """To each route's own chain."""
        for protocol in Protocol:
            elements = [
                f"{part} : goto {prefix}_{one.key}"
                for one in self.wanted
                if one.route.protocol is protocol
                for part in one.route.ports.ranges
            ]
            if elements:
                name = protocol.lower()
                yield f"meta l4proto {name} {port.format(protocol=name)} vmap {{ {', '.join(elements)} }}"

    def _arriving(self, key: int, route: Route) -> Iterable[str]:
        refused = f'counter name "{counter_name(key, "refused")}"'
        if route.sources:
            yield f"ip saddr != {{ {route_sources(route)} }} {refused} return"
        # Of one source only: the kernel walks through all that it counts, which would be too much of everybody's.
        yield f"add @{self._sources} {{ ip saddr ct count over {self.policy.connections_per_source} }} {refused} drop"
        idle = f'ct timeout set "{self._idle(route.protocol)}" ' if self.with_timeouts else ""
        # Nothing else is known of a fragment's protocol than the dispatch has found.
        to = f"{route.host}:{route.host_port}" if route.host_port is not None else str(route.host)
        yield (
            f"meta l4proto {route.protocol.lower()} {idle}"
            f'counter name "{counter_name(key, "new")}" dnat to {to} comment "rule {key}"'
        )

    def _snat(self) -> Iterable[str]:
        for protocol in Protocol:
            elements = [
                f"{part} : goto from_inside"
                for one in self.wanted
                if one.route.protocol is protocol and one.route.snat
                for part in one.route.ports.ranges
            ]
            if elements:
                yield (
                    f"ct status dnat ct original ip daddr {self.policy.outside} meta l4proto {protocol.lower()} "
                    f"ct original proto-dst vmap {{ {', '.join(elements)} }}"
                )


def removal() -> str:
    return f"add table ip {TABLE}\ndelete table ip {TABLE}\n"


def counter_name(key: int, what: str) -> str:
    return f"rule_{key}_{what}"


def route_sources(route: Route) -> str:
    return ", ".join(map(str, route.sources))


def _add(kind: str, name: str, body: str) -> str:
    return f"add {kind} ip {TABLE} {name} {{ {body} }}" if body else f"add {kind} ip {TABLE} {name}"


def _hook(chain: str) -> str:
    match chain:
        case "arrive":
            return "{ type nat hook prerouting priority dstnat; policy accept; }"
        case "leave":
            return "{ type nat hook postrouting priority srcnat; policy accept; }"
        case "pass":
            return "{ type filter hook forward priority filter; policy accept; }"
    return ""


# --- read back


def names(listing: Listing, kind: str) -> list[str]:
    return [item[kind]["name"] for item in listing if kind in item]


def chains(listing: Listing) -> dict[str, list[Any]]:
    """The rules of each chain without what differs from one listing to the next."""
    found: dict[str, list[Any]] = {name: [] for name in names(listing, "chain")}
    for item in listing:
        if "rule" in item:
            found.setdefault(item["rule"]["chain"], []).append(item["rule"]["expr"])
    return found


def intact(key: int, now: Mapping[str, list[Any]], then: Mapping[str, list[Any]]) -> bool:
    """Whether a route's rules are still those of `then`, and those that lead to them."""
    own = (f"in_{key}", f"pass_{key}", "arrive", "pass", "ours", "leave", "from_inside")
    return all(name in now and now[name] == then.get(name) for name in own)


def ports_in(listing: Listing) -> dict[Protocol, Ports]:
    """The ports that a table forwards."""
    found: dict[Protocol, list[PortRange]] = {protocol: [] for protocol in Protocol}
    for expressions in chains(listing).get("arrive", []):
        for expression in expressions:
            if "vmap" not in expression:
                continue
            protocol = Protocol(expression["vmap"]["key"]["payload"]["protocol"].upper())
            for element, _ in expression["vmap"]["data"]["set"]:
                first, last = element["range"] if isinstance(element, dict) else (element, element)
                found[protocol].append(PortRange(first, last))
    return {protocol: Ports.joined(ranges) for protocol, ranges in found.items()}


def counters(listing: Listing) -> dict[str, tuple[int, int]]:
    """Packets and bytes by name."""
    return {
        item["counter"]["name"]: (item["counter"]["packets"], item["counter"]["bytes"])
        for item in listing
        if "counter" in item
    }
