"""The page: its order, its forms, and that nothing in it can act."""

from __future__ import annotations

import asyncio
import re
from html.parser import HTMLParser

import panels
import pytest
import reviewing
from lookalike import LookAlike, Say

import nbfuse
from nbfuse import Comparison
from nbfuse.comparison.marked import MOST_WORDS, marked
from nbfuse.comparison.marks import keep
from nbfuse.comparison.voting import Blind, preferred, verdict
from nbfuse.ledger.ballots import Ballots

A, B, JUDGE = "openrouter:v/a", "openrouter:v/b", "openrouter:v/judge"
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)> [x](javascript:alert(3)) $$\\evil$$"
)


class Tags(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag == name]


@pytest.fixture
def found(server: LookAlike) -> Comparison:
    """A comparison in which everything is hostile that a stranger has written."""
    wrong = panels.member([])
    server.models |= {
        "v/a": panels.member(range(24)),
        "v/b": lambda body: Say(f"{wrong(body).text} {HOSTILE}"),
        "v/judge": reviewing.reviewer(why=f"{HOSTILE} of contender {{letter}}"),
    }
    questions = [
        {**row, "question": f"{row['question']} {HOSTILE}", "id": f"q{i}{HOSTILE}"}
        for i, row in enumerate(panels.table(24))
    ]
    ballots = Ballots()
    ballots.cast(verdict(ballots.voter(), "ship", A, ()))
    pair = Blind(HOSTILE, (A, "yes"), (B, "no"))
    ballots.cast(preferred(ballots.voter(), pair, "A"))

    def grade(text: str, row: dict[str, object]) -> bool:
        return text.endswith(f" {row['reference']}")

    asked = nbfuse.compare(A, B, questions=questions, grade=grade, judge=JUDGE, progress=False)
    return asyncio.run(asked)


def test_its_parts_stand_in_their_order(found: Comparison) -> None:
    page = found._repr_html_()
    places = [
        page.index(part)
        for part in (
            f"<strong>{A}</strong>: one model, asked as it is. licence not known.",
            "100% ship (5 of 5)",
            "Ship openrouter:v/a.",
            "<h4>Decision</h4>",
            "Ship · 5 ship / 0 skip",
            "1 ship / 0 skip; rating 1 vote, too few",
            "<h4>Reviewers</h4>",
            "Mean ± spread",
            "<h4>Evidence</h4>",
            "100.0% (86% to 100%, of 24)",
            "<h4>Votes</h4>",
            f"{A}: 1 ship, 0 skip; rating by blind pairs: 1 vote, too few.",
            "<h4>Bookmarks</h4>",
            "%fuse bookmarks save NAME keeps",
        )
    ]
    assert places == sorted(places)


def test_all_forms_say_the_same(found: Comparison) -> None:
    for form in (str(found), found._repr_markdown_(), found._repr_html_()):
        assert "Ship · 5 ship / 0 skip" in form
        assert "of 100 points" in form
        assert "0 of 24" in form


@pytest.mark.parametrize("whole", [False, True])
def test_nothing_in_it_can_act(found: Comparison, whole: bool, tmp_path: object) -> None:
    page = found.save(f"{tmp_path}/page.html").read_text() if whole else found._repr_html_()
    tags = Tags(page)
    scripts = tags.named("script")
    assert len(scripts) == whole  # the file's own, which opens what is printed
    assert all(not attributes for attributes in scripts)
    assert {one["src"][:26] for one in tags.named("img")} == {"data:image/svg+xml;base64,"}
    for tag, attributes in tags.found:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert tag not in ("iframe", "object", "link", "base", "form", "a")
    assert "javascript:alert" in page  # as text
    assert "<script>alert" not in page
    assert re.search(r"\$\$", page) is None  # a notebook would typeset it
    assert ("default-src 'none'" in page) is whole
    markdown = found._repr_markdown_()
    assert "<script>alert" not in markdown.replace("\\<script>", "")


def test_a_notebook_shows_the_worst_and_the_file_all(found: Comparison, tmp_path: object) -> None:
    short = found._repr_html_()
    assert short.count("Reference: ") == 20
    assert "4 more: comparison.save" in short
    whole = found.save(f"{tmp_path}/page.html").read_text()
    assert whole.count("Reference: ") == 24
    assert "<h1>Which one should you ship with?</h1>" in whole


def test_every_table_has_heads_and_every_picture_words(found: Comparison) -> None:
    tags = Tags(found._repr_html_())
    assert {one["scope"] for one in tags.named("th")} == {"row", "col"}
    (picture,) = tags.named("img")
    assert picture["alt"].startswith("Scores of 100 by reviewer. openrouter:v/a: Builder 100,")
    regions = [one for one in tags.named("div") if one.get("role") == "region"]
    assert all(one["tabindex"] == "0" and one["aria-label"] for one in regions)


def test_a_bookmark_of_it_is_named(found: Comparison) -> None:
    keep("sums", ("maths",), found)
    assert re.search(r"sums \(\d{4}-\d\d-\d\d\): maths", found._repr_html_())


def test_words_that_the_first_lacks_are_marked() -> None:
    assert marked("a b c", "a b c") == "a b c"
    assert marked("a x y c", "a b c") == "a <mark>x y</mark> c"
    assert marked("a\n x", "a") == "a\n <mark>x</mark>"
    assert marked("x a", "a") == "<mark>x</mark> a"
    assert marked("<b> $x", "a") == "<mark>&lt;b&gt; <span>$</span>x</mark>"
    assert marked("a b", None) == "a b"
    long = "word " * (MOST_WORDS + 1)
    assert "<mark>" not in marked(f"new {long}", long)
