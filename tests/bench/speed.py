"""Local tokens a second through nbfuse against llama.cpp's own loop, on the same file and threads.

`python tests/bench/speed.py FILE.gguf LLAMA_BENCH` alternates llama.cpp's `llama-bench` (a prompt
of 512 tokens, then 64) with a stream through nbfuse in this process, as a notebook has it, and
measures beside it how late the event loop is. Bars: 0.95 of both speeds; 99th percentile 20 ms. To
compare like with like, let nbfuse use a build with the same options (NBFUSE_ENGINE=llama-server).
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from contextlib import aclosing

from nbfuse.core.call import Call, Message
from nbfuse.local.engine import cores, engine
from nbfuse.providers.registry import resolve

PROMPT, TOKENS, ROUNDS = 512, 64, 3
STEP_S = 0.005


def own_loop(bench: str, path: str) -> tuple[float, float]:
    """Prompt and generation tokens a second of llama-bench, the latter behind that prompt."""
    rates = []
    for what in (["-p", str(PROMPT), "-n", "0"], ["-p", "0", "-n", str(TOKENS), "-d", str(PROMPT)]):
        words = [bench, "-m", path, "-t", str(cores()), "-r", "1", "-o", "json", *what]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        rates.append(json.loads(done.stdout)[0]["avg_ts"])
    return rates[0], rates[1]


async def through_nbfuse(path: str, number: int, late: list[float]) -> tuple[float, float]:
    """The same two figures of a stream, from its first request to its last token."""
    _, provider, model, *_ = resolve(f"gguf:{path}")
    text = " ".join(f"w{number * 1000 + i}" for i in range(PROMPT // 4))
    call = Call(model=model, messages=(Message("user", text),), max_tokens=TOKENS, temperature=0.0)
    watch = asyncio.create_task(_lateness(late))
    begun, first, last, usage = time.perf_counter(), 0.0, 0.0, None
    async with aclosing(provider.stream(call)) as chunks:
        async for chunk in chunks:
            if chunk.text:
                last = time.perf_counter()
                first = first or last
            usage = chunk.usage or usage
    watch.cancel()
    read = usage.prompt_tokens - usage.cached_tokens
    return read / (first - begun), (usage.completion_tokens - 1) / (last - first)


async def _lateness(late: list[float]) -> None:
    while True:
        due = time.perf_counter() + STEP_S
        await asyncio.sleep(STEP_S)
        late.append(time.perf_counter() - due)


async def main(path: str, bench: str) -> None:
    late: list[float] = []
    own, ours = [], []
    await through_nbfuse(path, 0, [])  # loads the file
    for number in range(1, ROUNDS + 1):
        own.append(own_loop(bench, path))
        ours.append(await through_nbfuse(path, number, late))
    engine.stop()
    for i, what in enumerate(("prompt", "generation")):
        theirs, mine = (statistics.median(run[i] for run in runs) for runs in (own, ours))
        print(
            f"{what}: llama.cpp {theirs:.1f} tokens/s, nbfuse {mine:.1f}; "
            f"ratio {mine / theirs:.2f} (bar 0.95)"
        )
    worst = statistics.quantiles(late, n=100)[98]
    print(f"event loop late by {1000 * worst:.1f} ms at the 99th percentile (bar 20)")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
