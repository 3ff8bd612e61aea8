"""Which revisions there are, without loading what runs them."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

import opx
from opx.store.revisions import revisions_in

PROGRAMS = ("gateway", "pbx", "suite")


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_chain_is_the_one_that_is_run(program: str) -> None:
    scripts = Path(opx.__file__).parent / program / "migrations"
    config = Config()
    config.set_main_option("script_location", str(scripts))
    walked = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert revisions_in(scripts) == walked[::-1]


def test_migrations_that_are_no_chain_are_named(tmp_path: Path) -> None:
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions" / "one.py").write_text('revision = "0001"\ndown_revision = None\n')
    (tmp_path / "versions" / "three.py").write_text('revision = "0003"\ndown_revision = "0002"\n')
    with pytest.raises(ValueError, match="after 0002 belong to no chain"):
        revisions_in(tmp_path)


@pytest.mark.parametrize("module", ["opx.gateway.service", "opx.gateway.commands", "opx.phone.commands"])
def test_a_start_does_not_load_what_runs_migrations(module: str) -> None:
    program = f"import sys, {module}; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
