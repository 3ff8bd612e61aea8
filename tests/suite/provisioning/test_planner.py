"""However failures, other writers and changes of mind come together: in the end the gateway has what is wanted, and
nothing that somebody else made is ever deleted."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from opx.gateway_client.models import Device, Icp
from opx.suite.backoff import BackOff
from opx.suite.provisioning.known import Known
from opx.suite.provisioning.outcomes import Doubt, digest_of, entry_of, settle
from opx.suite.provisioning.planner import Act, Finding, Plan, Wanted, plan
from opx.suite.provisioning.records import Provisioned, ProvisionState
from opx.suite.sites.records import Credentials, ExtensionRecord
from support.model_gateway import ModelGateway

NAMES = [f"tw-{n}" for n in range(5)]
NODES = ["10.0.0.20", "10.0.0.21"]
IDS = [1, 2, 3]
GATEWAY = "ab" * 32
BACK_OFF = BackOff(30.0, 3600.0, random.Random(1))


class Fault(StrEnum):
    """What happens to a bulk write."""

    NONE = "none"
    BEFORE = "killed before it was sent"
    AFTER = "killed before the answer was written down"
    PART = "killed, and the gateway had done a part of it"


def icp(key: int, host: str) -> Icp:
    return Icp(id=key, version=1, name=host, type="", host=host, port=None, transport="UDP", nodes=())


def number(key: int) -> str:
    return f"{1000 + key}"


@dataclass
class Site:
    """Suite and gateway; what is in `known` is lost when the suite is killed."""

    gateway: ModelGateway = field(default_factory=ModelGateway)
    wanted: dict[int, Wanted] = field(default_factory=dict)
    records: dict[int, Provisioned] = field(default_factory=dict)
    icps: list[Icp] = field(default_factory=lambda: [icp(1, NODES[0]), icp(2, NODES[1])])
    known: Known | None = None
    texts: list[str] = field(default_factory=list)
    revision: int = 0
    now: float = 0.0

    # --- what people do

    def want(self, key: int, name: str, node: str, obstacle: str = "") -> None:
        if any(other.set_username == name for other in self.wanted.values() if other.extension_id != key):
            return
        self.revision += 1
        self.wanted[key] = Wanted(key, number(key), "", name, self.revision, node, obstacle)

    def extension(self, key: int) -> ExtensionRecord | None:
        wanted = self.wanted.get(key)
        if wanted is None:
            return None
        internal = Credentials(wanted.number, f"icp-{key}-{wanted.revision}")
        remote = Credentials(wanted.set_username, f"set-{key}-{wanted.revision}")
        return ExtensionRecord(key, 1, 1, wanted.number, "", False, True, internal, True, remote, wanted.revision)

    # --- the reconciler's work, without its shell

    def round(self, fault: Fault = Fault.NONE, part: int = 0) -> bool:
        """One plan and its bulk write; whether there was anything to do."""
        self.now += 1000.0
        if self.known is None:
            self.known = Known(self.gateway.devices.values())
        planned = plan(
            self.wanted, self.records, self.known, self.icps, gateway=GATEWAY, now=self.now, hurried=None, gone=()
        )
        self._find(planned.findings)
        if planned.steps:
            self._write(planned, fault, part)
        return bool(planned.steps)

    def _find(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            self.texts.append(finding.text)
            if finding.record is None:
                self.records.pop(finding.extension_id, None)
            else:
                self.records[finding.extension_id] = finding.record

    def _write(self, planned: Plan, fault: Fault, part: int) -> None:
        steps, entries = [], []
        for step in planned.steps:
            key = step.record.extension_id
            entry = entry_of(step, self.wanted.get(key), self.extension(key))
            if entry is not None:
                steps.append(step)
                entries.append(entry)
                self.records[key] = step.record
        if fault is Fault.BEFORE:
            self.known = None
            return
        if fault is Fault.PART:
            self.gateway.bulk(entries[:part])
            self.known = None
            return
        results = self.gateway.bulk(entries)
        if fault is Fault.AFTER:
            self.known = None
            return
        assert self.known is not None
        for step, entry, result in zip(steps, entries, results, strict=True):
            key = step.record.extension_id
            extension, wanted = self.extension(key), self.wanted.get(key)
            digest = digest_of(step, wanted, extension) if wanted and extension else ""
            outcome = settle(step, entry, digest, result, GATEWAY, 0.0, BACK_OFF)
            self.texts.append(outcome.text)
            if outcome.record is None:
                self.records.pop(key, None)
            else:
                self.records[key] = outcome.record
            if outcome.device is not None:
                self.known.put(outcome.device)
            if outcome.doubt is Doubt.GONE and step.device is not None:
                self.known.drop(step.device.id)
            elif outcome.doubt is not Doubt.NOTHING:
                self.known = Known(self.gateway.devices.values())

    def settle_down(self) -> None:
        """Everything works, and nobody changes anything any more."""
        self.known = None
        for _ in range(30):
            if not self.round():
                return
        raise AssertionError(f"no end: {self.records} {self.gateway.devices}")

    # --- what must be so

    def check(self) -> None:
        assert not self.gateway.deleted & self.gateway.by_hand, "a SIP user added by hand was deleted"
        for key, wanted in self.wanted.items():
            record = self.records[key]
            if record.state is ProvisionState.PROVISIONED:
                self._is_as_wanted(wanted, record)
            else:
                assert record.state is ProvisionState.FAILED, record
                self._has_reason(wanted, record)
        known_now = {record.device_id for record in self.records.values()}
        # What was renamed by hand before the suite knew of it cannot be known to be the suite's.
        made_here = {key for key in self.gateway.devices if key not in self.gateway.by_hand | self.gateway.touched}
        assert made_here <= known_now, f"left behind: {made_here - known_now}"
        for key, record in self.records.items():
            if key not in self.wanted:
                assert record.state is ProvisionState.LEFT and not record.owned

    def _is_as_wanted(self, wanted: Wanted, record: Provisioned) -> None:
        device = self.gateway.devices[record.device_id or 0]
        icp_id = NODES.index(wanted.node) + 1
        assert (device.set_username, device.icp_id, device.icp_username) == (
            wanted.set_username,
            icp_id,
            wanted.number,
        )
        key, revision = wanted.extension_id, wanted.revision
        assert self.gateway.secrets[device.id] == (f"set-{key}-{revision}", f"icp-{key}-{revision}")
        assert not (record.owned and device.id in self.gateway.by_hand), "taken for the suite's own"

    def _has_reason(self, wanted: Wanted, record: Provisioned) -> None:
        if wanted.obstacle or wanted.node not in [icp.host for icp in self.icps]:
            assert wanted.obstacle in record.error
            return
        holders = [
            device
            for device in self.gateway.devices.values()
            if device.id != record.device_id
            and (
                device.set_username == wanted.set_username
                or (device.icp_id, device.icp_username) == (NODES.index(wanted.node) + 1, wanted.number)
            )
        ]
        if "cannot give it up" in record.error:
            assert any(other.device_id in {device.id for device in holders} for other in self.records.values())
        else:
            assert "added by hand" in record.error, record.error
            # Not adopted before: two of them are in the way, or its own was one of those by hand.
            assert len(holders) > 1 or (record.device_id is not None and not record.owned), (record, holders)


action = st.one_of(
    st.tuples(st.just("want"), st.sampled_from(IDS), st.sampled_from(NAMES), st.sampled_from(NODES)),
    st.tuples(st.just("want"), st.sampled_from(IDS), st.sampled_from(NAMES), st.sampled_from([*NODES, "", "10.0.0.9"])),
    st.tuples(st.just("obstacle"), st.sampled_from(IDS)),
    st.tuples(st.just("untick"), st.sampled_from(IDS)),
    st.tuples(st.just("by hand"), st.sampled_from(NAMES), st.sampled_from([1, 2]), st.sampled_from(IDS)),
    st.tuples(st.just("edit"), st.integers(0, 5), st.sampled_from(NAMES)),
    st.tuples(st.just("remove"), st.integers(0, 5)),
    st.tuples(st.just("icps"), st.sampled_from([1, 2])),
    st.tuples(st.just("round"), st.sampled_from(list(Fault)), st.integers(0, 3)),
    st.tuples(st.just("round"), st.just(Fault.NONE), st.just(0)),
)


def act(site: Site, what: tuple[Any, ...]) -> None:
    devices = list(site.gateway.devices)
    match what:
        case ("want", key, name, node):
            site.want(key, name, node)
        case ("obstacle", key) if key in site.wanted:
            site.wanted[key] = replace(site.wanted[key], obstacle="the names differ")
        case ("untick", key):
            site.wanted.pop(key, None)
        case ("by hand", name, icp_id, key):
            site.gateway.add_by_hand(name, icp_id, number(key))
        case ("edit", at, name) if at < len(devices):
            site.gateway.edit_by_hand(devices[at], name)
        case ("remove", at) if at < len(devices):
            site.gateway.remove_by_hand(devices[at])
        case ("icps", count):
            site.icps = [icp(key + 1, NODES[key]) for key in range(count)]
        case ("round", fault, part):
            site.round(fault, part)


@settings(max_examples=600, deadline=None)
@given(st.lists(action, max_size=25))
def test_any_history_ends_with_what_is_wanted_and_nothing_foreign_is_deleted(history: list[tuple[Any, ...]]) -> None:
    note(repr(history))
    site = Site()
    for what in history:
        act(site, what)
        assert not site.gateway.deleted & site.gateway.by_hand
    site.settle_down()
    site.check()


def device(key: int, set_username: str, icp_username: str, version: int = 1) -> Device:
    return Device(
        id=key,
        version=version,
        revision=version,
        enabled=True,
        description="",
        icp_id=1,
        icp="",
        set_username=set_username,
        icp_username=icp_username,
    )


@pytest.mark.parametrize(
    ("gateway", "met", "acts"),
    [
        (GATEWAY, device(7, "renamed", "1001", 2), [Act.DELETE]),
        ("cd" * 32, device(7, "tw-1", "1001"), [Act.DELETE]),
        ("cd" * 32, device(7, "renamed", "1001", 2), []),
        (GATEWAY, device(7, "somebody", "1001", 1), []),
    ],
    ids=["the same gateway", "with another certificate", "another gateway", "set up anew"],
)
def test_ids_of_another_gateway_mean_nothing(gateway: str, met: Device, acts: list[Act]) -> None:
    mine = Provisioned(
        1, "1001", ProvisionState.PROVISIONED, gateway=GATEWAY, device_id=7, owned=True, set_username="tw-1"
    )
    mine = replace(mine, device_version=2, device_revision=2)
    planned = plan({}, {1: mine}, Known([met]), [], gateway=gateway, now=0.0)
    assert [step.act for step in planned.steps] == acts
    assert [finding.record for finding in planned.findings] == ([] if acts else [None])


def test_an_extension_waits_for_its_next_try_unless_somebody_hurries_it() -> None:
    wanted = {1: Wanted(1, "1001", "", "tw-1", 1, NODES[0])}
    refused = {1: Provisioned(1, "1001", ProvisionState.FAILED, "no", 1, 100.0)}
    icps = [icp(1, NODES[0])]

    def steps(now: float, hurried: set[int] | None) -> int:
        return len(plan(wanted, refused, Known(), icps, gateway=GATEWAY, now=now, hurried=hurried).steps)

    assert [steps(99.0, set()), steps(99.0, {1}), steps(99.0, None), steps(100.0, set())] == [0, 1, 1, 1]
