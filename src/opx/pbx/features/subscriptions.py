"""Phones that watch: who may subscribe to what, and the subscriptions that are alive (RFC 6665)."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from opx.pbx.office import Office
from opx.sip.agent import new_tag
from opx.sip.errors import RemoteProtocolError
from opx.sip.notifier import Ended, ExpiresBounds, Notifier, NotifierEvent
from opx.sip.subscription import Content, EventType
from opx.sip.transactions import ServerTransaction


@dataclass(frozen=True, slots=True)
class Package:
    """An event package as the node serves it.

    `allows` gets the watching extension and the watched one. `content` is the state of the watched one and gets the
    number of the document within its subscription, from 0 on.
    """

    name: str
    content_type: str
    allows: Callable[[str, str], bool]
    content: Callable[[str, int], Content]


@dataclass(slots=True, eq=False)
class _Watch:
    notifier: Notifier
    watcher: str
    watched: str
    package: Package
    documents: int = 0

    def tell(self) -> None:
        self.notifier.notify(self.package.content(self.watched, self.documents))
        self.documents += 1


class Subscriptions:
    """`limit` is how many one extension may have."""

    def __init__(self, office: Office, packages: list[Package], *, bounds: ExpiresBounds, limit: int) -> None:
        self._office = office
        self._packages = {package.name: package for package in packages}
        self._bounds = bounds
        self._limit = limit
        self._watches: dict[tuple[str, str], list[_Watch]] = {}
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return sum(len(watches) for watches in self._watches.values())

    def on_subscribe(self, transaction: ServerTransaction) -> None:
        """A SUBSCRIBE outside any dialog."""
        record = self._office.registrar.admit(transaction, proxy=False)
        if record is None:
            return
        try:
            self._begin(transaction, record.number)
        except RemoteProtocolError as error:
            transaction.reply(error.status, to_tag=new_tag())

    def tell(self, package: str, watched: str) -> bool:
        """Tell all who watch an extension of its new state; whether anybody does."""
        watches = self._watches.get((package, watched), [])
        for watch in list(watches):
            watch.tell()
        return bool(watches)

    def forget(self, number: str) -> None:
        """An extension was removed: nobody watches it any more, and it watches nobody."""
        for watches in list(self._watches.values()):
            for watch in list(watches):
                if number in (watch.watched, watch.watcher):
                    watch.notifier.drop()
                    self._over(watch)

    def _begin(self, transaction: ServerTransaction, watcher: str) -> None:
        request = transaction.request
        package = self._packages.get(EventType.of(request).package)
        if package is None:
            response = request.reply(489, to_tag=new_tag())
            response.add("allow-events", ", ".join(self._packages))
            transaction.respond(response)
            return
        watched = self._office.dialled(request)
        if watched not in self._office.extensions:
            raise RemoteProtocolError("there is no such extension", status=404)
        if not package.allows(watcher, watched):
            raise RemoteProtocolError("that is for others to see", status=403)
        if not _accepts(request.values("accept"), package.content_type):
            raise RemoteProtocolError("no document that the subscriber reads", status=406)
        if self._counts[watcher] >= self._limit:
            raise RemoteProtocolError("too many subscriptions", status=503)
        notifier = Notifier(
            self._office.agent,
            lambda event: self._on_event(watch, event),
            transaction,
            contact=self._office.contact,
            bounds=self._bounds,
            authorize=lambda refresh: self._authorize(refresh, watcher),
        )
        if notifier.too_brief:
            notifier.reject_too_brief()
            return
        watch = _Watch(notifier, watcher, watched, package)
        self._watches.setdefault((package.name, watched), []).append(watch)
        self._counts[watcher] += 1
        notifier.accept()
        watch.tell()

    def _authorize(self, refresh: ServerTransaction, watcher: str) -> bool:
        """A refresh shows the same credentials, lest somebody else on the network end or prolong it."""
        record = self._office.registrar.admit(refresh, proxy=False)
        if record is not None and record.number != watcher:
            refresh.reply(403)
            return False
        return record is not None

    def _on_event(self, watch: _Watch, event: NotifierEvent) -> None:
        if isinstance(event, Ended):
            self._over(watch)

    def _over(self, watch: _Watch) -> None:
        key = (watch.package.name, watch.watched)
        watches = self._watches.get(key, [])
        if watch not in watches:
            return
        watches.remove(watch)
        if not watches:
            del self._watches[key]
        self._counts[watch.watcher] -= 1
        if not self._counts[watch.watcher]:
            del self._counts[watch.watcher]


def _accepts(accept: list[str], content_type: str) -> bool:
    """Without an Accept header the package's own type is understood (RFC 6665 section 3.1.3)."""
    kinds = [value.partition(";")[0].strip().lower() for value in accept]
    return not kinds or any(kind in (content_type, "application/*", "*/*") for kind in kinds)
