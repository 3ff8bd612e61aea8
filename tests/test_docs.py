"""What the documentation says is so: its links lead somewhere, its code runs, its settings load."""

import re
from pathlib import Path

import pytest

from opx.config import parse_settings
from opx.gateway.importing import ImportFile
from opx.gateway.settings import GatewaySettings

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        name, _, anchor = target.partition("#")
        goal = (page.parent / name).resolve() if name else page
        assert goal.exists(), target
        assert not anchor or anchor in anchors(goal), target


def test_every_page_is_reached_from_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    assert [page.name for page in PAGES[2:] if page.name != "index.md" and f"({page.name})" not in index] == []


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)


def test_the_code_of_the_sip_page_runs() -> None:
    scope: dict[str, object] = {}
    found = blocks("sip.md", "python")
    assert len(found) == 2
    for block in found:
        exec(compile(block, "sip.md", "exec"), scope)


def test_the_settings_of_the_gateway_page_load() -> None:
    settings, devices = blocks("gateway.md", "toml")
    assert parse_settings(GatewaySettings, settings, "gateway.md").limits.licences == 50
    assert parse_settings(ImportFile, devices, "gateway.md").device[0].icp_username == "1001"
