"""A line's SIP account as parameters: where it registers, and as whom.

A teleworker's phone gets the outside address of its node's gateway and the set-side credentials, and never the others.
"""

from opx.suite.handsets.parameters import Hold, Parameter
from opx.suite.handsets.records import Side
from opx.suite.sites.records import Credentials, ExtensionRecord, NodeRecord

NOWHERE = "0.0.0.0"
"""What provisioners write for a line that does not register."""


def missing(extension: ExtensionRecord, node: NodeRecord | None, side: Side) -> str:
    """Why a phone of this side cannot be this extension yet; "" when it can. For people, with what to do."""
    if node is None:
        return f"extension {extension.number} is at no node; read it from its PBX, or name its node"
    if not extension.present:
        return f"the PBX has no extension {extension.number} any more"
    if side is Side.LOCAL:
        if extension.internal is None:
            return f"the PBX's authorization name and password of extension {extension.number} are not known"
        return ""
    if not extension.teleworker or extension.remote is None:
        return (
            f"extension {extension.number} is not for teleworkers; "
            'tick "Use remote authorization credentials" in its SIP Authorization form'
        )
    if not node.nat_address:
        return f"node {node.name} has no NAT IP Address"
    return ""


def account(
    line: int, extension: ExtensionRecord | None, node: NodeRecord | None, side: Side, hold: Hold
) -> list[Parameter]:
    """The parameters of a line; without an extension that it can be, those that make it register nowhere."""
    if extension is None or node is None or missing(extension, node, side):
        return _lines(line, NOWHERE, 5060, "", None, "", "", hold)
    if side is Side.TELEWORKER:
        host, port, credentials = node.nat_address, node.nat_sip_port, extension.remote
        user = credentials.name if credentials else ""
    else:
        host, port, credentials, user = node.address, node.sip_port, extension.internal, extension.number
    name = _written(extension.name) or extension.number
    return _lines(line, host, port, user, credentials, name, extension.number, hold)


def _written(name: str) -> str:
    """A name as a file can hold it, for a line must not be lost for its sake."""
    return "".join(char if char.isprintable() else " " for char in name.replace('"', "'")).strip()


def _lines(
    line: int, host: str, port: int, user: str, credentials: Credentials | None, name: str, number: str, hold: Hold
) -> list[Parameter]:
    values: list[tuple[str, str | int]] = [
        ("proxy ip", host),
        ("proxy port", port),
        ("outbound proxy", host),
        ("outbound proxy port", port),
        ("registrar ip", host),
        ("registrar port", port),
        ("user name", user),
        ("auth name", credentials.name if credentials else ""),
        ("password", credentials.password if credentials else ""),
        ("display name", name),
        ("screen name", name),
        ("screen name 2", number),
        ("mode", 0),
    ]
    return [Parameter(f"sip line{line} {what}", value, hold) for what, value in values]
