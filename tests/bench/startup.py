"""Milliseconds that `import nbfuse` and `%load_ext nbfuse` add, each beside what they add to.

    python tests/bench/startup.py

Bars: import 100 ms on top of a bare interpreter, the extension 150 ms on top of IPython.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 15
SHELL = (
    "from IPython.core.interactiveshell import InteractiveShell; s = InteractiveShell.instance()"
)


def seconds(code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started


def added(name: str, base: str, more: str, bar: int) -> None:
    pairs = [(seconds(base), seconds(more)) for _ in range(ROUNDS)]
    bare = statistics.median(a for a, _ in pairs) * 1000
    extra = statistics.median(b - a for a, b in pairs) * 1000
    print(f"{name}: +{extra:.0f} ms on top of {bare:.0f} ms (bar {bar})")


added("import nbfuse", "pass", "import nbfuse", 100)
added("%load_ext nbfuse", SHELL, f"{SHELL}; s.run_line_magic('load_ext', 'nbfuse')", 150)
