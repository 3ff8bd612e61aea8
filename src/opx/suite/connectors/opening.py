"""Which connector a PBX has."""

from pathlib import Path

from opx.suite.connectors.connector import Connector, ConnectorError
from opx.suite.connectors.csv_file import CsvFile
from opx.suite.connectors.opx_node import OpxNode
from opx.suite.sites.records import PbxRecord
from opx.suite.sites.repository import SiteRepository

OPX_NODE = "opx"
CSV_FILE = "csv"


def reads_by_itself(pbx: PbxRecord) -> bool:
    """Whether the PBX is read again and again: not one that is typed by hand, or whose file is brought to a page."""
    return pbx.connector == OPX_NODE or (pbx.connector == CSV_FILE and bool(pbx.url))


async def open_connector(sites: SiteRepository, pbx: PbxRecord, local_address: str = "") -> Connector:
    """To be closed by the caller. ConnectorError when it has none, or it is not set up."""
    if pbx.connector == OPX_NODE:
        return OpxNode(pbx.url, pbx.fingerprint, await sites.pbx_token(pbx.id), local_address)
    if pbx.connector == CSV_FILE and pbx.url:
        return CsvFile(Path(pbx.url))
    raise ConnectorError(f"nothing is read from {pbx.name} by itself: its extensions are typed, or come from a file")
