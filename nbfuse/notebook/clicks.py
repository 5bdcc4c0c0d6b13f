"""What is done when somebody clicks in a live view after its run.

Clicks arrive in any thread; what takes time goes to the loop's. Nothing is paid for again but a
further judging, and a view that can't do what was asked says why and stays as it was.
"""

from __future__ import annotations

import asyncio
import typing
from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress

from nbfuse.api import promote, stream_again
from nbfuse.core.errors import NbfuseError
from nbfuse.core.events import RunFinished
from nbfuse.core.types import FusionResult
from nbfuse.ledger.ledger import Ledger
from nbfuse.notebook.feed import Feed
from nbfuse.notebook.runner import SLICE_S, runner
from nbfuse.notebook.voting import cast_vote

if typing.TYPE_CHECKING:
    from nbfuse.notebook.live import LiveView
    from nbfuse.notebook.session import Session

_running: set[asyncio.Task[None]] = set()  # a loop holds its tasks only weakly


def hear(session: Session, view: LiveView, ask: Mapping[str, object]) -> None:
    """Do what a click in `view` asks for."""
    result = view.result
    if result is None:  # a click from before, on a run that is being judged again
        return
    try:
        match ask:
            case {"vote": str(vote), "member": str(member)}:
                said = cast_vote(result, vote, member)
                view.feed.votes = Ledger().votes(result.run)
                view.tell()
                view.say(said)
            case {"promote": str(member)}:
                _put(session, view, promote(result, member))
                view.say(f"The answer of {member} is the result now; in code: %fuse last")
            case {"rejudge": dict(settings)} if not view.busy:
                view.busy = True
                view.say("Planning …")
                runner.soon(lambda: _begin(session, view, result, settings))
    except NbfuseError as error:
        view.say(str(error))


def _begin(
    session: Session, view: LiveView, result: FusionResult, settings: dict[str, object]
) -> None:
    task = asyncio.create_task(_judge_again(session, view, result, settings))
    _running.add(task)
    task.add_done_callback(_running.discard)


async def _judge_again(
    session: Session, view: LiveView, result: FusionResult, settings: dict[str, object]
) -> None:
    before, made = view.feed, None
    retry = bool(settings.pop("retry", False))
    given = {name: value for name, value in settings.items() if value}
    view.stop, view.skip = asyncio.Event(), asyncio.Queue()
    ticking: asyncio.Task[None] | None = None
    try:
        events = stream_again(result, given, retry=retry, stop=view.stop, skip=view.skip)
        async with aclosing(events):
            async for event in events:
                if ticking is None:  # it is planned: nothing about the settings can fail any more
                    feed = Feed()
                    feed.clicked = True
                    feed.take(event)
                    view.restart(feed)
                    ticking = asyncio.create_task(_tick(view))
                else:
                    view.take(event)
                if isinstance(event, RunFinished):
                    made = event.result
        if made is None or made.status != "complete":
            view.restart(before)
            view.say("Stopped: the earlier verdict stands")
        else:
            _put(session, view, made)
            view.say("Judged again; in code: %fuse last")
    except Exception as error:  # nobody waits for this task: what went wrong is said in the view
        view.restart(before)
        view.say(str(error) if isinstance(error, NbfuseError) else f"It failed: {error!r}")
    finally:
        view.busy = False
        if ticking is not None:
            ticking.cancel()


async def _tick(view: LiveView) -> None:
    while True:
        await asyncio.sleep(SLICE_S)
        view.tell()


def _put(session: Session, view: LiveView, made: FusionResult) -> None:
    """Have `made` be what the view shows, what its cell holds, and what `%fuse last` gives."""
    if view.result is not made:
        view.restart(Feed())
    view.finish(made)
    session.last = made


def votes_of(result: FusionResult) -> Sequence[tuple[str, str]]:
    """What the user has thought of a run; nothing where the ledger can't be read."""
    with suppress(NbfuseError):
        return Ledger().votes(result.run)
    return ()
