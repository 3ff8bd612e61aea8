"""A phone that talks to somebody at the ICP, and what it asks of its call."""

from opx.sip.replaces import DialogName, ReferTo, Replaces
from opx.sip.session import Session
from support.site import OUTSIDE, Phone, Site, description

WITHIN = "INFO, MESSAGE, REFER, NOTIFY"
AT_PHONE = ("192.168.1.7", 40000)
AT_OFFICE = ("10.9.8.101", 6100)


def site_with(refer: bool = True) -> tuple[Site, Phone]:
    """A site with a registered phone, and an ICP with or without REFER."""
    site = Site()
    site.icp.node.serve(WITHIN if refer else "INFO")
    phone = site.phone(1)
    phone.node.serve(WITHIN)
    phone.register()
    return site, phone


def talking(site: Site, phone: Phone, number: str = "1002") -> tuple[Session, Session]:
    """A call of the phone that is answered: its session, and the ICP's."""
    session = phone.call(number)
    office = site.icp.sessions[-1]
    office.accept(description(*AT_OFFICE))
    site.wire.deliver()
    assert session.up and office.up
    return session, office


def refer(session: Session, to: str, replaces: Replaces | None = None) -> list[int]:
    """Ask for a transfer; the list gets the final status."""
    statuses: list[int] = []
    session.refer(ReferTo(ReferTo.parse(f"sip:{to}@{OUTSIDE}").uri, replaces), statuses.append)
    return statuses


def name_of(session: Session) -> DialogName:
    """The dialog of a session, as its far end is asked to replace it."""
    dialog = session.usage.need()
    return DialogName(dialog.call_id, dialog.remote_tag, dialog.local_tag)
