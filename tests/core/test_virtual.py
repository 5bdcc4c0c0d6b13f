"""A loop whose time passes when it is waited for, and not before."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine

import pytest

from nbfuse.core.threads import off_loop
from nbfuse.core.virtual import VirtualLoop, real_time


def run(work: Coroutine, real: bool = False) -> object:
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(real)) as runner:
        return runner.run(work)


def test_an_hour_passes_in_no_time_and_timers_fire_in_their_order() -> None:
    fired: list[tuple[str, float]] = []

    async def work() -> None:
        clock = asyncio.get_running_loop().time

        async def wake(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            fired.append((name, clock()))

        async with asyncio.TaskGroup() as group:
            for name, seconds in (("c", 3600.0), ("a", 0.5), ("b", 0.5000001)):
                group.create_task(wake(name, seconds))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(100):
                await asyncio.Event().wait()
        assert clock() == 3700

    began = time.monotonic()
    run(work())
    assert time.monotonic() - began < 1
    assert fired == [("a", 0.5), ("b", 0.5000001), ("c", 3600.0)]


def test_work_outside_of_the_loop_is_waited_for_in_real_time() -> None:
    async def work() -> tuple[str, float]:
        async with asyncio.timeout(5):  # which a jump would let pass at once
            said = await off_loop(lambda: (time.sleep(0.2), "done")[1])
        return said, asyncio.get_running_loop().time()

    said, took = run(work())
    assert said == "done"
    assert 0.2 <= took < 1


def test_time_goes_on_from_where_it_was_after_something_real() -> None:
    async def work() -> None:
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(1000)
        with real_time():
            await asyncio.sleep(0.1)
        assert 1000.1 <= clock() < 1001
        before = clock()
        time.sleep(0.05)  # noqa: ASYNC251 - computing
        assert clock() == before

    run(work())


def test_another_thread_is_heard_while_nothing_else_is_waited_for() -> None:
    async def work() -> None:
        loop, told = asyncio.get_running_loop(), asyncio.Event()
        threading.Timer(0.1, loop.call_soon_threadsafe, (told.set,)).start()
        await told.wait()

    run(work())


def test_a_real_one_never_jumps() -> None:
    began = time.monotonic()
    run(asyncio.sleep(0.2), real=True)
    assert time.monotonic() - began >= 0.2
