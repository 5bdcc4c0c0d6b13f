"""How soon does the processor fall idle after Stop? `python tests/bench/cancel.py FILE.gguf`

Leaves a long prompt after a second, and an answer after its first token, while a tiny model is
asked all the time, and waits until the engine's process of that file computes no more. Bar: 300 ms.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import aclosing
from pathlib import Path

from nbfuse.core.call import Call, Message
from nbfuse.local.catalog import from_file
from nbfuse.local.engine import engine
from nbfuse.providers.registry import resolve

LIMIT_S = 30.0


async def listen(spec: str, prompt: str, first_only: bool = False) -> None:
    _, provider, model, *_ = resolve(spec)
    call = Call(model=model, messages=(Message("user", prompt),), max_tokens=200)
    async with aclosing(provider.stream(call)) as chunks:
        async for chunk in chunks:
            if first_only and chunk.text:
                return


async def keep_asking() -> None:
    while True:
        await listen("local:tiny-calc", "What is 12 + 30?")


async def idle_after(path: str, prompt: str, after_s: float | None) -> float:
    """Seconds from leaving until nothing computes."""
    child = engine.serve(from_file(Path(path))).child
    asked = asyncio.create_task(listen(f"gguf:{path}", prompt, first_only=after_s is None))
    if after_s is not None:
        await asyncio.sleep(after_s)
        asked.cancel()
    left = time.perf_counter()
    await asyncio.wait([asked])
    if after_s is None:
        left = time.perf_counter()
    while child.alive and child.busy() and time.perf_counter() - left < LIMIT_S:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    return time.perf_counter() - left


async def main(path: str) -> None:
    beside = asyncio.create_task(keep_asking())
    prompt = "w1 w2 w3 w4 " * 250
    for what, text, after in (
        ("in a long prompt", prompt, 1.0),
        ("while it answers", "hello", None),
    ):
        took = [await idle_after(path, f"{i} {text}", after) for i in range(3)]
        print(f"{what}: idle after {', '.join(f'{1000 * t:.0f}' for t in took)} ms (bar 300)")
    beside.cancel()
    engine.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
