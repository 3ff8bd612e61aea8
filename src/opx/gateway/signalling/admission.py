"""Who is at the set side's door: nothing goes on to an ICP before a device has proved its set-side credentials."""

from collections.abc import Callable

from opx.gateway.repository import DeviceRecord
from opx.gateway.signalling.directory import Directory
from opx.gateway.signalling.timeline import Kind, Timeline
from opx.sip.agent import new_tag
from opx.sip.digest import Algorithm, DigestVerifier
from opx.sip.flow import host_port
from opx.sip.transactions import ServerTransaction


class Admission:
    """Challenges and checks requests.

    An unknown user, a wrong password and a disabled device take the same path, cost the same and get the same answer.
    """

    def __init__(
        self, directory: Directory, verifier: DigestVerifier, timeline: Timeline, now: Callable[[], float]
    ) -> None:
        self._directory = directory
        self._verifier = verifier
        self._timeline = timeline
        self._now = now

    def admit(self, transaction: ServerTransaction, *, proxy: bool) -> DeviceRecord | None:
        """The device that sent the request, or None when it has been challenged.

        `proxy` asks with 407, which is customary for calls; REGISTER is asked with 401.
        """
        request = transaction.request
        offered = request.get_all("proxy-authorization" if proxy else "authorization")
        stale = False
        if offered:
            verdict = self._verifier.verify(request.method, offered, self._ha1_of, self._now(), request.uri)
            if verdict.ok:
                device = self._directory.by_username(verdict.username)
                if device is not None and device.enabled:
                    return device
            stale = verdict.stale
            if not stale:
                self._note_refusal(transaction, verdict.username, verdict.reason)
        self._challenge(transaction, proxy, stale)
        return None

    def admit_within(self, transaction: ServerTransaction, device_id: int, route: object) -> bool:
        """Whether a request within a dialog may go on; when not, it has been answered.

        It comes from where the set is (`route`, the flow of its dialog), or it needs the set's credentials.
        """
        if transaction.flow == route:
            return True
        admitted = self.admit(transaction, proxy=True)
        if admitted is not None and admitted.id != device_id:
            transaction.reply(403)
            return False
        return admitted is not None

    def _ha1_of(self, username: str, algorithm: Algorithm) -> str | None:
        device = self._directory.by_username(username)
        if device is None or not device.enabled:
            return None
        return device.set_ha1.get(algorithm.value)

    def _challenge(self, transaction: ServerTransaction, proxy: bool, stale: bool) -> None:
        response = transaction.request.reply(407 if proxy else 401, to_tag=new_tag())
        for name, value in self._verifier.challenges(self._now(), stale=stale, proxy=proxy):
            response.add(name, value)
        transaction.respond(response)

    def _note_refusal(self, transaction: ServerTransaction, username: str, reason: str) -> None:
        where = host_port(transaction.flow.remote)
        device = self._directory.by_username(username)
        if device is None:
            self._timeline.add(None, Kind.REFUSAL, f"{transaction.method} from {where}: unknown user name", once=True)
            return
        why = "the device is disabled" if not device.enabled else reason
        self._timeline.add(device.id, Kind.REFUSAL, f"{transaction.method} from {where} refused: {why}", once=True)
