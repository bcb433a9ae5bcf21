#!/usr/bin/env bash
# Builds and runs all tests; installs what is missing first.
#
#   tests/run.sh [--quick]
#
#   --quick   the release build only, without the sanitizer builds
#
# The last lines are ctest's summary. Golden data: VLASERVE_GOLDEN_DIR, else tests/golden.
set -euo pipefail
cd "$(dirname "$0")/.."

presets=(asan tsan release)
for argument in "$@"; do
  case "$argument" in
    --quick) presets=(release) ;;
    -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) echo "run.sh: unknown argument '$argument' (see --help)" >&2; exit 2 ;;
  esac
done

bash docker/setup.sh

export CCACHE_SLOPPINESS=pch_defines,time_macros
for preset in "${presets[@]}"; do
  echo "== $preset: build"
  cmake --preset "$preset" >/dev/null
  cmake --build --preset "$preset" -- --quiet
  echo "== $preset: tests"
  ctest --preset "$preset" --output-on-failure --progress
done
