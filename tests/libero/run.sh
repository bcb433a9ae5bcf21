#!/usr/bin/env bash
# Checks the Python package docker/libero: lint, format, types, tests.
#
#   tests/libero/run.sh [PYTEST ARGUMENT...]
#
# Works in a virtual environment of its own, .deps/python, with the versions of requirements.txt.
#   VLASERVE_BINARY            the server of the tests; default build/release/vlaserve
#   VLASERVE_REQUIRE_SERVER=1  tests that need the server fail without it; otherwise they are skipped
#   VLASERVE_LIBERO_PYTHON     a Python with LIBERO (docker/libero/install_simulator.sh); without it
#                              the tests that need the simulator are skipped
set -euo pipefail

case "${1:-}" in
  -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
esac
cd "$(dirname "$0")/../.."

venv=.deps/python
package=docker/libero

# Set up again when the versions, the package's dependencies or the interpreter changed.
stamp=$(
  python3 --version
  pwd
  sha256sum tests/libero/requirements.txt "$package/pyproject.toml"
)
if [ "$(cat "$venv/.complete" 2>/dev/null)" != "$stamp" ]; then
  echo "run.sh: setting up $venv"
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    -r tests/libero/requirements.txt
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --no-deps --no-build-isolation --editable "$package"
  echo "$stamp" >"$venv/.complete"
fi
python=$(pwd)/$venv/bin/python

echo "== ruff"
"$python" -m ruff check --config "$package/pyproject.toml" "$package" tests/libero
"$python" -m ruff format --check --config "$package/pyproject.toml" "$package" tests/libero
echo "== mypy"
(cd "$package" && "$python" -m mypy)
echo "== pytest"
"$python" -m pytest -c "$package/pyproject.toml" --quiet tests/libero "$@"
