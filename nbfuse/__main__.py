"""`python -m nbfuse` and the `nbfuse` script."""

from __future__ import annotations

import sys


def run() -> int:
    """Run the command line and return its exit code."""
    try:
        from nbfuse.cli import main  # most of the start; Ctrl-C can come while it lasts
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    return main()


if __name__ == "__main__":
    sys.exit(run())
