"""Wall time and CPU of a run, beside plain asyncio and httpx in the same process.

    python tests/bench/wall.py

For pools of 3, 5 and 8: wall over (slowest member + judge), bar 1.02; CPU per 1,000 tokens over
that of a bare client that asks the same server for the same text, bar 1.3. The server is a process
of its own; rounds alternate between the two clients and the median ratio counts.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx
from lookalike import KEY, Say, letter_of, running, verdict

from nbfuse import Pool, fuse
from nbfuse.providers.http import close_clients

TOKENS, GAP_S, FIRST_S, ROUNDS = 400, 0.004, 0.3, 9
JUDGE_S = 0.3


def serve(pipe: multiprocessing.connection.Connection) -> None:
    with running() as server:
        text = " ".join(f"word{i}" for i in range(TOKENS))
        for i in range(8):
            say = Say(f"{text} {i}", first_s=FIRST_S, gap_s=GAP_S)
            server.models[f"v/m{i}"] = say
        server.models["v/judge"] = lambda body: Say(
            verdict(letter_of("word0"))(body).text, first_s=JUDGE_S
        )
        pipe.send(server.base_url)
        pipe.recv()


async def plain(url: str, size: int) -> None:
    """What one would write by hand: no events, no limits, no judge's checks."""

    async def one(client: httpx.AsyncClient, model: str) -> str:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": True}
        text = []
        headers = {"authorization": f"Bearer {KEY}"}
        async with client.stream(
            "POST", f"{url}/chat/completions", json=body, headers=headers
        ) as r:
            async for line in r.aiter_lines():
                if line.startswith("data: {"):
                    choices = json.loads(line[6:])["choices"]
                    if choices:
                        text.append(choices[0]["delta"].get("content") or "")
        return "".join(text)

    async with httpx.AsyncClient(timeout=60) as client:
        answers = await asyncio.gather(*(one(client, f"v/m{i}") for i in range(size)))
        assert all(len(answer) > TOKENS for answer in answers)
        body_of_judge = "Candidate A\n" + "\n".join(answers)
        body = {"model": "v/judge", "messages": [{"role": "user", "content": body_of_judge}]}
        headers = {"authorization": f"Bearer {KEY}"}
        async with client.stream(
            "POST", f"{url}/chat/completions", json=body, headers=headers
        ) as r:
            async for _ in r.aiter_lines():
                pass


async def fused(pool: Pool) -> float:
    result = await fuse("hi", pool)
    assert result.verdict.decided_by == "judge", result.verdict
    slowest = max(answer.seconds for answer in result.answers)
    judge = sum(call.seconds for call in result.judging)
    return slowest + judge


async def measure(url: str) -> None:
    for size in (3, 5, 8):
        members = tuple(f"openrouter:v/m{i}" for i in range(size))
        pool = Pool(members=members, judge="openrouter:v/judge", quorum=size, seed=1)
        walls, ratios, ours, theirs = [], [], [], []
        await fused(pool)
        for _ in range(ROUNDS):
            cpu = time.process_time()
            await plain(url, size)
            bare = time.process_time() - cpu
            cpu, started = time.process_time(), time.monotonic()
            floor = await fused(pool)
            walls.append((time.monotonic() - started) / floor)
            own = time.process_time() - cpu
            ratios.append(own / bare)
            ours.append(own * 1e6 / (size * TOKENS))
            theirs.append(bare * 1e6 / (size * TOKENS))
        print(
            f"pool of {size}: wall / (slowest + judge) {statistics.median(walls):.3f} (bar 1.02); "
            f"CPU per 1,000 tokens {statistics.median(ours):.0f} ms, plain httpx "
            f"{statistics.median(theirs):.0f} ms, ratio {statistics.median(ratios):.2f} (bar 1.3)"
        )
    await close_clients()


def main() -> None:
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    url = here.recv()
    os.environ |= {"OPENROUTER_BASE_URL": url, "OPENROUTER_API_KEY": KEY}
    asyncio.run(measure(url))
    here.send("stop")
    server.join(10)


if __name__ == "__main__":
    main()
