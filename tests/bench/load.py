"""Loading a model through nbfuse against llama.cpp's own server: seconds, and peak memory.

`python tests/bench/load.py FILE.gguf LLAMA_SERVER` loads the file (in the page cache) with the same
settings in turns, lets each read one prompt, and prints medians; then the time from nothing to a
tiny model's first token. Bars: 1.2 of the seconds, 1.05 of the memory, 1 s. Linux only.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from contextlib import aclosing
from pathlib import Path

import httpx

from nbfuse.core.call import Call, Message
from nbfuse.local import memory
from nbfuse.local.catalog import from_file
from nbfuse.local.engine import cores, engine
from nbfuse.local.gguf import read_header
from nbfuse.providers.registry import resolve

ROUNDS = 3
WORDS = " ".join(f"w{i}" for i in range(150))


def peak(pid: int) -> int:
    """Most bytes that a process has held."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def own_server(path: str, program: str) -> tuple[float, int]:
    """Seconds until llama-server is ready, and its peak memory after a prompt."""
    model = from_file(Path(path))
    way = memory.choose("", read_header(Path(path)), model.context, memory.available())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [program, "-m", path, "-c", str(way.context), "-np", str(model.slots), "--kv-unified"]
    words += ["-t", str(cores()), "--no-warmup", "--fit", "off", "--no-ui", "-lv", "1"]
    words += ["--check-tensors", "--port", str(port), *([] if way.repack else ["--no-repack"])]
    begun = time.perf_counter()
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    while True:
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                break
        except httpx.TransportError:
            time.sleep(0.01)
    took = time.perf_counter() - begun
    body = {"messages": [{"role": "user", "content": WORDS}], "max_tokens": 2}
    httpx.post(f"{url}/v1/chat/completions", json=body, timeout=600)
    most = peak(process.pid)
    process.kill()
    process.wait()
    return took, most


async def ask(spec: str, prompt: str) -> None:
    _, provider, model, *_ = resolve(spec)
    call = Call(model=model, messages=(Message("user", prompt),), max_tokens=2)
    async with aclosing(provider.stream(call)) as chunks:
        async for _ in chunks:
            pass


def through_nbfuse(path: str) -> tuple[float, int]:
    """The same two figures of nbfuse's engine, its process from nothing."""
    engine.stop()
    begun = time.perf_counter()
    server = engine.serve(from_file(Path(path)))
    took = time.perf_counter() - begun
    asyncio.run(ask(f"gguf:{path}", WORDS))
    return took, peak(server.child.pid)


def main(path: str, program: str) -> None:
    own, ours, tiny = [], [], []
    for _ in range(ROUNDS):
        own.append(own_server(path, program))
        ours.append(through_nbfuse(path))
        engine.stop()
        begun = time.perf_counter()
        asyncio.run(ask("local:tiny-calc", "What is 12 + 30?"))
        tiny.append(time.perf_counter() - begun)
    engine.stop()
    for i, (what, unit, bar) in enumerate((("load", 1, 1.2), ("peak memory", 2**20, 1.05))):
        own_one, our_one = (statistics.median(r[i] for r in runs) / unit for runs in (own, ours))
        ratio = f"ratio {our_one / own_one:.2f} (bar {bar})"
        print(f"{what}: llama-server {own_one:.2f}, nbfuse {our_one:.2f}; {ratio}")
    print(f"from nothing to a tiny model's answer: {statistics.median(tiny):.2f} s (bar 1)")


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # the same for both
    main(sys.argv[1], sys.argv[2])
