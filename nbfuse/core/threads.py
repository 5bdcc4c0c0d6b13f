"""Work for a thread that nobody has to wait for."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import typing
from collections.abc import Callable
from typing import TypeVar

from nbfuse.core.virtual import real_time

_T = TypeVar("_T")


async def off_loop(work: Callable[[], _T]) -> _T:
    """`work`'s result from a thread of its own, in this task's context (the fence holds there too).

    Not asyncio's: those are waited for when a loop ends, so that work which takes a minute would
    hold up a run whose deadline has passed.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: _T | None, error: Exception | None) -> None:
        if future.done():  # nobody waits any more
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(typing.cast(_T, result))

    def run() -> None:
        result: _T | None = None
        failed: Exception | None = None
        try:
            result = context.run(work)
        except (StopIteration, asyncio.CancelledError) as error:  # no future can hold these
            failed = RuntimeError(f"it raised {error!r}")
        except Exception as error:
            failed = error
        except BaseException as error:  # sys.exit in it must not end anything else
            failed = RuntimeError(f"it raised {error!r}")
        with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=run, name="nbfuse-work", daemon=True).start()
    with real_time():
        return await future
