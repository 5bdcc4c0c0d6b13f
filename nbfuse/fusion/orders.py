"""Asks the judge, or two judges, in two opposite orders at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from nbfuse.core.errors import ModelError
from nbfuse.core.events import JudgeStarted
from nbfuse.fusion.plan import Member
from nbfuse.fusion.run import Run

_Order = TypeVar("_Order")
_Found = TypeVar("_Found")


async def in_both_orders(
    run: Run,
    orders: tuple[_Order, _Order],
    task: str,
    read: Callable[[Member, _Order, str], Awaitable[_Found]],
) -> tuple[_Found, ...]:
    """What `read` makes of the two orders; what failed is left out, and noted.

    Of two judges each reads one order, and the one takes over where the other fails. Raises the
    `ModelError` of the first order where neither could be read.
    """
    first, second = run.plan.judges[0], run.plan.judges[-1]
    run.emit(JudgeStarted(judge=first.label, task=task))

    async def one(judge: Member, other: Member, order: _Order, name: str) -> _Found | ModelError:
        try:
            return await read(judge, order, name)
        except ModelError as error:
            if other == judge:
                return error
            failure = error
        run.notes.append(f"{other.label} judged for {judge.label}, which failed: {failure.message}")
        try:
            return await read(other, order, name)
        except ModelError as error:
            return error

    found = await asyncio.gather(
        one(first, second, orders[0], task),
        one(second, first, orders[1], f"{task}, other order"),
        return_exceptions=True,  # one that breaks does not leave the other running
    )
    readings: list[_Found] = []
    failures: list[ModelError] = []
    for result in found:
        if isinstance(result, ModelError):
            failures.append(result)
        elif isinstance(result, BaseException):
            raise result
        else:
            readings.append(result)
    if not readings:
        raise failures[0]
    if failures:
        run.notes.append(f"The judge was heard in one order only: {failures[0].message}")
    return tuple(readings)
