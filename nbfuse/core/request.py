"""What is asked of a run, in one piece, from whoever asks down to the plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nbfuse.core.pool import Pool
from nbfuse.core.types import Answer


class Request(NamedTuple):
    """A prompt, the pool that it goes to, and what goes with it.

    `tools` are functions or schemas that members may call; `images` go to those that can see;
    members whose answers are `given` are not asked again, but where a debate disputes one; `schema`
    is what answers obey, and are fused by field under; with `repair` who does not obey it is asked
    once more.
    """

    prompt: str
    pool: Pool
    tools: Sequence[object] = ()
    images: Sequence[object] = ()
    given: Sequence[Answer] = ()
    schema: object = None
    repair: bool = True
