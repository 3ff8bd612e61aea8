"""Rules of others that keep our packets from passing, found by walking their chains for a packet of ours.

Accepting in one table does not help against a drop in another: every base chain has a veto. What a rule asks for that
is not known of our packet (its source, marks, extensions of iptables) counts as "does not match"; a chain that might
have accepted by such a rule and drops by its policy only *may* drop.
"""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opx.gateway.forwarding.nftables.ruleset import TABLE, Listing
from opx.gateway.forwarding.rules import Protocol

MAX_DEPTH = 16
"""Jumps within jumps that are followed, as many as the kernel does."""

_HOOKS = ("forward", "postrouting")
_FAMILIES = ("ip", "inet")


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a forwarded connection, behind its DNAT."""

    protocol: Protocol
    host: ipaddress.IPv4Address
    port: int
    coming: str
    """Interface; so is `going`, which may be unknown."""
    going: str | None


@dataclass(frozen=True, slots=True)
class Objection:
    """Where a packet is dropped; `certain` unless a rule before may have accepted it."""

    where: str
    certain: bool

    def __str__(self) -> str:
        return f"{'dropped' if self.certain else 'may be dropped'} by {self.where}, which is not of OPX"


def objection(ruleset: Listing, packet: Packet) -> Objection | None:
    """The first one, certain ones before others."""
    found = list(_objections(ruleset, packet))
    return min(found, key=lambda one: not one.certain, default=None)


def _objections(ruleset: Listing, packet: Packet) -> Iterator[Objection]:
    tables: dict[tuple[str, str], dict[str, list[Mapping[str, Any]]]] = {}
    for item in ruleset:
        if "rule" in item:
            rule = item["rule"]
            tables.setdefault((rule["family"], rule["table"]), {}).setdefault(rule["chain"], []).append(rule)
    for item in ruleset:
        chain = item.get("chain")
        if chain is None or chain["family"] not in _FAMILIES or (chain["family"], chain["table"]) == ("ip", TABLE):
            continue
        if chain.get("type") == "filter" and chain.get("hook") in _HOOKS:
            walk = _Walk(tables.get((chain["family"], chain["table"]), {}), packet)
            name = f"{chain['family']} {chain['table']} {chain['name']}"
            if (dropping := walk.through(chain["name"])) is not None:
                yield Objection(f'the rule "{dropping}" in chain {name}', True)
            elif not walk.accepted and chain.get("policy") == "drop":
                yield Objection(f"the policy of chain {name}", not walk.doubtful)


class _Walk:
    """One base chain. `accepted` and `doubtful` tell how it ended where nothing dropped."""

    def __init__(self, rules: Mapping[str, Sequence[Mapping[str, Any]]], packet: Packet) -> None:
        self._rules = rules
        self._packet = packet
        self.accepted = False
        self.doubtful = False

    def through(self, chain: str, depth: int = 0) -> str | None:
        """The rule that drops."""
        for rule in self._rules.get(chain, ()):
            matches: bool | None = True
            for expression in rule["expr"]:
                kind, value = _statement(expression)
                if kind in ("match", "xt", "limit"):
                    answer = _matches(value, self._packet) if kind == "match" else None
                    matches = False if answer is False else matches if answer else None
                    if matches is False:
                        break
                elif kind == "vmap":
                    # Which way it leads depends on its key; that may be an acceptance.
                    self.doubtful = True
                elif kind in ("accept", "jump", "goto") and matches is None:
                    self.doubtful = True
                elif kind in ("drop", "reject") and matches:
                    return describe(rule)
                elif kind == "accept":
                    self.accepted = True
                    return None
                elif kind in ("jump", "goto") and matches and depth < MAX_DEPTH:
                    found = self.through(value["target"], depth + 1)
                    if found is not None or self.accepted:
                        return found
                    if kind == "goto":
                        return None
                elif kind == "return" and matches:
                    return None
        return None


def _matches(match: Mapping[str, Any], packet: Packet) -> bool | None:
    """None when it is not known."""
    known = _value(match["left"], packet)
    if known is None:
        return None
    inside = _within(known, match["right"])
    if inside is None:
        return None
    match match["op"]:
        case "==" | "in":
            return inside
        case "!=":
            return not inside
    return None


def _value(left: Any, packet: Packet) -> Any:
    """What our packet has there; sets of words where it has several."""
    if not isinstance(left, dict):
        return None
    if "meta" in left:
        names = {
            "iifname": packet.coming,
            "oifname": packet.going,
            "l4proto": packet.protocol.lower(),
            "nfproto": "ipv4",
            "protocol": "ip",
        }
        return names.get(left["meta"]["key"])
    if "payload" in left:
        field = (left["payload"].get("protocol"), left["payload"].get("field"))
        if field == ("ip", "daddr"):
            return packet.host
        if field == ("ip", "protocol"):
            return packet.protocol.lower()
        if field[1] == "dport" and field[0] in ("th", packet.protocol.lower()):
            return packet.port
        if field[0] in ("tcp", "udp") and field[0] != packet.protocol.lower():
            # The match on the other protocol stands in it unsaid.
            return frozenset({"other protocol"})
    if "ct" in left:
        return {"state": frozenset({"new"}), "status": frozenset({"dnat"}), "direction": "original"}.get(
            left["ct"]["key"]
        )
    return None


def _within(known: Any, right: Any) -> bool | None:
    """Whether what is known is `right`, or among it."""
    if isinstance(right, list):
        return _any(_within(known, one) for one in right)
    if isinstance(right, dict):
        if "set" in right:
            return _within(known, right["set"] if isinstance(right["set"], list) else [right["set"]])
        if "range" in right and isinstance(known, int):
            first, last = right["range"]
            return bool(first <= known <= last)
        if "prefix" in right and isinstance(known, ipaddress.IPv4Address):
            prefix = right["prefix"]
            return known in ipaddress.IPv4Network(f"{prefix['addr']}/{prefix['len']}", strict=False)
        return None
    if isinstance(right, str) and right.startswith("@"):
        return None
    if isinstance(known, frozenset):
        return bool(right in known)
    if isinstance(known, ipaddress.IPv4Address):
        return bool(str(known) == right)
    if isinstance(right, str) and right.endswith("*"):
        return str(known).startswith(right[:-1])
    return bool(known == right)


def _any(answers: Iterator[bool | None]) -> bool | None:
    doubtful = False
    for answer in answers:
        if answer:
            return True
        doubtful = doubtful or answer is None
    return None if doubtful else False


def _statement(expression: Any) -> tuple[str, Any]:
    """Its kind and what stands in it."""
    if isinstance(expression, dict):
        ((kind, value),) = expression.items()
        return kind, value
    return str(expression), None


def describe(rule: Mapping[str, Any]) -> str:
    """A rule in a few words: its comment, or its verdict with what it asks for."""
    if comment := rule.get("comment"):
        return str(comment)
    words = []
    for expression in rule["expr"]:
        kind, value = _statement(expression)
        if kind == "match":
            operator = "" if value["op"] in ("==", "in") else f"{value['op']} "
            words.append(f"{_words(value['left'])} {operator}{_words(value['right'])}")
        elif kind in ("drop", "reject"):
            words.append(kind)
    return f"{' '.join(words)} (handle {rule.get('handle', '?')})"


def _words(value: Any) -> str:
    if isinstance(value, dict):
        if "payload" in value:
            return f"{value['payload'].get('protocol')} {value['payload'].get('field')}"
        if "prefix" in value:
            return f"{value['prefix']['addr']}/{value['prefix']['len']}"
        if "range" in value:
            return "-".join(map(str, value["range"]))
        if "set" in value:
            return f"{{ {', '.join(map(_words, value['set']))} }}" if isinstance(value["set"], list) else "{ ... }"
        for kind in ("meta", "ct"):
            if kind in value:
                return f"{'' if kind == 'meta' else 'ct '}{value[kind]['key']}"
        return "..."
    if isinstance(value, list):
        return ",".join(map(_words, value))
    return str(value)
