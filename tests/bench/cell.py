"""Seconds of the first and the second `%%fuse` cell, and milliseconds from interrupt to prompt.

    python tests/bench/cell.py

In real kernels, seen from the front end. Bars: first cell 3 s, second 0.5 s, interrupt 100 ms with
no stream left alive (five members stream from a loopback server).
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from jupyter_client.manager import start_new_kernel
from lookalike import KEY, LookAlike, Say, running

TINY = "%%fuse -p tiny\nWhat is {} + 30?"
ROUNDS = 5


def run(client: object, code: str) -> float:
    started = time.perf_counter()
    reply = client.execute_interactive(code, timeout=60, output_hook=lambda _: None)
    assert reply["content"]["status"] == "ok", reply["content"]
    return time.perf_counter() - started


def cells() -> tuple[float, float]:
    manager, client = start_new_kernel(env=os.environ | {"NBFUSE_LIVE": "on"})
    try:
        run(client, "%load_ext nbfuse")
        return run(client, TINY.format(12)), run(client, TINY.format(13))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def interrupts(server: LookAlike) -> list[float]:
    names = [f"v/m{i}" for i in range(5)]
    server.models |= {name: Say("word " * 5000, gap_s=0.02) for name in names}
    models = ",".join(f"openrouter:{name}" for name in names)
    manager, client = start_new_kernel(env=os.environ | {"NBFUSE_LIVE": "on"})
    times = []
    try:
        run(client, f"import os; os.environ['OPENROUTER_BASE_URL'] = {server.base_url!r}")
        run(client, f"os.environ['OPENROUTER_API_KEY'] = {KEY!r}")
        run(client, "%load_ext nbfuse")
        for _ in range(16):
            message = client.execute(f"%%fuse -m {models} -j openrouter:v/m0\nhello")
            time.sleep(1.0)
            manager.interrupt_kernel()
            pressed = time.perf_counter()
            while client.get_shell_msg(timeout=10)["parent_header"].get("msg_id") != message:
                pass
            times.append((time.perf_counter() - pressed) * 1000)
            assert server.quiet(), "a stream is still alive"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return times[1:]


pairs = [cells() for _ in range(ROUNDS)]
first, second = (statistics.median(column) for column in zip(*pairs, strict=True))
print(f"first cell {first:.2f} s (bar 3), second {second:.3f} s (bar 0.5); medians of {ROUNDS}")
with running() as server:
    times = interrupts(server)
middle, worst = statistics.median(times), max(times)
print(f"interrupt to prompt: median {middle:.0f} ms, worst {worst:.0f} ms (bar 100)")
