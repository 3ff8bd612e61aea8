"""A site whose ICP is a PBX of two nodes, and one with two ICPs."""

from opx.gateway.repository import IcpRecord, NodeAddress
from opx.gateway.signalling.signalling import SignallingPolicy
from support.sipnet import Carried
from support.site import ICP, FakeIcp, Phone, Site, device

OTHER = "10.9.8.21"


class TwoNodes(Site):
    """`icp` is the node to use, `other` the one that stands in."""

    def __init__(self, policy: SignallingPolicy | None = None, devices: int = 2) -> None:
        super().__init__(policy, devices)
        self.other = FakeIcp(self, (OTHER, 5060), name="other")
        self.icp_records = [
            IcpRecord(1, "Node 1", "MiVoice Office 250", ICP, 5060, "UDP", (NodeAddress(OTHER, 5060, "UDP"),))
        ]
        self.load()
        self.wire.advance(0.1)
        self.forget()

    def forget(self) -> None:
        """Leave what went over the wire so far out of the next `expect`."""
        self.wire.deliver()
        self.wire._told = len(self.wire.log)

    def sent(self, what: str, to: FakeIcp, since: int = 0) -> list[Carried]:
        """What the gateway sent to a node."""
        return [c for c in self.wire.log[since:] if c.what == what and c.target == to.address]


class TwoIcps(Site):
    """Device 1 is at `icp`, device 2 at `second`; each is extension 1001 there, with a password of its own."""

    def __init__(self, policy: SignallingPolicy | None = None) -> None:
        super().__init__(policy)
        self.second = FakeIcp(self, (OTHER, 5060), name="second")
        self.second.passwords = {"1001": "second-1"}
        self.icp_records.append(IcpRecord(2, "Node 2", "MiVoice Office 250", OTHER, 5060, "UDP"))
        self.devices[1] = device(2, icp_id=2, icp_username="1001", icp_password="second-1")
        self.load()
        self.wire.advance(0.1)


def registered(policy: SignallingPolicy | None = None, devices: int = 1) -> tuple[TwoNodes, list[Phone]]:
    """A site of two nodes, and its phones, registered."""
    site = TwoNodes(policy, devices)
    phones = [site.phone(number, port=40000 + number) for number in range(1, devices + 1)]
    for phone in phones:
        phone.register()
    site.forget()
    return site, phones


def refused_with(status: int, *headers: tuple[str, str]) -> dict[str, tuple[int, tuple[tuple[str, str], ...]]]:
    """What makes a node refuse calls."""
    return {"INVITE": (status, headers)}
