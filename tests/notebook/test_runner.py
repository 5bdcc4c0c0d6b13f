"""The bridge between a cell and asyncio."""

from __future__ import annotations

import asyncio
import threading

import pytest

from nbfuse.notebook.runner import SLICE_S, Runner

runner = Runner()


async def after(seconds: float, result: object = None) -> object:
    await asyncio.sleep(seconds)
    if isinstance(result, Exception):
        raise result
    return result


def test_work_runs_in_another_thread_and_its_result_comes_back() -> None:
    async def where() -> str:
        return threading.current_thread().name

    assert runner.run(where()) == "nbfuse"


def test_it_ticks_while_it_waits() -> None:
    ticks: list[None] = []
    runner.run(after(4 * SLICE_S), lambda: ticks.append(None))
    assert 1 <= len(ticks) <= 4


def test_work_that_times_out_says_so() -> None:
    with pytest.raises(TimeoutError, match="by itself"):
        runner.run(after(0.01, TimeoutError("by itself")))


def test_work_that_ends_as_a_wait_does_keeps_its_result() -> None:
    for i in range(-15, 15):  # around the end of a slice, where the wait times out first
        assert runner.run(after(SLICE_S + i / 10_000, i)) == i
