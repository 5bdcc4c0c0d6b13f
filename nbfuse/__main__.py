"""`python -m nbfuse` and the `nbfuse` script."""

from __future__ import annotations

import sys

from nbfuse.cli import main

if __name__ == "__main__":
    sys.exit(main())
