"""What a pool is said to cost and to take, and what is said against it."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from lookalike import LookAlike, Say, letter_of, verdict

from nbfuse import Pool, fuse
from nbfuse.advice import Advice, advise
from nbfuse.core.families import family
from nbfuse.local import memory
from nbfuse.models import listed

LISTED = [
    {
        "id": f"v/{name}",
        "context_length": 1500 if name == "judge" else 100_000,
        "pricing": {"prompt": "0.000001", "completion": "0.00001"},
        "zdr": name == "a",
    }
    for name in ("a", "b", "judge")
]


def advice(*members: str, **more: object) -> Advice:
    return asyncio.run(advise(Pool(members=members, **more)))


def test_a_typical_run_has_a_price_and_a_time(server: LookAlike) -> None:
    server.listed = LISTED
    pool = Pool(members=("openrouter:v/a", "openrouter:v/b"), judge="openrouter:v/judge")
    before = asyncio.run(advise(pool))
    assert before.price.low > Decimal("0.001")
    assert before.price.high > 3 * before.price.low
    assert before.seconds is None
    assert before.unmeasured == ("a", "b", "judge")
    server.models |= {m: Say("word " * 40, gap_s=0.01) for m in ("v/a", "v/b")}
    server.models["v/b"] = Say("Paris " * 40, gap_s=0.02)
    server.models["v/judge"] = verdict(letter_of("Paris"))
    asyncio.run(fuse("hi", pool))  # the ledger remembers how quick they were
    after = asyncio.run(advise(pool, {"openrouter:v/judge": 100.0}))
    assert after.unmeasured == ()
    assert 5 < after.seconds < 25  # 400 tokens at some 50 a second, and the judge


def test_what_speaks_against_a_pool_is_said(server: LookAlike) -> None:
    server.listed = LISTED
    of_one = advice(
        "openrouter:v/a", "openrouter:v/b", "openrouter:v/judge", judge="openrouter:v/a"
    )
    assert any("3 models of one family (v)" in warning for warning in of_one.warnings)
    assert any("is a member" in warning for warning in of_one.warnings)
    small = advice("openrouter:v/a", "openrouter:v/b", judge="openrouter:v/judge")
    assert any("judge takes 1,500 tokens" in warning for warning in small.warnings)
    assert not any("family" in warning for warning in small.warnings)
    dear = advice("openrouter:v/a", budget="0.0001", judge="openrouter:v/b")
    assert any("the budget is" in warning for warning in dear.warnings)
    away = advice("openrouter:v/a", local_only=True)
    assert any("would leave this machine" in warning for warning in away.warnings)


def test_a_missing_key_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_BASE_URL", "http://127.0.0.1:9/v1")
    assert any("set OPENROUTER_API_KEY" in w for w in advice("openrouter:v/a").warnings)


def test_a_model_that_does_not_fit_into_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 100 * memory.MIB)
    said = advice("local:ministral-3b", judge="local:tiny-judge").warnings
    assert any("does not fit into memory: 100.0 MiB" in warning for warning in said)
    assert any("nbfuse pull" in warning for warning in said)


@pytest.mark.parametrize(
    ("spec", "maker"),
    [
        ("openrouter:anthropic/claude-opus-5", "anthropic"),
        ("openrouter:~openai/gpt-latest", "openai"),
        ("openai:gpt-6", "openai"),
        ("openai:llama3.2@http://127.0.0.1:11434/v1", "meta"),
        ("local:ministral-3b", "mistral"),
        ("hf:Qwen/Qwen3-4B-GGUF/q4.gguf", "q"),
    ],
)
def test_the_maker_is_told_from_a_name(spec: str, maker: str) -> None:
    assert family(spec) == maker


def test_every_model_is_listed_with_what_one_wants_to_know(server: LookAlike) -> None:
    server.listed = LISTED
    models, troubles = asyncio.run(listed())
    assert troubles == []
    known = {model.spec: model for model in models}
    cloud, tiny, big = (
        known[s] for s in ("openrouter:v/a", "local:tiny-calc", "local:ministral-3b")
    )
    assert (cloud.reads, cloud.writes, cloud.local, cloud.zdr) == (1.0, 10.0, False, True)
    assert (tiny.writes, tiny.local, tiny.here, tiny.zdr) == (0.0, True, True, True)
    assert (big.here, big.fits in (True, False)) == (False, True)
