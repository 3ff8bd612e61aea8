"""Decides what is to be written to the gateway: pure computation, without socket, database and clock.

`plan` compares what is wanted with what the gateway has and what the suite has written down, and gives steps, which the
reconciler carries out and `outcomes.settle` judges, and findings, for which nothing is to be asked of the gateway. It
is called again until there are no steps left.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from opx.gateway_client.models import Device, Icp
from opx.suite.provisioning.known import Known
from opx.suite.provisioning.records import Provisioned, ProvisionState
from opx.suite.timeline import Kind

LATE_ANSWER = 120.0
"""Seconds within which a gateway may still carry out a creation whose answer never came."""
MAX_DESCRIPTION = 80
"""Characters of a device's description that the suite writes: number and name."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An extension that is to be on the gateway. `obstacle` says why it cannot be, `node` is its node's address."""

    extension_id: int
    number: str
    name: str
    set_username: str
    revision: int
    node: str
    obstacle: str = ""

    @property
    def description(self) -> str:
        return f"{self.number} {self.name}".strip()[:MAX_DESCRIPTION]

    def digest(self, icp_id: int) -> str:
        """Of all that would be written. The credentials are in it by their revision only, so that it tells nothing."""
        parts = (self.revision, self.set_username, self.number, self.description, icp_id)
        return hashlib.sha256(repr(parts).encode()).hexdigest()


class Act(Enum):
    CREATE = auto()
    UPDATE = auto()
    ADOPT = auto()
    """Overwrite one that somebody added by hand."""
    PARK = auto()
    """Give up its names for a moment: others want them, and it wants theirs."""
    DELETE = auto()
    MAKE_WAY = auto()
    """Delete the own one, for one added by hand has the name that it would get."""


@dataclass(frozen=True, slots=True)
class Step:
    """`record` is what has to be written down before the gateway is asked, so that a suite that is killed in between
    knows what it may find; `before` is what was written down until then."""

    act: Act
    record: Provisioned
    before: Provisioned
    icp_id: int = 0
    device: Device | None = None
    drift: str = ""
    """What somebody else did to the device, for the timeline."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A row that becomes `record` without the gateway; None: nothing is left to be known. `text` is for the timeline,
    that of the gateway when the extension is gone."""

    extension_id: int
    number: str
    record: Provisioned | None
    kind: Kind = Kind.DONE
    text: str = ""


@dataclass(slots=True)
class Plan:
    steps: list[Step] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def plan(
    wanted: Mapping[int, Wanted],
    records: Mapping[int, Provisioned],
    known: Known,
    icps: Sequence[Icp],
    *,
    gateway: str,
    now: float,
    gone: Collection[int] = (),
    hurried: Collection[int] | None = (),
) -> Plan:
    """What is to be done. `gateway` is the fingerprint of its certificate; `gone` are those records' extensions that
    the suite has no more; `hurried` are not made to wait for their next try, None being all."""
    return _Planner(wanted, records, known, icps, gateway, now, gone, hurried).plan()


class _Planner:
    def __init__(
        self,
        wanted: Mapping[int, Wanted],
        records: Mapping[int, Provisioned],
        known: Known,
        icps: Sequence[Icp],
        gateway: str,
        now: float,
        gone: Collection[int],
        hurried: Collection[int] | None,
    ) -> None:
        self._wanted = wanted
        self._records = records
        self._known = known
        self._gateway = gateway
        self._now = now
        self._gone = gone
        self._hurried = hurried
        self._icps: dict[str, int] = {}
        for icp in sorted(icps, key=lambda icp: icp.id, reverse=True):
            self._icps.update({host.lower(): icp.id for host in icp.hosts})
        self._owner = {
            device.id: key for key, record in records.items() if (device := self._tracked(record)) is not None
        }
        self._adopting: dict[int, int] = {}
        self._plan = Plan()
        self._waits: dict[int, int] = {}
        """For whom an extension has to wait, because that one has its name on the gateway."""

    def plan(self) -> Plan:
        for key, record in self._records.items():
            if key not in self._wanted:
                self._unwanted(self._found(record))
        for key, wanted in self._wanted.items():
            kept = self._records.get(key)
            self._want(wanted, self._found(kept) if kept is not None else Provisioned(key, wanted.number))
        self._untangle()
        return self._plan

    # --- one extension

    def _want(self, wanted: Wanted, record: Provisioned) -> None:
        if record.state in (ProvisionState.REMOVING, ProvisionState.LEFT):
            record = replace(record, state=ProvisionState.PENDING, error="", tries=0, next_try=None)
        icp_id = self._icps.get(wanted.node.lower(), 0)
        if wanted.obstacle:
            self._fail(record, wanted.obstacle)
        elif not wanted.node:
            self._fail(record, "the node of the extension is not known, and so neither is its ICP")
        elif not icp_id:
            self._fail(record, no_icp(wanted.node))
        else:
            self._want_at(icp_id, wanted, record)

    def _want_at(self, icp_id: int, wanted: Wanted, record: Provisioned) -> None:
        device = self._tracked(record)
        holders = (self._known.named(wanted.set_username), self._known.at_icp(icp_id, wanted.number))
        others = {found.id: found for found in holders if found is not None and found != device}
        owners = [self._owner[key] for key in others if key in self._owner]
        owners += [self._adopting[key] for key in others if key in self._adopting]
        if owners:
            self._waits[wanted.extension_id] = owners[0]
        elif len(others) > 1 or (others and device is not None and not record.owned):
            self._fail(record, _in_the_way(list(others.values())))
        elif not self._due(record):
            return
        elif others and device is not None:
            self._step(Act.MAKE_WAY, record, device=device)
        elif others:
            self._adopt(record, next(iter(others.values())), icp_id)
        elif device is None:
            drift = "the SIP user was removed on the gateway by somebody else" if record.device_id is not None else ""
            intent = replace(
                record,
                device_id=None,
                creating=True,
                set_username=wanted.set_username,
                owned=False,
                changed_at=self._now,
            )
            self._step(Act.CREATE, record, intent, icp_id, drift=drift)
        else:
            self._keep(wanted, record, device, icp_id)

    def _keep(self, wanted: Wanted, record: Provisioned, device: Device, icp_id: int) -> None:
        same = (device.set_username, device.icp_username, device.icp_id) == (
            wanted.set_username,
            wanted.number,
            icp_id,
        )
        written = record.digest == wanted.digest(icp_id)
        if same and written and device.revision == record.device_revision:
            self._settled(record, device)
            return
        drift = "the SIP user was changed on the gateway by somebody else" if written else ""
        intent = replace(record, device_id=device.id, gateway=self._gateway, creating=False, digest="")
        self._step(Act.UPDATE, record, intent, icp_id, device, drift)

    def _adopt(self, record: Provisioned, other: Device, icp_id: int) -> None:
        self._adopting[other.id] = record.extension_id
        intent = replace(
            record, device_id=other.id, gateway=self._gateway, owned=False, creating=False, digest="", device_version=0
        )
        self._step(Act.ADOPT, record, intent, icp_id, other)

    def _settled(self, record: Provisioned, device: Device) -> None:
        note = "" if device.enabled else "the SIP user is disabled on the gateway; an administrator did that there"
        settled = replace(
            record,
            state=ProvisionState.PROVISIONED,
            error=note,
            tries=0,
            next_try=None,
            gateway=self._gateway,
            device_id=device.id,
            creating=False,
            device_version=device.version,
        )
        if settled != record:
            told = note if note != record.error else ""
            if not told and record.state is not ProvisionState.PROVISIONED:
                told = f"on the gateway as SIP user {device.set_username} (id {device.id})"
            self._find(record, settled, Kind.WARNING if note else Kind.DONE, told)

    def _unwanted(self, record: Provisioned) -> None:
        device = self._tracked(record)
        if device is None and record.creating and self._now < record.changed_at + LATE_ANSWER:
            if record.state is not ProvisionState.REMOVING:
                self._find(record, replace(record, state=ProvisionState.REMOVING, error=""), Kind.DONE, "")
        elif device is None:
            text = "the SIP user is on the gateway no more" if record.device_id is not None else ""
            self._find(record, None, Kind.DONE, text)
        elif record.owned:
            if self._due(record) or record.state is not ProvisionState.REMOVING:
                self._step(Act.DELETE, record, device=device)
        elif record.extension_id in self._gone:
            self._find(record, None, Kind.WARNING, left(device))
        elif record.state is not ProvisionState.LEFT:
            kept = replace(record, state=ProvisionState.LEFT, error=left(device), tries=0, next_try=None)
            self._find(record, kept, Kind.WARNING, left(device))

    # --- who stands in whose way

    def _untangle(self) -> None:
        moving = {step.record.extension_id for step in self._plan.steps}
        parked: set[int] = set()
        for key in self._waits:
            chain = [key]
            while (following := self._waits.get(chain[-1])) is not None and following not in chain:
                chain.append(following)
            if following is None:
                if chain[-1] not in moving:
                    self._held_up(chain)
            elif not parked.intersection(circle := chain[chain.index(following) :]):
                self._park(min(circle))
                parked.add(min(circle))

    def _held_up(self, chain: Sequence[int]) -> None:
        wanted, holder = self._wanted[chain[0]], self._records[chain[1]]
        record = self._records.get(chain[0]) or Provisioned(chain[0], wanted.number)
        self._fail(record, f"extension {holder.number} still has its name on the gateway, and cannot give it up")

    def _park(self, key: int) -> None:
        record = self._records[key]
        device = self._tracked(record)
        if device is not None and self._due(record):
            intent = replace(record, device_id=device.id, gateway=self._gateway, digest="")
            self._step(Act.PARK, record, intent, device.icp_id, device)

    # --- helpers

    def _tracked(self, record: Provisioned) -> Device | None:
        """The device that the record is about, if the gateway has it still."""
        if record.device_id is None:
            device = self._known.named(record.set_username) if record.creating else None
            # Somebody may have added one of that name by hand meanwhile.
            made_here = device is not None and (
                device.icp_username == record.number and device.description.startswith(record.number)
            )
            return device if made_here else None
        device = self._known.get(record.device_id)
        if device is None or device.set_username == record.set_username:
            return device
        # Another gateway may have the id for something else; with a restored one, versions begin again.
        same = record.gateway == self._gateway and device.version >= record.device_version
        return device if same else None

    def _found(self, record: Provisioned) -> Provisioned:
        """With the device of a creation that was left unanswered, if it was carried out."""
        device = self._tracked(record) if record.creating else None
        if device is None:
            return record
        return replace(record, creating=False, owned=True, device_id=device.id, gateway=self._gateway)

    def _due(self, record: Provisioned) -> bool:
        if self._hurried is None or record.extension_id in self._hurried:
            return True
        return record.next_try is None or record.next_try <= self._now

    def _step(
        self,
        act: Act,
        before: Provisioned,
        record: Provisioned | None = None,
        icp_id: int = 0,
        device: Device | None = None,
        drift: str = "",
    ) -> None:
        record = record or before
        removing = act is Act.DELETE
        state = ProvisionState.REMOVING if removing else ProvisionState.PENDING
        if before.state is ProvisionState.FAILED and not removing:
            # It keeps saying what was wrong until that is mended.
            state = before.state
        self._plan.steps.append(Step(act, replace(record, state=state), before, icp_id, device, drift))

    def _fail(self, record: Provisioned, text: str) -> None:
        """It waits for nothing but a change of what is wrong, so there is no next try."""
        failed = replace(record, state=ProvisionState.FAILED, error=text, next_try=None)
        if failed != record:
            self._find(record, failed, Kind.REFUSED, text)

    def _find(self, of: Provisioned, record: Provisioned | None, kind: Kind, text: str) -> None:
        self._plan.findings.append(Finding(of.extension_id, of.number, record, kind, text))


def no_icp(address: str) -> str:
    return f"the gateway has no ICP with Hostname or IP Address {address}"


def left(device: Device) -> str:
    return (
        f"SIP user {device.set_username} (id {device.id}) was added by hand on the gateway, and stays there; remove it "
        "there if nobody needs it"
    )


def _in_the_way(others: Sequence[Device]) -> str:
    named = " and ".join(f"{device.set_username} (id {device.id})" for device in others)
    return f"SIP users added by hand have its names on the gateway: {named}; remove what nobody needs there"
