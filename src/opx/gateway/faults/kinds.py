"""What the gateway raises alarms for."""

from collections.abc import Mapping

KINDS: Mapping[str, str] = {
    "icp-unreachable": "No node of the ICP answers",
    "registration-refused": "A device is refused again and again",
    "licences-exhausted": "All teleworker licences are in use",
    "media-ports-exhausted": "A call found no free media port",
    "certificate-expiring": "A certificate expires soon",
    "token-expiring": "A web services token expires soon",
    "forwarding-not-in-force": "Port forwarding is not in force as wanted",
    "database-unwritable": "The database cannot be written",
    "overloaded": "Signalling is overloaded",
    "delivery-failing": "Alarms or records cannot be delivered",
}
"""What there can be alarm for, in words."""
