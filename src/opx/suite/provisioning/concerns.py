"""What of provisioning needs somebody's attention, for the console's first page."""

from collections.abc import Mapping

from opx.suite.gateway_link.troubles import Reason
from opx.suite.provisioning.records import ProvisionState, Run
from opx.web.concerns import Concern

PAGE = "/provisioning"
GATEWAY_PAGE = "/border-gateway"


def concerns(run: Run, counts: Mapping[ProvisionState, int], rest_api: bool) -> list[Concern]:
    """The worst first. With the Rest API off there is nothing to say: everything is kept by hand."""
    if not rest_api:
        return []
    found = []
    if run.trouble and run.reason != Reason.OFF:
        kind = "bad" if Reason(run.reason).needs_somebody else "warn"
        found.append(Concern(kind, f"Nothing is provisioned: {run.trouble}.", GATEWAY_PAGE))
    if failed := counts.get(ProvisionState.FAILED, 0):
        number = "1 extension is" if failed == 1 else f"{failed} extensions are"
        found.append(Concern("bad", f"{number} not on the gateway as wanted.", PAGE))
    if run.token_note:
        text = run.token_note[0].upper() + run.token_note[1:]
        found.append(Concern("warn", f"{text}.", GATEWAY_PAGE))
    return found
