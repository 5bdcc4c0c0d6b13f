"""Two local members and a judge at once against one alone: how much of the machine is lost?

`python tests/bench/together.py [FILE.gguf]`: the file and two copies of it under other names are
three models, each in a process of its own, that write at the same time; in turns with one alone.
Bar: together at least 0.9 of the tokens a second of one alone.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import aclosing
from pathlib import Path

from nbfuse.core.call import Call, Message
from nbfuse.local.catalog import find
from nbfuse.providers.registry import resolve

MODELS, TOKENS, ROUNDS = 3, 64, 5


async def tokens(path: Path, number: int) -> int:
    _, provider, model, *_ = resolve(f"gguf:{path}")
    asked = (Message("user", f"Tell story number {number}, a very long one."),)
    count = 0
    call = Call(model=model, messages=asked, max_tokens=TOKENS, temperature=1.0)
    async with aclosing(provider.stream(call)) as chunks:
        async for chunk in chunks:
            count += chunk.usage.completion_tokens if chunk.usage else 0
    return count


async def main(file: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(folder) / f"{i}.gguf" for i in range(MODELS)]
        for copy in copies:
            shutil.copyfile(file, copy)
        for copy in copies:  # loaded and warm
            await tokens(copy, 0)
        rates: dict[int, list[float]] = {1: [], MODELS: []}
        for number in range(1, ROUNDS + 1):
            for count, found in rates.items():
                begun = time.perf_counter()
                written = await asyncio.gather(*(tokens(copy, number) for copy in copies[:count]))
                found.append(sum(written) / (time.perf_counter() - begun))
    alone, together = (statistics.median(found) for found in rates.values())
    print(
        f"{file.name}: one alone {alone:.1f} tokens/s, {MODELS} at once {together:.1f}; "
        f"ratio {together / alone:.2f} (bar 0.9)"
    )


if __name__ == "__main__":
    chosen = Path(sys.argv[1]) if len(sys.argv) > 1 else find("smollm2-135m").path()
    asyncio.run(main(chosen))
