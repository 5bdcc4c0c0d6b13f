"""How near is the prediction? `python tests/bench/memory.py FILE.gguf FOLDER …`

Loads each file in llama.cpp's own server, each folder in ours for MLX, in a process of its own, in
several ways, lets it read a prompt (of a batch; for MLX, whose cache grows, of the whole context),
and prints predicted and measured peak memory (bar: within 10 %). Linux only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from nbfuse.local.fit import read_head
from nbfuse.local.memory import BATCH, MIB, Setting, need

WAYS = [
    Setting(context, kv, repack)
    for context in (2048, 8192)
    for kv, repack in (("f16", True), ("f16", False), ("q8_0", False))
]
MLX_WAYS = [Setting(context, repack=False) for context in (512, 2048)]


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

    if Path(path).is_dir():
        from nbfuse.local.mlx.server import serve as serve_folder

        url = serve_folder(Path(path), "key", setting.context, 1, -1)
        words = "a " * (setting.context - 64)
        httpx.post(
            f"{url}/v1/chat/completions",
            json={"messages": [{"role": "user", "content": words}], "max_tokens": 2},
            headers={"authorization": "Bearer key"},
            timeout=600,
        ).raise_for_status()
        tell()
    import xllamacpp

    from nbfuse.local import serve

    request = {"path": path, "slots": 1, "threads": 2, "idle_s": -1, **setting._asdict()}
    server = xllamacpp.Server(serve.settings(request, "key"))
    httpx.post(
        f"{server.listening_address}/v1/completions",
        json={"prompt": [300] * (BATCH + 100), "max_tokens": 2},
        headers={"authorization": "Bearer key"},
        timeout=600,
    ).raise_for_status()
    tell()


def tell() -> None:
    """Print the greatest memory that this process has held, and end it."""
    status = Path("/proc/self/status").read_text()
    print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1] == "--child":
        child(sys.argv[2], Setting(*json.loads(sys.argv[3])))
    for path in sys.argv[1:]:
        header = read_head(Path(path))
        for way in MLX_WAYS if header.mlx else WAYS:
            predicted, measured = need(header, way).total, measure(path, way)
            packed = "repacked" if way.repack else "as it is"
            print(
                f"{Path(path).name:32} {way.context:6} {way.kv:5} {packed}  "
                f"predicted {predicted / MIB:6.0f} MiB, "
                f"measured {measured / MIB:6.0f} MiB, ratio {predicted / measured:.3f}"
            )
