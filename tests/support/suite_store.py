"""A suite's settings and database in a test's folder."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from opx.config import SettingsFile
from opx.suite.opening import open_sites
from opx.suite.settings import SuiteSettings
from opx.suite.sites.records import Credentials, NodeRecord, NodeSpec, PbxRecord, PbxSpec, ReadExtension
from opx.suite.sites.repository import SiteRepository
from support.postgres import DATABASES

PBX_ADDRESS = "192.168.20.20"
WRONG_NAME = ReadExtension("1003", credentials=Credentials("sip1003", "x"))
"""An extension that a PBX refuses through a border gateway."""


def suite_file(folder: Path, address: str = "127.0.20.10", more: str = "") -> SettingsFile:
    """Its settings file; `more` is TOML, top-level keys before tables."""
    text = f'''
address = "{address}"
database = "{DATABASES.setting(folder / "suite.db")}"
key_file = "{folder}/suite.key"
bulletin = "{folder}/suite.sock"
{more}
[certificates]
folder = "{folder}/suite-certificates"
'''
    return SettingsFile(folder / "suite.toml", text)


@asynccontextmanager
async def open_suite(folder: Path) -> AsyncIterator[SiteRepository]:
    sites = await open_sites(suite_file(folder).settings(SuiteSettings))
    try:
        yield sites
    finally:
        await sites.engine.dispose()


def read(number: str, password: str = "pbx-Secret-1", *, name: str = "", hot_desk: bool = False) -> ReadExtension:
    """An extension as a PBX tells of it; its authorization name is its number."""
    return ReadExtension(number, name, hot_desk, Credentials(number, password))


async def with_pbx(sites: SiteRepository, *numbers: str) -> tuple[PbxRecord, NodeRecord]:
    """A PBX of one node that was read, with these extensions."""
    pbx = await sites.save_pbx(PbxSpec("Office"))
    node = await sites.save_node(NodeSpec(pbx.id, "Node 1", PBX_ADDRESS, nat_address="203.0.113.1"))
    await sites.take_over(pbx.id, [read(number) for number in numbers], 1_700_000_000.0)
    return await sites.pbx(pbx.id), node
