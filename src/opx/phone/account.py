"""The account that a phone uses, and keeping it registered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from opx.sip.agent import UserAgent
from opx.sip.digest import DigestClient
from opx.sip.flow import Destination, host_port
from opx.sip.grammar import format_host
from opx.sip.registration import ClientRegistration, RegistrationPolicy, RegistrationResult, RegistrationState


@dataclass(frozen=True, slots=True)
class Account:
    """`server` is where to register and call through; `username` and `password` are the set-side credentials there."""

    username: str
    password: str = field(repr=False)
    server: str
    port: int = 5060
    transport: str = "UDP"
    auth_name: str = ""
    """Where it differs from the user name."""
    outbound: tuple[str, int] | None = None
    """A proxy that all requests go to instead, whatever their URIs say."""

    @property
    def destination(self) -> Destination:
        host, port = self.outbound or (self.server, self.port)
        return Destination(self.transport, host, port)

    @property
    def domain(self) -> str:
        return host_port((self.server, self.port)) if self.port != 5060 else format_host(self.server)

    @property
    def aor(self) -> str:
        return f"sip:{self.username}@{self.domain}"

    def uri(self, number: str) -> str:
        """A number at the account's server."""
        return f"sip:{number}@{self.domain}"

    def contact(self, address: tuple[str, int]) -> str:
        """The URI by which a phone at `address` is reached."""
        transport = "" if self.transport == "UDP" else f";transport={self.transport.lower()}"
        return f"sip:{self.username}@{host_port(address)}{transport}"


class AccountRegistration:
    """`tried` is set with the first result, `registered` while the server has the account.

    `contact` gives our URI once the phone listens; `on_registered` hears each time that the server has it anew,
    `on_result` of every attempt.
    """

    def __init__(
        self,
        agent: UserAgent,
        account: Account,
        credentials: DigestClient,
        contact: Callable[[], str],
        policy: RegistrationPolicy,
        say: Callable[[str], None],
        on_registered: Callable[[], None],
        on_result: Callable[[RegistrationResult], None] = lambda result: None,
    ) -> None:
        self.result: RegistrationResult | None = None
        self.registered = asyncio.Event()
        self.tried = asyncio.Event()
        self._agent = agent
        self._account = account
        self._credentials = credentials
        self._contact = contact
        self._policy = policy
        self._say = say
        self._on_registered = on_registered
        self._hear = on_result
        self._client: ClientRegistration | None = None

    @property
    def wanted(self) -> bool:
        """The phone has been told to register."""
        return self._client is not None

    def start(self, delay: float = 0.0) -> None:
        """Register after `delay` seconds, and go on refreshing."""
        if self._client is None:
            self._client = ClientRegistration(
                self._agent,
                self._account.destination,
                aor=self._account.aor,
                registrar=f"sip:{self._account.domain}",
                contact=self._contact(),
                credentials=self._credentials,
                on_result=self._on_result,
                policy=self._policy,
            )
        self._client.start(delay)

    def stop(self) -> None:
        """Sign off at the server."""
        if self._client is not None:
            self._client.stop()

    def forget(self) -> None:
        """Refresh no more, and leave the server as it is."""
        if self._client is not None:
            self._client.forget()

    def _on_result(self, result: RegistrationResult) -> None:
        self.result = result
        self.tried.set()
        if result.state is RegistrationState.REGISTERED:
            if not self.registered.is_set():
                self.registered.set()
                self._say(f"registered at {self._account.server} for {result.expires:.0f} s")
                self._on_registered()
        else:
            self.registered.clear()
            self._say(f"not registered: {result.state.value} ({result.status or 'no answer'})")
        self._hear(result)
