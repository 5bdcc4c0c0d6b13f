"""`nbfuse.compare`: which of two to four contenders to ship, with evidence of one's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from nbfuse.api import choose
from nbfuse.comparison.asked import read_asked
from nbfuse.comparison.ballots import merge
from nbfuse.comparison.comparison import Comparison
from nbfuse.comparison.contenders import Contender, read_contenders
from nbfuse.comparison.contest import Contest
from nbfuse.comparison.job import Job
from nbfuse.comparison.kept import Kept
from nbfuse.comparison.models import facts_of
from nbfuse.comparison.reviewers import reviewers
from nbfuse.config import history
from nbfuse.core.ballot import Ballot
from nbfuse.core.errors import BudgetError, ConfigError
from nbfuse.core.pool import Pool
from nbfuse.core.request import Request
from nbfuse.core.types import FusionResult, Price
from nbfuse.evaluation.asking import Asking
from nbfuse.evaluation.evaluate import dollars
from nbfuse.evaluation.grading import Grade
from nbfuse.evaluation.progress import shown
from nbfuse.evaluation.questions import Asked
from nbfuse.evaluation.statistics import need
from nbfuse.evaluation.voices import Panel
from nbfuse.fusion.plan import Plan, make_plan
from nbfuse.ledger.ballots import Ballots
from nbfuse.ledger.earlier import Earlier
from nbfuse.paths import is_local_only
from nbfuse.replay import Recording, Source, Table, source_of
from nbfuse.replay.source import asked_of

Watch = Callable[[Comparison], None]


class Options(NamedTuple):
    """What a comparison is asked for beside its contenders; `compare` says what they are."""

    questions: object = None
    grade: Grade | None = None
    judge: str | None = None
    budget: Decimal | float | str | None = None
    monthly: int | None = None
    concurrency: int = 4
    seed: int = 0
    fresh: bool = False
    record: str | os.PathLike[str] | None = None
    replay: Source | str | Path | None = None
    votes: str | os.PathLike[str] | None = None


async def compare(
    *contenders: str | Pool | FusionResult,
    questions: object = None,
    grade: Grade | None = None,
    judge: str | None = None,
    budget: Decimal | float | str | None = None,
    monthly: int | None = None,
    concurrency: int = 4,
    seed: int = 0,
    fresh: bool = False,
    record: str | os.PathLike[str] | None = None,
    replay: Source | str | Path | None = None,
    votes: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Comparison:
    """Which of two to four contenders to ship, on your own questions.

    A contender is a model's spec, `pool:NAME` or a `Pool`, or a saved result (`run:NAME` of the
    history, or a `FusionResult`). `questions` is a list of texts, or a table as `nbfuse.evaluate`
    takes it, with references or without (None: your last prompts, from the history);
    `grade(answer, row)` marks answers instead of references, as there. `judge` plays
    the reviewers (None: the judge of the first pool compared, else of the default one). `budget` is
    US dollars after which nothing more is begun, `monthly` how many questions a month has (None:
    the pace of the history), `concurrency` how many are asked at once; `seed` draws what reviewers
    read and shuffles. What was paid for before is used again unless `fresh`, or where it is
    recorded or replayed: `record` is a file to which all that models say is appended, `replay` such
    a file, or a table of `nbfuse.replay.from_table`. `votes` is a folder of a community, whose
    votes count beside your own. Needs the extra `evaluate`.

    Raises `ConfigError`, `PrivacyError`, `BudgetError` or `ReplayError` before anything is spent,
    and `NoAnswerError` where nobody answers the first questions.
    """
    options = Options(
        questions, grade, judge, budget, monthly, concurrency, seed, fresh, record, replay, votes
    )
    prepared = await prepare(contenders, options)
    with shown(progress) as step:
        return await prepared.contest(step).run(concurrency)


class Prepared(NamedTuple):
    """A comparison that has not begun: who is asked what, and what it may cost."""

    job: Job
    asking: Asking
    kept: Kept
    price: Price
    limit: Decimal | None
    ballots: tuple[Ballot, ...] = ()

    def contest(self, step: Callable[[str, int, int], None], watch: Watch | None = None) -> Contest:
        """The comparison itself, which tells `step` how far it is and `watch` what there is."""
        cast = [*self.ballots, *(Ballots().all() if history().on else [])]
        # once, though one's own file may lie in the folder; the later vote on a subject holds
        ballots = {one.subject: one for one in sorted(cast, key=lambda one: one.time)}
        return Contest(
            self.job,
            self.asking,
            self.kept,
            list(ballots.values()),
            self.price,
            self.limit,
            step,
            watch,
        )

    @property
    def lines(self) -> list[str]:
        """What would be done, for whoever asks before."""
        job, low, high = self.job, self.price.low, self.price.high
        what = "not known for every model"
        if low is not None and high is not None:
            what = f"${low:.4f} to ${high:.4f}" if high else "nothing"
            if not high and all(m.local for those in job.facts.values() for m in those):
                what += ", all models are local"
        count = len(job.asked)
        return [
            f"Would ask {', '.join(one.name for one in job.contenders)} {count} "
            f"question{'s' * (count != 1)}, then {len(job.reviewers)} reviewers "
            f"({', '.join(one.name for one in job.reviewers)}), played by {job.judge.spec}.",
            f"Price with their reviews: {what}.",
            *([f"{self.kept.reused} calls were made before."] if self.kept.reused else []),
            *job.notes,
        ]


async def prepare(given: Sequence[object], options: Options) -> Prepared:
    """Settle a comparison; raises all that can be known before anything is spent."""
    need("scipy.stats")
    if options.concurrency < 1:
        raise ConfigError(f"concurrency can't be {options.concurrency}.", "Give 1 or more.")
    if options.monthly is not None and options.monthly < 1:
        raise ConfigError(f"monthly can't be {options.monthly}.", "Give questions a month.")
    if options.record is not None and options.replay is not None:
        raise ConfigError("A comparison is recorded or replayed.", "Leave one of them out.")
    source = None if options.replay is None else source_of(options.replay)
    contenders = read_contenders(given)
    earlier = Earlier() if history().on else None
    asked, note = read_asked(options.questions, contenders, earlier, options.grade)
    plans = {
        one.name: await _plan(one.pool, asked, source) for one in contenders if one.result is None
    }
    local_only = is_local_only() or any(one.pool.local_only for one in contenders)
    judge = options.judge or _judge(contenders)
    spoken = Pool(members=(judge,), local_only=local_only)
    reviewing = (await _plan(spoken, asked, source)).members[0]
    job = Job(
        contenders=contenders,
        asked=asked,
        grade=options.grade,
        panels={
            one.name: Panel(one.name, one.pool, plans[one.name])
            for one in contenders
            if one.name in plans
        },
        facts={one.name: facts_of(one, plans.get(one.name)) for one in contenders},
        reviewers=tuple(reviewers().values()),
        judge=reviewing,
        local_only=local_only,
        monthly=options.monthly or (earlier.monthly() if earlier is not None else None),
        seed=options.seed,
        notes=tuple(filter(None, (note, _warning(judge, contenders)))),
    )
    pools = {one.name: one.pool for one in contenders}
    by_heart = source is None and options.record is None
    kept = Kept(earlier if by_heart else None, pools, job.review_pools, options.fresh)
    (asks, price), limit = job.price(kept), dollars(options.budget)
    if limit is not None and asks.low is not None and asks.low > limit:
        raise BudgetError(
            f"Asking costs ${asks.low:.4f} at least; the budget is ${limit}.",
            "Ask fewer questions, compare cheaper models, or raise the budget.",
        )
    asking = Asking(kept, options.seed, source, options.record)
    ballots = merge(Path(options.votes).expanduser()).ballots if options.votes else []
    return Prepared(job, asking, kept, price, limit, tuple(ballots))


async def _plan(pool: Pool, asked: Sequence[Asked], source: Source | None) -> Plan:
    """How a pool is asked the longest question; raises where it can't be."""
    longest = max((one.question.text for one in asked), key=len)
    request = Request(longest, pool)
    if isinstance(source, Table) and source.answers(pool):
        for one in asked:  # so that a question which is not in the table is named now
            source.begin(asked_of(Request(one.question.text, pool)))
        playing = source.begin(asked_of(request)).play()
        return await make_plan(request, playing.resolve)
    if isinstance(source, Recording):
        return await make_plan(request, source.resolve)
    return await make_plan(request)


def _judge(contenders: Sequence[Contender]) -> str:
    """Who plays the reviewers where the user does not say."""
    pools = [one.pool for one in contenders if one.kind != "model" and one.pool.judge]
    pool = pools[0] if pools else choose(None, {})
    return pool.judge or pool.members[0]


def _warning(judge: str, contenders: Sequence[Contender]) -> str:
    own = [one.name for one in contenders if judge in one.specs]
    if not own:
        return ""
    return (
        f"{judge} plays the reviewers, and has a part in {', '.join(own)}: judges favour their "
        "own. Name another judge."
    )
