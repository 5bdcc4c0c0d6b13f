"""The command line as a shell runs it."""

from __future__ import annotations

import subprocess
import sys


def nbfuse(*words: str) -> subprocess.CompletedProcess[str]:
    """The command `nbfuse` with these words, once it has ended."""
    return subprocess.run(
        [sys.executable, "-m", "nbfuse", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
