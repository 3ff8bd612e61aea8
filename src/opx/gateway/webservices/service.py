"""What an administrator does with the web services (guide stage 4), in a console or on the command line.

Everything that changes something is written to the audit log; no secret and no verifier is.
"""

from collections import deque

from opx.gateway.webservices.ports import AuditLog, no_audit
from opx.gateway.webservices.records import (
    Actor,
    ConsumerRecord,
    ConsumerSpec,
    FinalRecord,
    Refusal,
    TemporaryRecord,
)
from opx.gateway.webservices.repository import WebServicesRepository

REFUSALS_KEPT = 200


class WebServices:
    """Administration > Web services. Unknown, Outdated or WebServicesError say why something is not done."""

    def __init__(self, repository: WebServicesRepository, audit: AuditLog = no_audit) -> None:
        self.repository = repository
        self._audit = audit
        self._refusals: deque[Refusal] = deque(maxlen=REFUSALS_KEPT)

    @property
    def refusals(self) -> list[Refusal]:
        """Requests that were turned away since this process started, the newest first."""
        return list(reversed(self._refusals))

    def note_refusal(self, refusal: Refusal) -> None:
        """In memory only: strangers fill no database."""
        self._refusals.append(refusal)

    async def started(self) -> bool:
        return await self.repository.started()

    async def start(self, by: Actor) -> None:
        """Let consumers in; without this nobody is answered."""
        await self.repository.set_started(True)
        await self._audit(by.name, by.source, "web services started")

    async def stop(self, by: Actor) -> None:
        """Answer nobody any more; consumers and tokens stay."""
        await self.repository.set_started(False)
        await self._audit(by.name, by.source, "web services stopped")

    # --- consumers

    async def consumers(self) -> list[ConsumerRecord]:
        return await self.repository.consumers()

    async def consumer(self, key: int) -> ConsumerRecord:
        return await self.repository.consumer(key)

    async def add_consumer(self, by: Actor, spec: ConsumerSpec) -> tuple[ConsumerRecord, str]:
        """With the shared secret, which is not shown again."""
        record, secret = await self.repository.add_consumer(spec)
        await self._audit(by.name, by.source, "consumer added", record.consumer_id, _said(record))
        return record, secret

    async def change_consumer(self, by: Actor, key: int, spec: ConsumerSpec, version: int) -> ConsumerRecord:
        """`version` is that of the record that the change was made from."""
        record = await self.repository.change_consumer(key, spec, version)
        await self._audit(by.name, by.source, "consumer changed", record.consumer_id, _said(record))
        return record

    async def new_secret(self, by: Actor, key: int) -> tuple[ConsumerRecord, str]:
        """Another shared secret; the old one is void, tokens stay and need the new one."""
        record, secret = await self.repository.new_secret(key)
        await self._audit(by.name, by.source, "consumer given a new secret", record.consumer_id)
        return record, secret

    async def remove_consumer(self, by: Actor, key: int) -> None:
        """All its tokens go with it."""
        record = await self.repository.remove_consumer(key)
        await self._audit(by.name, by.source, "consumer removed", record.consumer_id)

    # --- tokens

    async def temporary_tokens(self) -> list[TemporaryRecord]:
        return await self.repository.temporary_tokens()

    async def approve(self, by: Actor, key: int) -> TemporaryRecord:
        """The record has the Verifier, which whoever runs the consumer enters there."""
        record = await self.repository.approve(key)
        detail = f"asked for from {record.source}"
        await self._audit(by.name, by.source, "temporary token approved", record.consumer.consumer_id, detail)
        return record

    async def deny(self, by: Actor, key: int) -> None:
        record = await self.repository.deny(key)
        await self._audit(by.name, by.source, "temporary token removed", record.consumer.consumer_id)

    async def final_tokens(self) -> list[FinalRecord]:
        return await self.repository.final_tokens()

    async def renew(self, by: Actor, key: int) -> FinalRecord:
        """Twelve months from now on, or what the settings say."""
        record = await self.repository.renew(key)
        await self._audit(by.name, by.source, "final token renewed", record.consumer.consumer_id, f"token {key}")
        return record

    async def revoke(self, by: Actor, key: int) -> FinalRecord:
        record = await self.repository.revoke(key)
        await self._audit(by.name, by.source, "final token revoked", record.consumer.consumer_id, f"token {key}")
        return record


def _said(record: ConsumerRecord) -> str:
    allowed = ", ".join(f"{name} {permission}" for name, permission in record.permissions.items())
    return f"{record.name}, {'active' if record.active else 'not active'}; {allowed}"
