"""Four samples of one prompt in one request against four calls, one after another.

`python tests/bench/batch.py [SPEC]`, both through nbfuse, on one warm engine, in turns. Bar: at
least 85 / 67 of what one after another gives with the prompt remembered (SmolLM2).
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from contextlib import aclosing

from nbfuse.core.call import Call, Message
from nbfuse.providers.registry import resolve

SAMPLES, TOKENS, ROUNDS = 4, 48, 3


def prompt(number: int) -> str:
    """A prompt of some 256 tokens that nobody has read before."""
    return " ".join(f"The number {number * 1000 + i} is a number." for i in range(28))


async def tokens(call: Call) -> int:
    count = 0
    provider = resolve(f"{call.model}").provider
    model = call.model.partition(":")[2]
    call = Call(model=model, messages=call.messages, max_tokens=TOKENS, temperature=1.0)
    async with aclosing(provider.stream(call)) as chunks:
        async for chunk in chunks:
            count += chunk.usage.completion_tokens if chunk.usage else 0
    return count


async def main(spec: str) -> None:
    one_by_one, at_once = [], []
    number = 0
    for _ in range(ROUNDS):
        for rates, together in ((one_by_one, False), (at_once, True)):
            number += 1
            call = Call(model=spec, messages=(Message("user", prompt(number)),))
            begun = time.perf_counter()
            if together:
                counts = await asyncio.gather(*(tokens(call) for _ in range(SAMPLES)))
            else:
                counts = [await tokens(call) for _ in range(SAMPLES)]
            rates.append(sum(counts) / (time.perf_counter() - begun))
    single, batch = statistics.median(one_by_one), statistics.median(at_once)
    print(
        f"{spec}: one after another {single:.1f} tokens/s, {SAMPLES} in one request {batch:.1f}; "
        f"ratio {batch / single:.2f} (bar 1.27)"
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "local:smollm2-135m"))
