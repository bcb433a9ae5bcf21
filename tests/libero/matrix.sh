#!/usr/bin/env bash
# Runs the tests of the client under every Python from 3.8 to 3.13 that is found (on the PATH, or from
# pyenv), with protobuf from 3.20.3 to the newest and with each of its back ends. On demand: it takes
# some minutes and downloads packages.
#
#   tests/libero/matrix.sh [PYTHON...]
#
#   PYTHON   such as 3.8; default: all that are found
#
# Prints a table and fails if a cell failed. The tests of a real server run once for each Python, with
# the newest protobuf, where there is a server (see run.sh).
set -euo pipefail

case "${1:-}" in
  -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
esac
cd "$(dirname "$0")/../.."

pythons=("$@")
[ ${#pythons[@]} -gt 0 ] || pythons=(3.8 3.9 3.10 3.11 3.12 3.13)
protobufs=(3.20.3 4.21.12 "<5" "<6" "<7" newest)
tests=(tests/libero/test_client_{requests,bad_input,bad_servers,interruptions}.py)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# find_python VERSION: the first that starts; pyenv's own python3.8 may be there and refuse to.
find_python() {
  local candidate
  for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
    if "$candidate" -c pass 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
}

install() { "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }

version_of() {
  "$work/venv/bin/python" -c "from importlib.metadata import version; print(version('$1'))"
}

# cell BACK_END TESTS...: one line of the table; no BACK_END: protobuf's own choice.
cell() {
  local back_end=$1 result=ok
  shift
  [ -z "$back_end" ] || export PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=$back_end
  actual=$("$work/venv/bin/python" -c \
    'from google.protobuf.internal import api_implementation as a; print(a.Type())')
  if ! PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=docker/libero/src "$work/venv/bin/python" -m pytest \
    -c docker/libero/pyproject.toml -p no:cacheprovider --quiet "$@" >"$work/log" 2>&1; then
    result=FAILED
    failed=1
    tail -40 "$work/log" >&2
  fi
  unset PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION
  printf '%-7s %-9s %-7s %-8s %-7s %-7s %s\n' "$python" "$(version_of protobuf)" "$actual" \
    "$(version_of grpcio)" "$(version_of numpy)" "$(version_of Pillow)" \
    "$result: $(tail -1 "$work/log")"
}

printf '%-7s %-9s %-7s %-8s %-7s %-7s %s\n' python protobuf backend grpcio numpy Pillow result
for python in "${pythons[@]}"; do
  interpreter=$(find_python "$python")
  if [ -z "$interpreter" ]; then
    echo "$python     skipped: no such interpreter"
    continue
  fi
  rm -rf "$work/venv"
  "$interpreter" -m venv "$work/venv"
  install numpy Pillow grpcio pytest pytest-timeout
  if [ "$python" = 3.8 ]; then
    # The oldest of everything that pyproject.toml allows.
    install "numpy==1.20.*" "Pillow==9.1.*" "grpcio==1.51.*" "protobuf==3.20.*"
    cell "" "${tests[@]}"
    install --upgrade numpy Pillow grpcio
  fi
  seen=""
  for protobuf in "${protobufs[@]}"; do
    case "$protobuf" in
      newest) install --upgrade protobuf ;;
      "<"*) install --upgrade "protobuf$protobuf" ;;
      *) install "protobuf==$protobuf" ;;
    esac
    # An old Python has no newer protobuf.
    version=$(version_of protobuf)
    [ "$version" != "$seen" ] || continue
    seen=$version
    cell "" "${tests[@]}"
    [ "$actual" = python ] || cell python "${tests[@]}"
  done
  cell "" "${tests[@]}" tests/libero/test_client_server.py
done
exit "$failed"
