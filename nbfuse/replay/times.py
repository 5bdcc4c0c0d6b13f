"""The times of a recorded run: a replay takes none, and what it measures would be its own."""

from __future__ import annotations

import msgspec

from nbfuse.core.types import FusionResult
from nbfuse.providers.recording import Ended, Times


def times_of(result: FusionResult) -> tuple[Times, ...]:
    """When each answer and each call of the judge began, and how long it took."""
    calls = (*result.answers, *result.judging)
    return tuple(Times(call.begun_s, call.first_token_s, call.seconds) for call in calls)


def with_times(result: FusionResult, ended: Ended) -> FusionResult:
    """`result` with the times that it had; as it is where these are not known."""
    count, calls = len(result.answers), (*result.answers, *result.judging)
    if len(calls) != len(ended.times):
        return result
    timed = [
        msgspec.structs.replace(call, begun_s=t.begun, first_token_s=t.first, seconds=t.took)
        for call, t in zip(calls, ended.times, strict=True)
    ]
    return msgspec.structs.replace(
        result,
        answers=tuple(timed[:count]),
        judging=tuple(timed[count:]),
        seconds=ended.seconds,
    )
