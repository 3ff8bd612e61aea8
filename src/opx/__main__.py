"""`python -m opx` is the `opx` command."""

from opx.cli import main

main()
