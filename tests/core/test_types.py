"""Every public type survives the way through JSON."""

from __future__ import annotations

import pickle
from decimal import Decimal

import msgspec
import pytest

from nbfuse.core import errors, events
from nbfuse.core.analysis import Analysis, Contradiction, PartialCoverage, Stance, UniqueInsight
from nbfuse.core.call import Call, Chunk, Message, TokenLogprob, Usage
from nbfuse.core.events import Event
from nbfuse.core.pool import Pool
from nbfuse.core.types import (
    Answer,
    Failure,
    FusionResult,
    Position,
    Price,
    Score,
    Verdict,
    from_json,
    to_json,
)
from nbfuse.providers.protocol import ModelInfo

FAILURE = Failure("RateLimitError", "too fast", "wait")
USAGE = Usage(1, 2, 3, 4, Decimal("0.00000015"))
ANSWER = Answer(
    member="a",
    spec="openrouter:x/a",
    text="42\nü",
    status="cut off",
    parts=("42", "ü"),
    usage=USAGE,
    first_token_s=0.25,
    seconds=1.5,
    generation_id="gen-1",
)
ANALYSIS = Analysis(
    ("all",),
    (Contradiction("t", (Stance("a", "yes"), Stance("b", "no"))),),
    (PartialCoverage(("a",), "p"),),
    (UniqueInsight("b", "i"),),
    ("nobody",),
)
VERDICT = Verdict(
    decided_by="judge",
    best="a",
    margin="clear",
    scores=(Score(member="a", correctness=4, p_right=0.5),),
    order=("b", "a"),
    seed=7,
)
POSITION = Position(member="a", before="x", after="y", changed=True, why="z")
PRICE = Price(Decimal("0.1"), None)
RESULT = FusionResult(
    run="r",
    prompt="p",
    mode="merge",
    text="t",
    verdict=VERDICT,
    answers=(ANSWER, Answer(member="b", spec="local:b", status="failed", failure=FAILURE)),
    judging=(ANSWER,),
    analysis=ANALYSIS,
    positions=(POSITION,),
)
EVENTS: list[Event] = [
    events.RunPlanned(
        prompt="p", pool="", members=("a",), specs=("x:a",), judge=None, mode="debate", price=PRICE
    ),
    events.MemberStarted(member="a"),
    events.MemberDelta(member="a", text="t"),
    events.MemberFinished(member="a", answer=ANSWER),
    events.MemberFailed(member="a", answer=ANSWER, failure=FAILURE),
    events.MemberLate(member="a", answer=ANSWER),
    events.QuorumReached(answers=2, grace_s=1.0),
    events.JudgeStarted(judge="j", task="verdict"),
    events.JudgeFailed(judge="j", failure=FAILURE),
    events.AnalysisReady(analysis=ANALYSIS),
    events.RoundStarted(round=1, disputed=("a", "b")),
    events.RoundFinished(round=1, positions=(POSITION,)),
    events.SynthesisDelta(text="t"),
    events.RunFinished(run="r", seq=9, at=1.5, result=RESULT),
]
CALL = Call(
    model="m",
    messages=(Message("user", "hi"),),
    temperature=0.5,
    stop=("x",),
    schema={"type": "object"},
)
CHUNK = Chunk(
    text="t", logprobs=(TokenLogprob("t", -0.5, (("t", -0.5), ("u", -1.0))),), usage=USAGE
)
MODEL = ModelInfo(id="m", prompt_price=Decimal("0.000001"), form="compact", check="{question}")
POOL = Pool(members=("a:b",), budget=Decimal("0.05"), mode="merge", answer="number")


@pytest.mark.parametrize(
    "value",
    [FAILURE, USAGE, ANSWER, ANALYSIS, VERDICT, POSITION, PRICE, RESULT, CALL, CHUNK, POOL, MODEL],
    ids=lambda value: type(value).__name__,
)
def test_a_value_comes_back_as_it_was(value: object) -> None:
    assert from_json(type(value), to_json(value)) == value


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_as_it_was_and_says_its_kind(event: Event) -> None:
    assert from_json(Event, to_json(event)) == event
    assert f'"type":"{type(event).__name__}"' in to_json(event)


def test_every_event_is_tried_here() -> None:
    assert {type(event) for event in EVENTS} == set(Event.__args__)


def test_money_stays_exact() -> None:
    assert from_json(Usage, to_json(USAGE)).cost == Decimal("0.00000015")


def test_unknown_cost_is_unknown_and_a_failure_is_free() -> None:
    whole = msgspec.structs.replace(RESULT, judging=())
    assert whole.cost == Decimal("0.00000015")  # the other member failed before its first token
    unpriced = msgspec.structs.replace(ANSWER, usage=None)
    assert msgspec.structs.replace(whole, answers=(unpriced, ANSWER)).cost is None


def test_a_result_reads_like_its_answer() -> None:
    assert str(RESULT) == "t"
    assert RESULT["a"] is ANSWER
    with pytest.raises(KeyError, match="its members are a, b"):
        RESULT["nobody"]
    assert "0x" not in repr(RESULT)


def test_values_can_not_be_changed() -> None:
    with pytest.raises(AttributeError):
        ANSWER.text = "other"


def test_an_error_is_data_too_and_renders_in_two_lines() -> None:
    error = errors.RateLimitError("Too fast.", "Wait.", retry_after=3)
    assert error.failure() == Failure("RateLimitError", "Too fast.", "Wait.")
    assert error._render_traceback_() == ["RateLimitError: Too fast.", "Wait."]


def test_every_error_is_in_the_drawn_tree() -> None:
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, BaseException)
    ]
    for one in classes:
        assert f"{one.__name__}" in errors.__doc__


def test_an_error_with_a_result_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(errors.NoAnswerError("none", "try", RESULT)))
    assert (error.message, error.hint, error.result) == ("none", "try", RESULT)
