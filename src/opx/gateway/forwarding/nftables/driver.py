"""The nftables driver: one table of OPX's own, changed in one transaction, and left in force when this process dies."""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from opx.gateway.forwarding.interface import (
    Address,
    AskedOrigin,
    ForwardingError,
    ForwardingPolicy,
    Origin,
    Traffic,
    WantedRoute,
    only_one,
)
from opx.gateway.forwarding.nftables import foreign, machine, nft, ruleset
from opx.gateway.forwarding.nftables.conntrack import Conntrack, Entry, Tuple
from opx.gateway.forwarding.nftables.ruleset import Listing, Table, counter_name
from opx.gateway.forwarding.rules import Ports, Protocol, Route

log = logging.getLogger(__name__)


class NftablesDriver:
    """A ForwardingDriver in the kernel."""

    name = "nftables"

    def __init__(self, policy: ForwardingPolicy) -> None:
        self._policy = policy
        self._wanted: dict[int, Route] = {}
        self._applied: dict[str, list[object]] = {}
        self._outside_interface = ""
        self._with_timeouts = True
        self._ordering = asyncio.Lock()

    async def start(self) -> None:
        if problem := await self.problem():
            raise ForwardingError(problem)

    async def problem(self) -> str:
        """Why it cannot work here; "" when it can."""
        if self._policy.outside.is_loopback or self._policy.inside.is_loopback:
            return "the kernel forwards nothing between loopback addresses"
        if problem := await nft.problem():
            return problem
        try:
            with Conntrack():
                pass
            machine.interface_of(self._policy.outside, "outside")
            machine.interface_of(self._policy.inside, "inside")
        except ForwardingError as error:
            return str(error)
        return ""

    async def stop(self) -> None:
        async with self._ordering:
            try:
                await self._clear()
            except ForwardingError as error:
                log.error("port forwarding could not be taken out of force: %s", error)

    async def apply(self, wanted: Sequence[WantedRoute]) -> Mapping[int, str]:
        async with self._ordering:
            before = await nft.table()
            ports_before = ruleset.ports_in(before)
            if wanted:
                await self._put(wanted, before)
            else:
                await self._clear(before)
            self._wanted = {one.key: one.route for one in wanted}
            await asyncio.to_thread(self._end_strays, ports_before)
            return {}

    async def in_force(self) -> Mapping[int, Route]:
        now = ruleset.chains(await nft.table())
        outside = machine.interfaces().get(self._policy.outside)
        if not machine.routes() or outside != self._outside_interface:
            return {}
        return {key: route for key, route in self._wanted.items() if ruleset.intact(key, now, self._applied)}

    async def hindrances(self) -> Mapping[int, str]:
        if not self._wanted:
            return {}
        if not machine.routes():
            return dict.fromkeys(self._wanted, "this machine does not route any more (net.ipv4.ip_forward is 0)")
        everything = await nft.everything()
        outside = machine.interface_of(self._policy.outside, "outside")
        found = {}
        for key, route in self._wanted.items():
            for part in route.ports.ranges:
                going = machine.interface_toward(route.host)
                packet = foreign.Packet(route.protocol, route.host, route.port_at_host(part.first), outside, going)
                if (objection := foreign.objection(everything, packet)) is not None:
                    found[key] = str(objection)
                    break
        return found

    async def traffic(self) -> Mapping[int, Traffic]:
        if not self._wanted:
            return {}
        counted = ruleset.counters(await nft.counters())
        open_now = await asyncio.to_thread(self._open)
        found = {}
        for key in self._wanted:
            numbers = {what: counted.get(counter_name(key, what), (0, 0)) for what in ("new", "up", "down", "refused")}
            found[key] = Traffic(
                numbers["new"][0], open_now[key], numbers["up"][1], numbers["down"][1], numbers["refused"][0]
            )
        return found

    async def origin(self, protocol: Protocol, source: Address, host: Address | None) -> Origin | None:
        (found,) = await self.origins(protocol, [(source, host)])
        return found

    async def origins(self, protocol: Protocol, asked: Sequence[AskedOrigin]) -> list[Origin | None]:
        return await asyncio.to_thread(self._origins, protocol, asked)

    # --- the table

    async def _put(self, wanted: Sequence[WantedRoute], before: Listing) -> None:
        """Rules first and routing last, so that nothing passes meanwhile that should not."""
        outside = machine.interface_of(self._policy.outside, "outside")
        opens = not machine.routes()
        ours = opens or ruleset.ROUTING in ruleset.names(before, "counter")
        for _ in range(2):
            table = Table(self._policy, outside, tuple(wanted), ours, self._with_timeouts)
            try:
                try:
                    await nft.change(table.transaction(before))
                except nft.NftError as error:
                    log.info("the table is made anew, for it could not be changed: %s", error)
                    await nft.change(table.replacement())
                break
            except nft.NftError as error:
                if not self._with_timeouts or "ct timeout" not in str(error).replace("ct_timeout", "ct timeout"):
                    raise
                log.warning("this kernel has no idle limits per connection; its own apply: %s", error)
                self._with_timeouts = False
        self._applied = ruleset.chains(await nft.table())
        self._outside_interface = outside
        if opens:
            machine.set_routing(True)

    async def _clear(self, before: Listing | None = None) -> None:
        """Routing first, rules last."""
        listing = await nft.table() if before is None else before
        if not listing:
            return
        if ruleset.ROUTING in ruleset.names(listing, "counter"):
            machine.set_routing(False)
        await nft.change(ruleset.removal())
        ports = ruleset.ports_in(listing)
        self._wanted, self._applied = {}, {}
        await asyncio.to_thread(self._end_strays, ports)

    # --- connections

    def _key(self, original: Tuple) -> int | None:
        """The rule by which a connection came, were it made now."""
        if original.destination[0] != str(self._policy.outside):
            return None
        for key, route in self._wanted.items():
            if route.protocol is original.protocol and original.destination[1] in route.ports:
                return key
        return None

    def _end_strays(self, ports_before: Mapping[Protocol, Ports]) -> None:
        """Connections that came by a rule that is gone or another one now, and those that a new rule would take."""
        outside = str(self._policy.outside)
        with Conntrack() as table:
            strays = []
            for entry in table.all():
                if entry.original.destination[0] != outside:
                    continue
                key = self._key(entry.original)
                if key is not None:
                    if not self._fits(entry, self._wanted[key]):
                        strays.append(entry)
                elif (
                    entry.original.destination[1] in ports_before.get(entry.original.protocol, Ports(()))
                    and entry.target != entry.original.destination
                ):
                    strays.append(entry)
            for entry in strays:
                table.delete(entry)

    def _fits(self, entry: Entry, route: Route) -> bool:
        source, port = entry.original.source[0], entry.original.destination[1]
        seen_from = str(self._policy.inside) if route.snat else source
        return (
            entry.target == (str(route.host), route.port_at_host(port))
            and entry.seen_from[0] == seen_from
            and route.lets_in(source)
        )

    def _open(self) -> Counter[int]:
        counted: Counter[int] = Counter()
        with Conntrack() as table:
            for entry in table.all(only_dnat=True):
                key = self._key(entry.original)
                if key is not None:
                    counted[key] += 1
        return counted

    def _origins(self, protocol: Protocol, asked: Sequence[AskedOrigin]) -> list[Origin | None]:
        outside = str(self._policy.outside)
        found: list[Origin | None] = []
        with Conntrack() as table:
            for source, host in asked:
                if host is not None:
                    one = table.by_reply(Tuple(protocol, host, source))
                    entries = [one] if one is not None else []
                else:
                    entries = [
                        entry
                        for entry in table.all(only_dnat=True)
                        if entry.original.protocol is protocol and entry.seen_from == source
                    ]
                origins = [
                    Origin(*entry.original.source, entry.original.destination[1], self._key(entry.original))
                    for entry in entries
                    if entry.original.destination[0] == outside and entry.target != entry.original.destination
                ]
                found.append(only_one(origins))
        return found
