"""`python -m vlaserve_libero`."""

from __future__ import annotations

import sys

from vlaserve_libero.cli import main

if __name__ == "__main__":
    sys.exit(main())
