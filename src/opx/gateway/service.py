"""Wires the gateway's rooms, starts and stops them. The only place that knows them all."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from opx.config import ConfigError, SettingsFile, load_settings
from opx.gateway.control.counting import Counting, counters
from opx.gateway.control.desk import ControlDesk
from opx.gateway.control.lag import LagMeter
from opx.gateway.control.live import LiveView
from opx.gateway.control.protocol import Counter, Done, NotAllowed, TakeSettings
from opx.gateway.control.server import ControlServer, Handler
from opx.gateway.faults.service import Faults
from opx.gateway.forwarding.desk import ForwardingDesk
from opx.gateway.forwarding.reconciler import State
from opx.gateway.forwarding.repository import ForwardRepository
from opx.gateway.forwarding.service import Forwarding
from opx.gateway.forwarding.site import site_of
from opx.gateway.importing import import_file
from opx.gateway.live_settings import CannotTake, at_once
from opx.gateway.media.client import WorkerPool
from opx.gateway.media.interface import MediaDriver, RelayPolicy, Side
from opx.gateway.media.userspace import UserspaceDriver
from opx.gateway.names import NameKeeper, NamePolicy
from opx.gateway.opening import open_repository
from opx.gateway.repository import BindingRow, IcpBindingRow, TimelineRow
from opx.gateway.resolver import Resolver
from opx.gateway.settings import Face, GatewaySettings
from opx.gateway.signalling.bindings import LiveBinding
from opx.gateway.signalling.calls import CallPolicy
from opx.gateway.signalling.icp_call import IcpCallPolicy
from opx.gateway.signalling.icp_registrations import SavedRegistration
from opx.gateway.signalling.icps import ProbePolicy
from opx.gateway.signalling.keepalive import KeepAlivePolicy
from opx.gateway.signalling.messages import MessagePolicy
from opx.gateway.signalling.notices import NoticePolicy
from opx.gateway.signalling.registrar import RegistrarPolicy
from opx.gateway.signalling.relayed_subscription import RenewalPolicy
from opx.gateway.signalling.signalling import Signalling, SignallingPolicy
from opx.gateway.signalling.subscriptions import SubscriptionPolicy
from opx.gateway.signalling.timeline import Entry, Timeline
from opx.gateway.spool import Spool
from opx.gateway.writer import WriteBehind
from opx.kept.keeper import KeptProcess
from opx.sip.digest import Algorithm, DigestVerifier
from opx.sip.flow import Flow
from opx.sip.nonces import NonceIssuer
from opx.sip.notifier import ExpiresBounds
from opx.sip.registration import ClientRegistration, RegistrationPolicy
from opx.sip.session_timer import SessionTimerPolicy
from opx.sip.transactions import Timing
from opx.sip.transport import SipStack, TransportLimits, WheelClock
from opx.sip.transport.pulse import Pulse
from opx.store.notices import ChangeFeed

log = logging.getLogger(__name__)


class GatewayService:
    """One gateway in this process (its media workers apart). `start`, then `stop`.

    `on_entry` hears of every timeline entry, for whoever wants to print them. `web` is the process with the console,
    None for a gateway without one; `file` is where the settings came from.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        on_entry: Callable[[Entry], None] | None = None,
        web: KeptProcess | None = None,
        file: SettingsFile | None = None,
    ) -> None:
        self.settings = settings
        self._file = file
        self.web = web
        self._on_entry = on_entry
        self._running = AsyncExitStack()
        # One after the other, so that an older state of the database never replaces a newer one.
        self._reloading = asyncio.Lock()
        # How far each device's registration at its ICP goes, as it was last handed to be kept.
        self._kept: dict[int, tuple[str, int, float]] = {}

    async def start(self) -> None:
        """SecretsError, DatabaseTooNew, ConfigError or OSError, each saying what is wrong."""
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._running = stack.pop_all()
        log.info("gateway: set side %s, ICP side %s", self.set_stack.address, self.icp_stack.address)

    async def _start(self, stack: AsyncExitStack) -> None:
        """Part by part; `stack` stops those that run, the last first."""
        settings = self.settings
        self.repository, realm = await open_repository(settings)
        stack.push_async_callback(self.repository.close)
        if settings.import_file is not None:
            await import_file(self.repository, settings.import_file, permit_weak=settings.permit_weak_passwords)
        spool = Spool(settings.spool_path)
        stack.callback(spool.close)
        self.faults = Faults(settings, self.repository.engine)
        self.writer = WriteBehind(self.repository, spool=spool, further=self.faults.write)
        await self.writer.take_over()
        self.writer.start()
        stack.push_async_callback(self.writer.stop)
        self.clock = WheelClock(gap=settings.limits.gather)
        stack.callback(self.clock.stop)
        self.driver = _driver(settings, self.clock.pulse)
        stack.push_async_callback(self.driver.stop)
        await self.driver.start()
        self.lag = LagMeter()
        limits = _limits(settings)
        self.set_stack = _stack(self.clock, settings.set_side, limits, self.writer.keep)
        self.icp_stack = _stack(self.clock, settings.icp_side, limits, self.writer.keep)
        self.signalling = self._signalling(realm)
        self.live = LiveView(self.signalling, self.clock.loop.time)
        self.faults.attach(self.signalling, self.live, self.writer, self.lag, self._forwards_amiss)
        self.set_stack.attach(self.signalling.set_agent)
        self.icp_stack.attach(self.signalling.icp_agent)
        self.names = _names(settings, self.signalling)
        stack.push_async_callback(self.names.stop)
        rules = ForwardRepository(self.repository.engine, site_of(settings))
        self.forwarding = Forwarding(settings.forwarding, rules, settings.control_socket, self._forwarding_news)
        if settings.database_place.server is not None:
            # Before what there is is read: nothing that is changed afterwards is missed.
            self.feed = ChangeFeed(settings.database_place, self._changed)
            await self.feed.start()
            stack.push_async_callback(self.feed.stop)
        await self.reload()
        for face in (self.set_stack, self.icp_stack):
            await face.start()
            stack.push_async_callback(face.stop)
        self.clock.start()
        await self._restore()
        await self.faults.start()
        stack.push_async_callback(self.faults.stop)
        self.signalling.start()
        stack.push_async_callback(self._hang_up)
        self.lag.start()
        stack.callback(self.lag.stop)
        self.control = self._control()
        await self.control.start()
        stack.push_async_callback(self.control.stop)
        # Behind the control socket, which no two gateways have: the forwarding workers of the other one are not ours.
        stack.push_async_callback(self.forwarding.stop)
        await self.forwarding.start()
        if self.web is not None:
            stack.push_async_callback(self.web.stop)
            await self.web.start()

    async def stop(self) -> None:
        """Hang up, and write down what a restart goes on with."""
        await self._running.aclose()

    async def _hang_up(self) -> None:
        self.signalling.stop()
        self._save_icp_registrations()
        await self.driver.drain()

    # --- wiring

    def _signalling(self, realm: str) -> Signalling:
        settings = self.settings
        issuer = NonceIssuer(os.urandom(32), settings.digest.nonce_lifetime, settings.digest.nonces_tracked)
        algorithms = [Algorithm(name) for name in settings.digest.algorithms]
        self.counting = Counting()
        sinks: list[Callable[[Entry], None]] = [self._keep_entry, self.counting.entry, self.faults.watch.entry]
        if self._on_entry is not None:
            sinks.append(self._on_entry)
        signalling = Signalling(
            wheel=self.clock.wheel,
            set_flows=self.set_stack,
            icp_flows=self.icp_stack,
            verifier=DigestVerifier(realm, issuer, algorithms),
            desk=self.driver,
            media_addresses={Side.SET: settings.set_side.address, Side.ICP: settings.icp_side.address},
            timeline=Timeline(sinks),
            store=self,
            policy=_policy(settings),
            timing=Timing(t1=settings.timers.t1),
            call_log=self.faults.recorder,
        )
        self.driver.on_silence = signalling.calls.silent
        self.driver.on_lost = signalling.calls.media_lost
        self.driver.on_closed = signalling.calls.on_media_closed
        return signalling

    def _control(self) -> ControlServer:
        desk = ControlDesk(
            self.signalling,
            self.driver,
            self.live,
            self.lag,
            reload=self._changed,
            unwritten=lambda: self.writer.unwritten,
            counters=self._counters,
        )
        handlers = {
            **desk.handlers,
            **self.faults.handlers,
            **ForwardingDesk(self.forwarding).handlers,
            TakeSettings.name: Handler(TakeSettings, self._take_settings),
        }
        return ControlServer(self.settings.control_socket, handlers)

    async def _take_settings(self, question: TakeSettings) -> Done:
        if self._file is None:
            raise NotAllowed("this gateway has no settings file")
        try:
            wanted = load_settings(GatewaySettings, self._file.path)
            self.signalling.take_policy(_policy(at_once(self.settings, wanted)))
        except (ConfigError, CannotTake) as error:
            raise NotAllowed(str(error)) from None
        return Done()

    def _counters(self) -> list[Counter]:
        stacks = {"set": self.set_stack, "icp": self.icp_stack}
        own = counters(self.signalling, self.counting, stacks, self.writer, self.lag)
        return [*own, *self.faults.counters()]

    async def _changed(self) -> None:
        await self.reload()
        await self.forwarding.changed()

    async def _forwards_amiss(self) -> list[str]:
        status = await self.forwarding.status(counted=False)
        wanted = [rule for rule in status.rules if rule.state in (State.HINDERED, State.NOT_IN_FORCE)]
        amiss = [f"rule {rule.forward.id}: {rule.why or rule.state.value}" for rule in wanted]
        return [status.problem, *amiss] if status.problem and wanted else amiss

    def _forwarding_news(self, text: str) -> None:
        self.writer.add_timeline(TimelineRow(None, time.time(), "forwarding", text[:512]))

    async def reload(self) -> None:
        """Take over what the database holds now."""
        async with self._reloading:
            icps, devices = await self.repository.icps(), await self.repository.devices()
            self.signalling.replace_content(icps, devices)
            self.names.watch(self.signalling.names)

    # --- what survives a restart

    def _keep_entry(self, entry: Entry) -> None:
        if log.isEnabledFor(logging.INFO):
            known = self.signalling.directory.device(entry.device_id) if entry.device_id is not None else None
            about = {"kind": entry.kind.value, "device": known.set_username if known is not None else ""}
            log.info("%s", entry.text, extra=about)
        self.writer.add_timeline(TimelineRow(entry.device_id, entry.at, entry.kind.value, entry.text[:512]))

    def _wall(self, at: float) -> float:
        """A time of the wheel's clock in seconds since 1970."""
        return time.time() + at - self.clock.loop.time()

    def save(self, binding: LiveBinding) -> None:
        """BindingStore: keep a binding, and how far its registration at the ICP goes."""
        flow = binding.flow
        self.writer.save_binding(
            BindingRow(
                binding.device_id,
                binding.contact,
                binding.instance,
                flow.transport,
                flow.remote[0],
                flow.remote[1],
                binding.call_id,
                binding.cseq,
                binding.user_agent,
                self._wall(binding.registered_at),
                self._wall(binding.expires_at),
            )
        )
        registration = self.signalling.icps.of(binding.device_id)
        if registration is not None:
            self._save_icp_registration(binding.device_id, registration)

    def delete(self, binding: LiveBinding) -> None:
        """BindingStore: a binding is gone."""
        self.writer.delete_binding(binding.device_id, binding.contact)
        if not self.signalling.registrar.bindings.of(binding.device_id):
            self.writer.delete_icp_binding(binding.device_id)
            self._kept.pop(binding.device_id, None)

    def _save_icp_registration(self, device_id: int, registration: ClientRegistration) -> None:
        state = (registration.call_id, registration.cseq, registration.expires_at)
        if self._kept.get(device_id) == state:
            # A set refreshes often, its ICP hears of it seldom.
            return
        self._kept[device_id] = state
        until = self._wall(registration.expires_at)
        self.writer.save_icp_binding(IcpBindingRow(device_id, registration.call_id, registration.cseq, until))

    def _save_icp_registrations(self) -> None:
        for device_id in {binding.device_id for binding in self.signalling.registrar.bindings.all()}:
            registration = self.signalling.icps.of(device_id)
            if registration is not None and registration.registered:
                self._save_icp_registration(device_id, registration)

    async def _restore(self) -> None:
        now, wall = self.clock.loop.time(), time.time()
        saved = {row.device_id: row for row in await self.repository.icp_bindings()}
        for row in await self.repository.bindings():
            device = self.signalling.directory.device(row.device_id)
            link = next((link for link in self.signalling.links if device and link.record.id == device.icp_id), None)
            if device is None or link is None or not device.enabled or row.expires_at <= wall:
                self.writer.delete_binding(row.device_id, row.contact)
                continue
            registration = saved.get(row.device_id)
            if registration is not None and registration.expires_at > wall:
                left = registration.expires_at - wall
                self.signalling.icps.resume(
                    device, link, SavedRegistration(registration.call_id, registration.cseq, left)
                )
            flow = Flow(row.transport, self.set_stack.address, (row.remote_host, row.remote_port))
            self.signalling.registrar.restore(
                LiveBinding(
                    row.device_id,
                    row.contact,
                    row.instance,
                    flow,
                    row.call_id,
                    row.cseq,
                    row.user_agent,
                    now - (wall - row.registered_at),
                    now + row.expires_at - wall,
                    open=row.transport == "UDP",
                )
            )


def _driver(settings: GatewaySettings, pulse: Pulse) -> MediaDriver:
    media = settings.media
    policy = RelayPolicy(
        settings.set_side.address,
        settings.icp_side.address,
        media.rtp_ports,
        media.latch_window,
        media.silence_timeout,
        media.reuse_delay,
        media.dscp,
    )
    return WorkerPool(policy, media.workers, pulse) if media.workers else UserspaceDriver(policy)


def _names(settings: GatewaySettings, signalling: Signalling) -> NameKeeper:
    dns = settings.dns
    policy = NamePolicy(dns.min_ttl, dns.max_ttl, dns.retry, dns.keep)
    return NameKeeper(
        Resolver(dns.nameservers, dns.timeout), policy, on_located=signalling.located, on_failed=signalling.not_located
    )


def _limits(settings: GatewaySettings) -> TransportLimits:
    limits = settings.limits
    return TransportLimits(
        udp_buffer=limits.udp_buffer,
        connections=limits.connections,
        connections_per_source=limits.connections_per_source,
        idle=settings.keep_alive.idle_limit,
    )


def _stack(clock: WheelClock, face: Face, limits: TransportLimits, keep: Callable[[], None]) -> SipStack:
    return SipStack(
        clock,
        (face.address, face.port),
        transports=face.transports,
        limits=limits,
        dscp=face.dscp,
        before_sending=keep,
    )


def _policy(settings: GatewaySettings) -> SignallingPolicy:
    registration, limits, icps, subscriptions = (
        settings.registration,
        settings.limits,
        settings.icps,
        settings.subscriptions,
    )
    return SignallingPolicy(
        registrar=RegistrarPolicy(
            registration.set_min_expires,
            registration.set_default_expires,
            registration.set_max_expires,
            registration.icp_patience,
            settings.icps.retry_after,
        ),
        icp_registration=RegistrationPolicy(
            expires=registration.icp_expires,
            retry_min=registration.icp_retry_min,
            retry_max=registration.icp_retry_max,
        ),
        icp_spread=registration.spread,
        contacts_per_device=registration.contacts_per_device,
        licences=limits.licences,
        probe=ProbePolicy(
            icps.probe_interval, icps.probe_patience, icps.retry_after, icps.failback_after, icps.max_retry_after
        ),
        keep_alive=KeepAlivePolicy(
            settings.keep_alive.kind, settings.keep_alive.interval, settings.keep_alive.idle_limit
        ),
        calls=CallPolicy(
            max_calls=limits.calls,
            max_calls_per_device=limits.calls_per_device,
            retry_after=limits.retry_after,
            emergency_numbers=frozenset(limits.emergency_numbers),
            icp=IcpCallPolicy(icps.node_patience, icps.call_tries, icps.redirects),
        ),
        subscriptions=SubscriptionPolicy(
            packages=subscriptions.packages,
            expires=ExpiresBounds(subscriptions.min_expires, subscriptions.default_expires, subscriptions.max_expires),
            icp_expires=subscriptions.icp_expires,
            limit=limits.subscriptions,
            per_device=limits.subscriptions_per_device,
            spread=subscriptions.spread,
            retry_after=limits.retry_after,
            renewal=RenewalPolicy(patience=registration.icp_patience),
        ),
        notices=NoticePolicy(subscriptions.events, subscriptions.xml_bytes, subscriptions.inside_links),
        messages=MessagePolicy(limits.messages_per_minute, limits.retry_after),
        inside_networks=(settings.icp_side.network,),
        session_timer=SessionTimerPolicy(settings.calls.session_expires, settings.calls.min_se),
    )
