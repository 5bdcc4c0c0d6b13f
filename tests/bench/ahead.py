"""The judge's first token after the last member has ended: read ahead against read at the end.

`python tests/bench/ahead.py FILE.gguf [GAP_S]` asks three cloud members (a server on loopback) of
some 200 tokens each, once `GAP_S` apart and once all ending together, and a local judge that may
write one token. Bar: 0.5.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import lookalike
from lookalike import Say

from nbfuse import Pool, stream
from nbfuse.core.events import RunFinished
from nbfuse.local.engine import engine

ROUNDS = 3


async def first_token(gap_s: float, number: int, server: lookalike.LookAlike) -> float:
    """Seconds from the last member's end to the judge's first token."""
    text = " ".join(f"w{1000 + number * 700 + i}" for i in range(70))
    for place in range(3):
        said = f"{place} {text}"
        server.models[f"v/m{place}"] = Say(said, first_s=0.2 + gap_s * place)
    members = tuple(f"openrouter:v/m{place}" for place in range(3))
    pool = Pool(members=members, judge="local:judge", quorum=3, mode="merge", deadline_s=600)
    async for event in stream(f"Question {number}?", pool):
        if isinstance(event, RunFinished):
            reading = event.result.judging[0]
            print(
                f"  gap {gap_s:.0f} s: {reading.usage.prompt_tokens} tokens, "
                f"{reading.usage.cached_tokens} read ahead, "
                f"first token after {reading.seconds:.2f} s"
            )
            return reading.seconds
    raise AssertionError("the run ended without a result")


async def measure(gap_s: float, server: lookalike.LookAlike) -> tuple[float, float]:
    """Medians of both, the answers all at once and apart."""
    await first_token(0, 0, server)  # loads the file
    together, spread = [], []
    for number in range(ROUNDS):
        together.append(await first_token(0, 2 * number + 1, server))
        spread.append(await first_token(gap_s, 2 * number + 2, server))
    return statistics.median(together), statistics.median(spread)


def main(path: str, gap_s: float) -> None:
    with tempfile.TemporaryDirectory() as home, lookalike.running() as server:
        os.environ |= {
            "XDG_CONFIG_HOME": home,
            "OPENROUTER_BASE_URL": server.base_url,
            "OPENROUTER_API_KEY": lookalike.KEY,
        }
        own = Path(home) / "nbfuse"
        own.mkdir()
        entry = f'[judge]\nfile = "{path}"\nslots = 2\nmax_tokens = 1\ncontext = 8192\n'
        (own / "models.toml").write_text(entry)
        end, ahead = asyncio.run(measure(gap_s, server))
        engine.stop()
    print(f"at the end {end:.2f} s, read ahead {ahead:.2f} s; ratio {ahead / end:.2f} (bar 0.5)")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 12.0)
