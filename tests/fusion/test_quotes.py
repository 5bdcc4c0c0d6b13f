"""A quote counts only where the member's answer holds it."""

from __future__ import annotations

import asyncio
import json

import pytest
from lookalike import LookAlike, Say, letter_of, verdict, wanted

from nbfuse import Pool, fuse
from nbfuse.fusion.quotes import find_quote

TEXT = "## Paris\n\nThe capital is **Paris**, said\nthe mayor’s office.\n"


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("the capital", "The capital"),  # as it stands in the text
        ("said the mayor's office", "said\nthe mayor’s office"),  # another line break and sign
        ("“The capital is Paris, …”", "The capital is Paris,"),  # as the judge saw it: undressed
        ("capital is **Paris**", "capital is **Paris**"),
        ("The capital is Lyon", ""),
        ("capitals", ""),
        ("  ", ""),
        (".*", ""),
    ],
)
def test_the_words_of_the_text_come_back_or_nothing(quote: str, found: str) -> None:
    assert find_quote(quote, TEXT) == found


def test_an_analysis_keeps_the_quotes_that_are_in_the_answers(server: LookAlike) -> None:
    said = {"v/a": "It is Paris.", "v/b": "It is Rome, on the Tiber."}
    server.models |= {model: Say(text) for model, text in said.items()}

    def judge(body: dict) -> Say:
        if wanted(body) == "verdict":
            return verdict(letter_of("of course"))(body)
        if wanted(body) == "writing":
            return Say("Paris, of course.")
        asked = body["messages"][-1]["content"]
        a, b = ("A", "B") if asked.index("Paris") < asked.index("Tiber") else ("B", "A")
        stances = [
            {"model": a, "stance": "Paris", "quote": "it is paris"},
            {"model": b, "stance": "Rome", "quote": "It is Rome, on the Seine"},  # made up
        ]
        insight = {"model": b, "insight": "the river", "quote": "on the Tiber"}
        reply = {
            "consensus": [{"point": "a city", "quotes": [{"model": b, "quote": "It is"}]}],
            "contradictions": [{"topic": "which", "stances": stances}],
            "partial_coverage": [],
            "unique_insights": [insight],
            "blind_spots": ["since when"],
        }
        return Say(json.dumps(reply))

    server.models["v/judge"] = judge
    pool = Pool(members=[f"openrouter:{m}" for m in said], judge="openrouter:v/judge", mode="merge")
    result = asyncio.run(fuse("Which is the capital of France?", pool))
    analysis = result.analysis
    assert analysis.consensus == ("a city",)
    assert [(q.of, q.item, q.member, q.text) for q in analysis.quotes] == [
        ("consensus", 0, "b", "It is"),
        ("contradictions", 0, "a", "It is Paris"),
        ("unique_insights", 0, "b", "on the Tiber"),
    ]
    assert analysis.unfound == 1
    assert [call.task for call in result.judging] == [
        *("analysis", "writing", "gate", "gate, other order")
    ]
    first, second, *_ = result.judging
    assert 0 < result["a"].begun_s < first.begun_s < second.begun_s < result.seconds
