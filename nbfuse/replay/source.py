"""What a run can be replayed from, and what identifies a run there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from nbfuse.core.measured import Measured
from nbfuse.core.pictures import data_urls
from nbfuse.core.pool import Pool, expand, pool_settings
from nbfuse.core.request import Request
from nbfuse.core.types import FusionResult
from nbfuse.fusion.plan import checked
from nbfuse.fusion.tools import make_tools
from nbfuse.providers.recording import Asked, Moment, digest
from nbfuse.providers.registry import Target
from nbfuse.providers.replay import Player

Speed = Literal["full", "original"]

# Settings that may differ: what a pool is called, and where answers may come from, is no part of
# what is said; a replay asks nobody.
FREE_SETTINGS = ("name", "local_only")


class Playing(NamedTuple):
    """How one run is answered, in the loop that it runs in.

    `player` tells when the run can't go on, and when the user `stopped` it or `skips` members.
    """

    resolve: Callable[[str], Target]
    player: Player | None = None
    stopped: Moment | None = None
    skips: Sequence[tuple[Moment, str]] = ()


class Take(Protocol):
    """One run to be replayed; `entropy` and `measured` are those that it had."""

    entropy: int | None
    measured: Measured | None

    def play(self) -> Playing:
        """Begin; called in the event loop that the run will have."""
        ...

    def check(self, result: FusionResult) -> None:
        """Raise `ReplayError` where the run came out otherwise than it should."""
        ...

    def timed(self, result: FusionResult) -> FusionResult:
        """The result with the times that it had then."""
        ...


class Source(Protocol):
    """Where runs are replayed from."""

    speed: Speed

    def asks(self, pool: Pool) -> bool:
        """Whether somebody of a pool is asked all the same, such as a judge over a table."""
        ...

    def answers(self, pool: Pool) -> bool:
        """Whether anybody of a pool answers from here."""
        ...

    def pool_for(self, prompt: str) -> Pool:
        """The pool that was asked this, for who names none."""
        ...

    def begin(self, asked: Asked) -> Take:
        """The run of it; raises `ReplayError` where it is not there."""
        ...


def asked_of(request: Request) -> Asked:
    """What identifies a run; raises `PromptError` or `ConfigError` as the run itself would."""
    pool = request.pool
    settings = pool_settings(pool) | {"members": list(expand(pool.members))}
    return Asked(
        prompt=checked(request.prompt),
        settings=settings,
        images=tuple(map(digest, data_urls(request.images))),
        tools=tuple(tool.name for tool in make_tools(request.tools)),
        given=tuple(f"{answer.member} {digest(answer.text)}" for answer in request.given),
    )
