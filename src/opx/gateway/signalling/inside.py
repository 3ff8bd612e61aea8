"""Names and addresses of the inside, recognised in texts that the gateway did not write."""

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import unquote

_IPV4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)", re.ASCII)

Network = ipaddress.IPv4Network


class InsideNames:
    """`networks` are those of the ICP side; `hosts` gives names and addresses of the ICPs as they are now."""

    def __init__(self, networks: Sequence[Network], hosts: Callable[[], Iterable[str]]) -> None:
        self._networks = networks
        self._hosts = hosts

    def found_in(self, text: str) -> bool:
        """Whether a text names an address of the inside or an ICP, also where %-escapes hide it.

        A host name without a dot is a word like any other; it counts only behind @ or //, as in a URI.
        """
        plain = unquote(text).lower()
        hosts = {host.lower() for host in self._hosts()}
        for match in _IPV4.finditer(plain):
            if match[0] in hosts or self._is_inside(match[0]):
                return True
        return any(_name(host).search(plain) for host in hosts)

    def _is_inside(self, text: str) -> bool:
        try:
            address = ipaddress.IPv4Address(text)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def _name(host: str) -> re.Pattern[str]:
    # The patterns of a handful of ICPs stay in the cache of `re`.
    before = r"(?<![\w.-])" if "." in host or ":" in host else r"(?:@|//)"
    return re.compile(rf"{before}{re.escape(host)}(?![\w-])")
