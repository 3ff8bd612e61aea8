"""The rules of the house, checked on the source."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "opx"
PROGRAMS = ("gateway", "suite", "pbx", "phone")
MAX_LINES = 450


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.startswith("opx")}


def crossing(folder: str, forbidden: tuple[str, ...]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (SOURCE / folder).rglob("*.py")
        for name in imports(path)
        if any(name == other or name.startswith(f"{other}.") for other in forbidden)
    ]


@pytest.mark.parametrize("program", [*PROGRAMS, "up", "lab"])
def test_programs_never_import_one_another(program: str) -> None:
    others = tuple(f"opx.{other}" for other in PROGRAMS if other != program)
    assert crossing(program, others) == []


@pytest.mark.parametrize("library", ["sip", "sdp", "rtp", "store", "web", "gateway_client"])
def test_libraries_import_no_program(library: str) -> None:
    assert crossing(library, tuple(f"opx.{program}" for program in PROGRAMS)) == []


def test_the_sip_library_imports_nothing_else_of_opx() -> None:
    for path in (SOURCE / "sip").rglob("*.py"):
        assert {name for name in imports(path) if not name.startswith("opx.sip")} == set(), path


def test_the_sip_core_and_the_nodes_features_know_no_socket_and_no_clock() -> None:
    for path in [*(SOURCE / "sip").glob("*.py"), *(SOURCE / "pbx" / "features").glob("*.py")]:
        text = path.read_text()
        for module in ("asyncio", "socket", "time"):
            assert f"\nimport {module}\n" not in text, path


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


def test_no_file_is_too_long_to_read_in_one_sitting() -> None:
    long = [path.name for path in tracked("*.py") if len(path.read_text().splitlines()) > MAX_LINES]
    assert long == []


def test_every_package_says_what_it_is_for() -> None:
    for path in SOURCE.rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_no_package_registry_and_no_unfinished_place_is_named() -> None:
    words = ("pypi" + ".org", "files.python" + "hosted", "TO" + "DO", "FIX" + "ME", "NotImplemented" + "Error")
    for path in tracked("*.py", "*.toml", "*.lock", "*.sh", "*.md", "Makefile", ".ci/run"):
        text = path.read_text()
        assert [word for word in words if word in text] == [], path
