"""Posts call records and alarms as JSON to an address of the owner's, signed so that it can tell who sent them."""

import json
import ssl
import time
from collections.abc import Callable, Sequence

import httpx

from opx.gateway.faults.courier import DeliveryError, Item
from opx.gateway.faults.signing import SIGNATURE, sign

TIMEOUT = 10.0
"""Seconds for one delivery."""
RETRIED = frozenset((401, 403, 404, 408, 409, 423, 425, 429))
"""Refusals that may be a receiver's passing state or an owner's mistake about to be mended; other 4xx are lasting."""


class Webhook:
    """A `Way`. Without `secret` nothing is signed. `ca_file` is what to trust instead of this machine's authorities."""

    name = "webhook"
    batch = 1

    def __init__(
        self, url: str, secret: bytes = b"", ca_file: str | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._url = url
        self._secret = secret
        self._ca_file = ca_file
        self._clock = clock
        self._client: httpx.Client | None = None

    def send(self, items: Sequence[Item]) -> None:
        """Post one. DeliveryError."""
        (item,) = items
        body = json.dumps(item, separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "OPX",
            "X-OPX-Event": item["event"],
            "X-OPX-Delivery": item["id"],
        }
        if self._secret:
            headers[SIGNATURE] = sign(self._secret, int(self._clock()), body)
        try:
            answer = self._the_client().post(self._url, content=body, headers=headers)
        except (httpx.HTTPError, OSError) as error:
            raise DeliveryError(f"it cannot be reached ({type(error).__name__})") from None
        if answer.is_success:
            return
        status = answer.status_code
        raise DeliveryError(f"it answered {status}", lasting=400 <= status < 500 and status not in RETRIED)

    def _the_client(self) -> httpx.Client:
        # Made at the first delivery and in its thread: reading all authorities takes a moment.
        if self._client is None:
            trusted = ssl.create_default_context(cafile=self._ca_file)
            self._client = httpx.Client(verify=trusted, timeout=TIMEOUT, follow_redirects=False, trust_env=False)
        return self._client
