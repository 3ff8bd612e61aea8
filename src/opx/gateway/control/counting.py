"""The gateway's numbers, for the metrics. None is kept per device or per message."""

from collections import Counter as Tally
from collections.abc import Mapping

from opx.gateway.control.lag import LagMeter
from opx.gateway.control.protocol import Counter
from opx.gateway.signalling.signalling import Signalling
from opx.gateway.signalling.timeline import Entry
from opx.gateway.writer import WriteBehind
from opx.sip.agent import UserAgent
from opx.sip.transport import SipStack


class Counting:
    """Counts what passes by; `entry` is a sink of the timeline."""

    def __init__(self) -> None:
        self.entries: Tally[str] = Tally()

    def entry(self, entry: Entry) -> None:
        self.entries[entry.kind.value] += 1


def counters(
    signalling: Signalling, counting: Counting, stacks: Mapping[str, SipStack], writer: WriteBehind, lag: LagMeter
) -> list[Counter]:
    """Everything that signalling can tell now; names as Prometheus wants them, without the prefix."""
    licences = signalling.registrar.licences
    found = [
        _gauge("registered_devices", len(signalling.registrar.bindings.devices)),
        _gauge("devices", len(signalling.directory.devices)),
        _gauge("calls", len(signalling.calls)),
        _gauge("licences_used", licences.used),
        _gauge("event_loop_lag_seconds", lag.worst),
        _gauge("database_unwritten_rows", writer.unwritten),
        _rising("database_dropped_rows", writer.dropped),
    ]
    if licences.total is not None:
        found.append(_gauge("licences", licences.total))
    for kind, number in sorted(counting.entries.items()):
        found.append(_rising("timeline_entries", number, kind=kind))
    for link in signalling.links:
        found.append(_gauge("icp_up", link.available, icp=link.record.name))
        found.append(_gauge("icp_nodes_up", sum(node.usable for node in link.nodes), icp=link.record.name))
    for name, registered in _registered(signalling).items():
        found.append(_gauge("icp_registered_devices", registered, icp=name))
    agents: dict[str, UserAgent] = {"set": signalling.set_agent, "icp": signalling.icp_agent}
    for side, agent in agents.items():
        stack = stacks[side]
        found.append(_gauge("sip_transactions", len(agent.layer), side=side))
        found.append(_gauge("sip_dialogs", agent.dialogs, side=side))
        found.append(_gauge("sip_connections", stack.connections, side=side))
        found.append(_rising("sip_datagrams_dropped", stack.dropped, side=side))
    return found


def _registered(signalling: Signalling) -> dict[str, int]:
    by_id = signalling.icps.registered_by_icp()
    return {link.record.name: by_id[link.record.id] for link in signalling.links}


def _gauge(name: str, value: float, **labels: str) -> Counter:
    return Counter(name=name, value=value, labels=labels)


def _rising(name: str, value: float, **labels: str) -> Counter:
    return Counter(name=name, value=value, kind="counter", labels=labels)
