"""How near is the prediction? `python tests/bench/memory.py FILE.gguf …`

Loads each file in llama.cpp's own server in a process of its own, in several ways, lets it read a
prompt of a batch, and prints predicted and measured peak memory (bar: within 10 %). Linux only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from nbfuse.local.gguf import read_header
from nbfuse.local.memory import BATCH, MIB, Setting, need

WAYS = [
    Setting(context, kv, repack)
    for context in (2048, 8192)
    for kv, repack in (("f16", True), ("f16", False), ("q8_0", False))
]


def measure(path: str, setting: Setting) -> int:
    """Peak resident bytes of a process that serves the model and has read a prompt."""
    done = subprocess.run(
        [sys.executable, __file__, "--child", path, json.dumps(setting)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.splitlines()[-1]) * 1024


def child(path: str, setting: Setting) -> None:
    import httpx
    import xllamacpp

    from nbfuse.local import serve

    request = {"path": path, "slots": 1, "threads": 2, **setting._asdict()}
    server = xllamacpp.Server(serve.settings(request, "key"))
    httpx.post(
        f"{server.listening_address}/v1/completions",
        json={"prompt": [300] * (BATCH + 100), "max_tokens": 2},
        headers={"authorization": "Bearer key"},
        timeout=600,
    ).raise_for_status()
    status = Path("/proc/self/status").read_text()
    print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1] == "--child":
        child(sys.argv[2], Setting(*json.loads(sys.argv[3])))
    for path in sys.argv[1:]:
        header = read_header(Path(path))
        for way in WAYS:
            predicted, measured = need(header, way).total, measure(path, way)
            packed = "repacked" if way.repack else "as it is"
            print(
                f"{Path(path).name:32} {way.context:6} {way.kv:5} {packed}  "
                f"predicted {predicted / MIB:6.0f} MiB, "
                f"measured {measured / MIB:6.0f} MiB, ratio {predicted / measured:.3f}"
            )
