"""A file of recorded runs as something that answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from nbfuse.core.call import Call
from nbfuse.core.errors import ConfigError, ReplayError, did_you_mean
from nbfuse.core.measured import Measured
from nbfuse.core.pool import Pool, make_pool
from nbfuse.core.types import FusionResult
from nbfuse.providers.recording import Asked, Called, TakenRun, read_runs
from nbfuse.providers.registry import Target
from nbfuse.providers.replay import Player
from nbfuse.replay.differences import call_difference, differences, nearness
from nbfuse.replay.remembered import Remembered
from nbfuse.replay.source import Playing, Source, Speed, Take
from nbfuse.replay.times import with_times

AGAIN = "Record it again (--record), or ask as it was recorded."
SPEEDS: tuple[Speed, ...] = ("full", "original")


class Recording:
    """The runs in a file that `--record` or `record=` has written, to be given as `replay=`.

    `speed` is `full`, where no time is spent waiting, or `original`. A run is found by its prompt
    and its pool; of several that are the same, the first is replayed first, then the next, and
    after the last the first again. Raises `ReplayError` for a file that is none.
    """

    def __init__(self, path: str | Path, speed: Speed = "full") -> None:
        if speed not in SPEEDS:
            raise ConfigError(f"speed can't be {speed!r}.", did_you_mean(speed, SPEEDS))
        self.path, self.speed = Path(path).expanduser(), speed
        self._runs = read_runs(self.path)
        self._played: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._runs)

    def asks(self, pool: Pool) -> bool:  # noqa: ARG002
        """Never: all is in the file."""
        return False

    def answers(self, pool: Pool) -> bool:  # noqa: ARG002
        """Always: all is in the file."""
        return True

    def pool_for(self, prompt: str) -> Pool:
        """The pool of the recorded run whose prompt is the most like this one."""
        asked = Asked(prompt=prompt.strip(), settings={})
        nearest = max(self._runs, key=lambda run: nearness(run.began.asked, asked)[0])
        known = nearest.began.asked.settings
        return make_pool({name: v for name, v in known.items() if name in Pool.__struct_fields__})

    def resolve(self, spec: str) -> Target:
        """Who was asked under a spec, to plan with; raises `ReplayError` for one that was not."""
        told = next((run.told[spec] for run in self._runs if spec in run.told), None)
        if told is None:
            known = dict.fromkeys(spec for run in self._runs for spec in run.told)
            raise ReplayError(
                f"{self.path.name}: {spec} is not in it; it has {', '.join(known)}.", AGAIN
            )
        return Target(spec, Remembered(told), told.model, replayed=True)

    def begin(self, asked: Asked) -> Take:
        """The next of the runs that asked the same; raises `ReplayError` where there is none."""
        same = [run for run in self._runs if not differences(run.began.asked, asked)]
        if not same:
            nearest = max(self._runs, key=lambda run: nearness(run.began.asked, asked))
            changed = differences(nearest.began.asked, asked)
            raise ReplayError(f"{self.path.name}: {' '.join(changed)}", AGAIN)
        first = same[0].began.run
        taken = same[self._played[first] % len(same)]
        self._played[first] += 1
        return RecordedTake(taken)


class RecordedTake:
    """One recorded run, to be played once."""

    def __init__(self, taken: TakenRun) -> None:
        self._taken = taken
        self.entropy: int | None = taken.began.entropy
        self.measured: Measured | None = taken.began.measured

    def play(self) -> Playing:
        """Begin to play it, in the loop of the run."""
        player, ended = Player(self._taken, self._missing), self._taken.ended
        return Playing(
            player.resolve,
            player,
            ended.when if ended is not None and ended.status == "stopped" else None,
            tuple((skip.when, skip.member) for skip in self._taken.skips),
        )

    def _missing(self, spec: str, call: Call, left: Sequence[Called]) -> ReplayError:
        if self._taken.ended is None and not left:
            return ReplayError(
                f"The run was broken off while it was recorded: what {spec} said is not there.",
                "Record it again.",
            )
        settings = self._taken.began.asked.settings
        members = settings.get("members")
        judges = isinstance(members, Sequence) and spec not in members
        who = f"The judge {spec}" if judges else spec
        hint = f"It was recorded by nbfuse {self._taken.began.version}. {AGAIN}"
        return ReplayError(call_difference(who, call, left), hint)

    def timed(self, result: FusionResult) -> FusionResult:
        """The result with its recorded times, where the run came to an end."""
        return result if self._taken.ended is None else with_times(result, self._taken.ended)

    def check(self, result: FusionResult) -> None:
        """Compare with how the recorded run came out, where it came to an end."""
        ended = self._taken.ended
        if ended is None:
            return
        judged = judged_members(result)
        for what, was, now in (
            ("status", ended.status, result.status),
            ("judged answers", ", ".join(ended.judged), ", ".join(judged)),
            ("best member", ended.best, result.verdict.best),
            ("text", ended.text, result.text),
        ):
            if was != now:
                raise ReplayError(
                    f"The run came out otherwise than it was recorded: its {what} was "
                    f"{str(was)[:60]!r}, and is now {str(now)[:60]!r}.",
                    f"It was recorded by nbfuse {self._taken.began.version}. {AGAIN}",
                )


def judged_members(result: FusionResult) -> tuple[str, ...]:
    """Whose answers were considered."""
    return tuple(a.member for a in result.answers if a.judged and a.usable)


_opened: dict[tuple[Path, Speed], tuple[tuple[int, int], Recording]] = {}


def source_of(replay: Source | str | Path, speed: Speed = "full") -> Source:
    """What `replay=` means: a file by its path, or what can be replayed; raises `ReplayError`.

    A file is read again when it has changed: then its runs are counted anew.
    """
    if not isinstance(replay, str | Path):
        if not hasattr(replay, "begin"):
            raise ConfigError(
                f"{type(replay).__name__} can't be replayed.",
                "Give a file's path, a nbfuse.replay.Recording or what from_table has made.",
            )
        return replay
    path = Path(replay).expanduser().absolute()
    try:
        state = path.stat()
    except OSError:
        return Recording(path, speed)  # says what is wrong
    stamp = (state.st_mtime_ns, state.st_size)
    kept = _opened.get((path, speed))
    if kept is None or kept[0] != stamp:
        kept = _opened[path, speed] = (stamp, Recording(path, speed))
    return kept[1]
