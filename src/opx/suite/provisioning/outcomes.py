"""What a step asks of the gateway, and what its answer means: pure computation, too."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

from pydantic import SecretStr

from opx.gateway_client import models
from opx.gateway_client.models import BulkResult, Create, Delete, Device, DeviceWish, Update
from opx.suite.backoff import BackOff
from opx.suite.provisioning.planner import Act, Step, Wanted
from opx.suite.provisioning.records import Provisioned, ProvisionState
from opx.suite.sites.records import ExtensionRecord, random_credentials
from opx.suite.timeline import Kind

CONFLICTS_AT_ONCE = 3
"""Times that a step is planned anew at once when the gateway has something else than was known; then it waits."""


class Doubt(Enum):
    """What the suite has to look at again before it plans the step anew."""

    NOTHING = auto()
    DEVICE = auto()
    """The device of the answer's id, or of the step."""
    NAMES = auto()
    """Who has the names that the step asked for."""
    GONE = auto()
    """The device is there no more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`record` None: nothing is left to be known. `device`: what the gateway has now, None when that is in `doubt` or
    it is gone. `text` is for the timeline, "" when it says nothing new. `well`: the gateway did it."""

    record: Provisioned | None
    well: bool
    device: Device | None = None
    doubt: Doubt = Doubt.NOTHING
    kind: Kind = Kind.DONE
    text: str = ""


def entry_of(step: Step, wanted: Wanted | None, extension: ExtensionRecord | None) -> models.Entry | None:
    """The part of a bulk write; None when the extension has changed since it was planned."""
    device = step.device
    if step.act in (Act.DELETE, Act.MAKE_WAY):
        return Delete(id=device.id, version=device.version) if device is not None else None
    if wanted is None or extension is None or not extension.teleworker or extension.obstacle:
        return None
    internal, remote = extension.internal, extension.remote
    if internal is None or remote is None or remote.name != wanted.set_username:
        return None
    wish = DeviceWish(
        set_username=remote.name,
        icp_id=step.icp_id,
        set_password=SecretStr(remote.password),
        icp_username=internal.name,
        icp_password=SecretStr(internal.password),
        description=wanted.description,
    )
    if device is None:
        return Create(device=wish)
    # Whether phones may use it is the gateway's administrator's to say, and what they wrote about it is theirs.
    kept = device.description if not step.record.owned else wish.description
    wish = wish.model_copy(update={"enabled": device.enabled, "description": kept})
    if step.act is Act.PARK:
        name = random_credentials().name
        wish = wish.model_copy(update={"set_username": name, "icp_username": name})
    return Update(id=device.id, version=device.version, device=wish)


def digest_of(step: Step, wanted: Wanted, extension: ExtensionRecord) -> str:
    """Of what was written; "" when it is not what is wanted in the end."""
    if step.act is Act.PARK:
        return ""
    return replace(wanted, revision=extension.revision).digest(step.icp_id)


def settle(
    step: Step, entry: models.Entry, digest: str, result: BulkResult, gateway: str, now: float, back_off: BackOff
) -> Outcome:
    """What the answer means for the record."""
    if result.error is not None:
        return _refused(step, entry, result, now, back_off)
    if isinstance(entry, Delete):
        if step.act is Act.MAKE_WAY:
            kept = replace(step.record, device_id=None, owned=False, digest="", changed_at=now)
            text = f"SIP user {_called(step.device)} was removed: one added by hand on the gateway has its names"
            return Outcome(kept, True, None, Doubt.GONE, Kind.WARNING, text)
        return Outcome(None, True, None, Doubt.GONE, Kind.DONE, f"removed from the gateway: {_called(step.device)}")
    wish = entry.device
    device = Device(
        id=result.id or (step.device.id if step.device is not None else 0),
        version=result.version or 1,
        revision=result.revision or 1,
        enabled=wish.enabled,
        description=wish.description,
        icp_id=wish.icp_id,
        icp="",
        set_username=wish.set_username,
        icp_username=wish.icp_username,
    )
    made = isinstance(entry, Create)
    # 200 to a creation: it was there already, and exactly so. It is the suite's if an earlier try was left unanswered.
    again = step.before.creating and step.before.set_username == wish.set_username
    owned = result.status == 201 or again if made else step.record.owned
    parked = step.act is Act.PARK
    record = replace(
        step.record,
        state=step.record.state if parked else ProvisionState.PROVISIONED,
        error=step.record.error if parked else "",
        tries=0,
        next_try=None,
        changed_at=now,
        gateway=gateway,
        device_id=device.id,
        owned=owned,
        creating=False,
        set_username=device.set_username,
        digest=digest,
        device_revision=device.revision,
        device_version=device.version,
    )
    return Outcome(record, True, device, Doubt.NOTHING, *_said(step, device, owned))


def failed(before: Provisioned, text: str, now: float, back_off: BackOff, removing: bool) -> Provisioned:
    """A row that is tried again later."""
    tries = before.tries + 1
    state = ProvisionState.REMOVING if removing else ProvisionState.FAILED
    wait = back_off.seconds(tries)
    return replace(before, state=state, error=text, tries=tries, next_try=now + wait, changed_at=now)


def _refused(step: Step, entry: models.Entry, result: BulkResult, now: float, back_off: BackOff) -> Outcome:
    doubt = _DOUBTS.get(result.error or "", Doubt.NOTHING)
    removing = step.act is Act.DELETE
    if removing and doubt is Doubt.GONE:
        return Outcome(None, True, None, doubt, Kind.DONE, "the SIP user was removed on the gateway by somebody else")
    # An unanswered creation stays possible; one that was refused just now has made nothing.
    record = replace(step.record, creating=step.before.creating, digest="")
    text = _words(step, result)
    if doubt is not Doubt.NOTHING and record.tries < CONFLICTS_AT_ONCE:
        return Outcome(replace(record, tries=record.tries + 1, next_try=None), False, None, doubt)
    record = failed(record, text, now, back_off, removing)
    told = text if text != step.before.error else ""
    return Outcome(record, False, None, doubt, Kind.REFUSED, told)


_DOUBTS: Mapping[str, Doubt] = {
    "exists": Doubt.DEVICE,
    "version_other": Doubt.DEVICE,
    "taken": Doubt.NAMES,
    "not_found": Doubt.GONE,
}


def _words(step: Step, result: BulkResult) -> str:
    message = result.message or "the gateway gave no reason"
    match result.error:
        case "version_other":
            return f"somebody else keeps changing the SIP user on the gateway at the same time: {message}"
        case "taken" | "exists":
            return f"another SIP user on the gateway has its name: {message}"
        case "weak_password":
            return f"the gateway refuses the remote authorization password: {message}; type another one"
        case _:
            field = f" ({result.field})" if result.field else ""
            return f"the gateway refuses it: {message}{field}"


def _said(step: Step, device: Device, owned: bool) -> tuple[Kind, str]:
    name = _called(device)
    match step.act:
        case Act.CREATE if step.drift:
            return Kind.WARNING, f"{step.drift}, and was made anew: {name}"
        case Act.CREATE if owned:
            return Kind.DONE, f"provisioned on the gateway: {name}"
        case Act.CREATE:
            return Kind.DONE, f"the gateway has it already, added by hand: {name}"
        case Act.ADOPT:
            return Kind.WARNING, f"one that was added by hand on the gateway was overwritten: {name}"
        case Act.PARK:
            return Kind.DONE, "gave its names on the gateway up for a moment, for another extension"
        case _ if step.drift:
            return Kind.WARNING, f"{step.drift}, and was overwritten: {name}"
        case _:
            return Kind.DONE, f"written to the gateway again: {name}"


def _called(device: Device | None) -> str:
    return f"SIP user {device.set_username} (id {device.id})" if device is not None else "the SIP user"
