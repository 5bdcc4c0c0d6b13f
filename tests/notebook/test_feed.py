"""What the browser is told of a run, and that nothing of it gets lost on the way."""

from __future__ import annotations

import asyncio
import json

from lookalike import Fail, LookAlike, Say, letter_of, verdict

from nbfuse import Pool, stream
from nbfuse.core import events
from nbfuse.core.events import Event
from nbfuse.core.types import Price
from nbfuse.notebook.feed import MOST_SHOWN, Feed, Stream

POOL = Pool(
    members=("openrouter:v/a", "openrouter:v/b", "openrouter:v/c"),
    judge="openrouter:v/judge",
    quorum=3,
)
LONG = "**One.**\n\n```python\nx = 1\n\ny = 2\n```\n\nThe end, with $x$."


def watched(server: LookAlike) -> list[Event]:
    server.models |= {
        "v/a": Say(f"Paris. {LONG}"),
        "v/b": Say("Rome \x1b[31mred\x1b[0m"),
        "v/c": Fail(503, {"message": "overloaded"}),
    }
    server.models["v/judge"] = verdict(letter_of("Paris"))

    async def collect() -> list[Event]:
        return [event async for event in stream("hi", POOL)]

    return asyncio.run(collect())


def replayed(messages: list[dict]) -> list[dict]:
    """What a browser has after these messages: the store of static/store.js, in Python."""
    texts: list[dict] = []
    for number, message in enumerate(messages, 1):
        assert message["number"] == number
        for i, _count, new, *block in message.get("texts", ()):
            while len(texts) <= i:
                texts.append({"text": "", "html": "", "tail": ""})
            if i in message.get("reset", ()):
                texts[i] = {"text": "", "html": "", "tail": ""}
            texts[i]["text"] += new
            if block:
                texts[i]["html"] += block[0]
                texts[i]["tail"] = block[1]
            else:
                texts[i]["tail"] += new
    return texts


def test_changes_add_up_to_the_snapshot_however_often_they_are_asked_for(
    server: LookAlike,
) -> None:
    run = watched(server)
    for step in (1, 3, 1000):
        feed, messages = Feed(), []
        for i, event in enumerate(run):
            feed.take(event)
            if i % step == 0 and (changes := feed.changes()):
                messages.append(changes)
        if changes := feed.changes():
            messages.append(changes)
        assert feed.changes() is None
        json.dumps(messages)
        snapshot = feed.snapshot()
        kept = [
            {"text": text, "html": html, "tail": tail}
            for _, _, text, html, tail in snapshot["texts"][:3]
        ]
        assert replayed(messages)[:3] == kept
        assert [text["tail"] for text in kept] == ["", "", ""]
        assert kept[0]["text"] == kept[1]["text"] == f"Paris. {LONG}"
        assert kept[2]["text"] == "Rome red"
        assert "<math" in kept[0]["html"]
        assert snapshot["result"]["best"] == ["a"]
        states = [member["state"] for member in snapshot["members"]]
        assert states == ["complete", "complete", "failed"]
        assert snapshot["result"]["retry"] == ["c"]


def test_a_result_alone_gives_the_same_view_as_its_run(server: LookAlike) -> None:
    run = watched(server)
    lived, read = Feed(), Feed()
    for event in run:
        lived.take(event)
    lived.changes()
    read.finish(run[-1].result)
    read.changes()
    before, after = lived.snapshot(), read.snapshot()
    for part in ("texts", "result", "work", "status"):
        assert before[part] == after[part]


def test_a_text_without_end_is_shown_in_part_and_costs_little() -> None:
    feed = Feed()
    plan = events.RunPlanned(
        prompt="hi",
        pool="",
        members=("a",),
        specs=("x:a",),
        judge=None,
        mode="best-of",
        price=Price(None, None),
    )
    feed.take(plan)
    for _ in range(500):
        feed.take(events.MemberDelta(member="a", text="x" * 10_000))
    message = feed.changes()
    ((_, count, text),) = message["texts"]
    assert (count, len(text)) == (5_000_000, MOST_SHOWN)
    assert message["cut"] == [0, 5_000_000]


def test_a_terminal_escape_that_comes_in_pieces_is_taken_out_too() -> None:
    stream = Stream()
    seen = ""
    for piece in ("red: ", "\x1b[3", "1mrose", "\x1b]0;ti", "tle\x07 and \x1b", "[0m white"):
        stream.feed(piece)
        seen += stream.changes()[0]
    stream.end()
    seen += stream.changes()[0]
    assert seen == stream.text == "red: rose and  white"


def test_formulas_without_end_are_drawn_in_part(server: LookAlike) -> None:
    stream = Stream()
    stream.feed("$x^2$ " * 8000)
    stream.end()
    _, html, _ = stream.changes()
    assert html.count("<math") == 200
    assert html.count("$x^2$") == 7800


def test_prices_count_up_while_a_member_writes() -> None:
    from decimal import Decimal

    feed = Feed()
    price = events.TokenPrice(Decimal("0.001"), Decimal("0.01"))
    feed.take(
        events.RunPlanned(
            prompt="four",
            pool="",
            members=("a", "b"),
            specs=("x:a", "x:b"),
            judge=None,
            mode="best-of",
            price=Price(None, None),
            prices=(price, None),
        )
    )
    feed.take(events.MemberDelta(member="a", text="x" * 40))
    a, b = feed.board.members
    assert a.cost == Decimal("0.101")  # one token read, ten written
    assert b.cost is None
    assert feed.board.cost is None
