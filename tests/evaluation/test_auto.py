"""Tables of answers, evaluated as if live; and what pools in mode auto really cost."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

import nbfuse
from nbfuse import Evaluation, Pool
from nbfuse.core.errors import ConfigError, ReplayError
from nbfuse.evaluation.results import FUSED, GUARDED, PLAIN_VOTE, SELF_PANEL
from nbfuse.ledger.ledger import Ledger
from nbfuse.replay import Table, from_table

# on even questions the first two agree; on odd ones it takes the third
COUNT = 10
ROWS = [
    {
        "question": f"What is {i} + {i}?",
        "reference": 2 * i,
        "a": f"It is {2 * i}",
        "b": f"So {2 * i + i % 2}",
        "c": f"I find {2 * i}",
        "d": f"Well, {2 * i}",
    }
    for i in range(COUNT)
]
NAMES = ["a", "b", "c", "d"]
SECONDS = {"a": 1.0, "b": 2.0, "c": 4.0, "d": 8.0}
CENTS = {"a": "0.01", "b": "0.02", "c": "0.04", "d": "0.08"}
COSTS = {name: Decimal(cost) for name, cost in CENTS.items()}


def table(**settings: object) -> Table:
    figures = {"seconds": SECONDS, "costs": COSTS}
    if "judge" in settings:
        figures = {"seconds": SECONDS | {"judge": 0.5}, "costs": COSTS | {"judge": 0.5}}
    return from_table(ROWS, models=NAMES, **{**figures, "answer": "number", **settings})


def run(replay: object, *pools: Pool, **more: object) -> Evaluation:
    return asyncio.run(
        nbfuse.evaluate(ROWS, list(pools) or None, replay=replay, progress=False, **more)
    )


# --- tables -----------------------------------------------------------------------------------


def test_a_table_is_evaluated_as_if_its_models_had_been_asked() -> None:
    found = run(table())
    (report,) = found.pools
    assert report.members == tuple(NAMES)
    assert [report.arm(name).accuracy for name in NAMES] == [1, 0.5, 1, 1]
    assert report.arm(FUSED).accuracy == report.arm(PLAIN_VOTE).accuracy == 1
    assert report.arm("c").p50_s == pytest.approx(4)
    assert report.arm("b").total_cost == Decimal("0.2")
    assert report.arm(FUSED).mean_cost == Decimal("0.15")
    assert report.arm(SELF_PANEL) is None
    assert any("no self-panel" in note for note in found.notes)
    assert found.measured().models["table:b"].right == COUNT // 2
    assert not Ledger().path.exists()  # another table's a is another model


def test_a_table_needs_each_question_and_each_model_of_the_pools() -> None:
    rows = [*ROWS, {"question": "And 1 + 1?", "reference": 2}]
    with pytest.raises(ReplayError, match="is not in the table"):
        asyncio.run(nbfuse.evaluate(rows, replay=table(), progress=False))
    with pytest.raises(ConfigError, match="The table has no 'x'"):
        run(table(), Pool(members=("table:a", "table:x")))
    with pytest.raises(ConfigError, match=r"from_table\(…\)"):
        run("recording.jsonl")


def test_an_evaluated_table_that_was_stopped_goes_on(tmp_path: Path) -> None:
    out, judged = tmp_path / "j.jsonl", []

    def judge(question: str, candidates: list[str]) -> int:
        judged.append(question)
        return 0

    pools = [Pool(members=("table:a", "table:b"), judge="table:judge", answer="number")]
    first = run(table(judge=judge), *pools, out=out)
    assert len(judged) == 2 * (COUNT // 2)  # both orders, where they differ
    again = run(table(judge=judge), *pools, out=out)
    assert len(judged) == 2 * (COUNT // 2)
    assert again.sentence == first.sentence


def test_the_same_seed_draws_the_same_orders_from_a_table() -> None:
    pool = Pool(members=("table:a", "table:b"), judge="table:judge", answer="number")

    def letters(seed: int) -> tuple[str, ...]:
        seen: list[str] = []

        def judge(question: str, candidates: list[str]) -> int:
            seen.append(candidates[0])
            return 0

        run(table(judge=judge), pool, seed=seed, concurrency=1)
        return tuple(seen)

    assert letters(1) == letters(1)
    assert len({letters(seed) for seed in range(4)}) > 1


# --- mode auto --------------------------------------------------------------------------------


def right(question: str, candidates: list[str]) -> int:
    number = 2 * int(question.split()[2])
    return next(i for i, text in enumerate(candidates) if text.endswith(f" {number}"))


def auto(names: str = "abcd", **settings: object) -> Pool:
    members = tuple(f"table:{name}" for name in names)
    return Pool(members=members, answer="number", **{"mode": "auto", **settings})


def seconds_and_calls(found: Evaluation, arm: str) -> list[tuple[float, int]]:
    return [(round(o.seconds, 6), o.calls) for o in found.outcomes if o.arm == arm]


def test_a_pool_in_mode_auto_pays_for_whom_it_has_asked_and_waits_for_one_after_another() -> None:
    found = run(table(), auto())
    (report,) = found.pools
    # 0, 2, 4 …: a and b at once (2 s); 1, 3, 5 …: then c alone (4 s), and d never
    assert seconds_and_calls(found, FUSED) == [(2, 2), (6, 3)] * (COUNT // 2)
    assert seconds_and_calls(found, GUARDED) == seconds_and_calls(found, FUSED)
    assert report.arm(FUSED).mean_cost == Decimal("0.05")
    assert report.arm(FUSED).accuracy == 1
    # two members are spared each second time, one else, and the judge always
    assert (report.spared, report.calls) == (3 * COUNT // 2 + COUNT, 4 * COUNT)
    assert report.arm("d").accuracy == 1  # it was asked all the same, to be compared
    assert report.arm(PLAIN_VOTE).mean_calls == 4


def test_a_self_panel_costs_what_a_pool_in_mode_auto_does() -> None:
    everybody = run(table(), auto(mode="best-of")).pools[0]
    widening = run(table(), auto()).pools[0]
    assert (everybody.samples, widening.samples) == (15, 5)  # of a, at a cent


def test_where_all_are_asked_mode_auto_costs_all_and_the_judge() -> None:
    pool = auto("ab", judge="table:judge")
    found = run(table(judge=right), pool)
    assert seconds_and_calls(found, FUSED) == [(2, 2), (2.5, 4)] * (COUNT // 2)
    assert found.pools[0].arm(FUSED).accuracy == 1
    assert found.pools[0].spared == COUNT // 2 * 2  # a judge in both orders, where they agree


@pytest.mark.parametrize(
    ("quorum", "calls"), [(None, [2, 3] * (COUNT // 2)), (3, [3, 4] * (COUNT // 2))]
)
def test_a_quorum_is_how_many_have_to_agree_in_mode_auto(
    quorum: int | None, calls: list[int]
) -> None:
    found = run(table(), auto(quorum=quorum))
    assert [c for _, c in seconds_and_calls(found, FUSED)] == calls


def test_a_member_that_fails_is_one_that_was_asked() -> None:
    rows = [{**row, "b": None} for row in ROWS]
    made = from_table(rows, models=NAMES, seconds=SECONDS, costs=COSTS, answer="number")
    found = run(made, auto())
    assert [c for _, c in seconds_and_calls(found, FUSED)] == [3] * COUNT


def test_what_is_asked_in_an_evaluation_is_what_a_run_asks() -> None:
    found = run(table(), auto())
    for row, (took, calls) in zip(ROWS, seconds_and_calls(found, FUSED), strict=True):
        result = asyncio.run(nbfuse.fuse(row["question"], auto(), replay=table()))
        asked = [answer for answer in result.answers if answer.status == "complete"]
        assert (len(asked), result.seconds) == (calls, pytest.approx(took))


def test_another_quorum_in_mode_auto_is_another_evaluation(tmp_path: Path) -> None:
    out = tmp_path / "j.jsonl"
    run(table(), auto(), out=out)
    with pytest.raises(ConfigError, match="another quorum"):
        run(table(), auto(quorum=3), out=out)
