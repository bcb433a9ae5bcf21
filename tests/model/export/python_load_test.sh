#!/bin/sh
# Runs python_load_test.py where Python can import torch; else says so and exits 77.
# VLASERVE_PYTHON names another interpreter, VLASERVE_GOLDEN_DIR another golden folder.
python=${VLASERVE_PYTHON:-python3}
if ! "$python" -c 'import torch' 2>/dev/null; then
  echo "SKIPPED: $python cannot import torch (set VLASERVE_PYTHON to an interpreter that can)"
  exit 77
fi
exec "$python" "$(dirname "$0")/python_load_test.py" "$1" "${VLASERVE_GOLDEN_DIR:-$2}"
