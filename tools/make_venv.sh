#!/bin/sh
# Makes the virtual environment in $1 from the locked dependencies.
set -eu
venv=$1

if [ "$(uname -s)" != Linux ]; then
    echo "OPX runs on Linux only." >&2
    exit 1
fi

python=
for candidate in python3 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null 2>&1 &&
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "OPX needs Python 3.11 or later; none was found." >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "This Python cannot make virtual environments; on Debian install python3-venv." >&2
    exit 1
fi

echo "Setting up $venv with $("$python" --version) ..."
# A folder that a broken-off set-up left, or whose Python is gone, is made anew; nothing is ever installed outside of it.
whole='import sys, pip; sys.exit(sys.prefix == sys.base_prefix or sys.version_info < (3, 11))'
if ! "$venv/bin/python" -c "$whole" 2>/dev/null; then
    "$python" -m venv --clear "$venv"
fi
export PIP_REQUIRE_VIRTUALENV=1
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
