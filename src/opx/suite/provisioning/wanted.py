"""What is wanted on the gateway, as the site settings say it."""

from opx.suite.provisioning.planner import Wanted
from opx.suite.provisioning.repository import TeleworkerRow
from opx.suite.sites.records import Credentials, ExtensionRecord


def wanted_of(row: TeleworkerRow) -> Wanted:
    internal = Credentials(row.internal_name, "") if row.has_internal else None
    remote = Credentials(row.remote_name, "") if row.has_remote and row.remote_name else None
    # The rule is the extension's own; passwords do not matter to it.
    extension = ExtensionRecord(
        row.extension_id, 0, None, row.number, row.name, False, True, internal, True, remote, row.revision
    )
    obstacle = extension.obstacle
    if not obstacle and remote is None:
        obstacle = "the extension has no remote authorization name and password"
    return Wanted(row.extension_id, row.number, row.name, row.remote_name, row.revision, row.node, obstacle)
