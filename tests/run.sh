#!/usr/bin/env bash
# Builds and runs all tests; installs what is missing first.
#
#   tests/run.sh [--sanitizers]
#
#   --sanitizers   also the asan and tsan builds, before the release build
#
# First ctest's tests, then those of the Python package (tests/libero/run.sh), with the release build as
# their server. Golden data: VLASERVE_GOLDEN_DIR, else tests/golden.
set -euo pipefail
cd "$(dirname "$0")/.."

presets=(release)
for argument in "$@"; do
  case "$argument" in
    --sanitizers) presets=(asan tsan release) ;;
    -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) echo "run.sh: unknown argument '$argument' (see --help)" >&2; exit 2 ;;
  esac
done

bash docker/setup.sh

# Several test programs at once: threads that wait must not keep the others from running.
export OMP_WAIT_POLICY=passive

for preset in "${presets[@]}"; do
  # ThreadSanitizer: the server only; nothing else below it has threads of its own.
  folder=.
  [ "$preset" = tsan ] && folder=tests/server
  echo "== $preset: build"
  cmake --preset "$preset" >/dev/null
  cmake --build --preset "$preset" --target "$folder/all" -- --quiet
  echo "== $preset: tests"
  ctest --test-dir "build/$preset/$folder" --output-on-failure -j "$(nproc)"
done

echo "== docker/libero"
VLASERVE_REQUIRE_SERVER=1 bash tests/libero/run.sh

echo "== docker"
python3 tests/docker/check.py
