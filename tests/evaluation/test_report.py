"""The report as a notebook, a terminal and GitHub show it."""

from __future__ import annotations

import asyncio
import base64
import re
import sys
from html.parser import HTMLParser

import panels
import pytest
from lookalike import LookAlike, Say

import nbfuse
from nbfuse import Evaluation

HOSTILE = (
    "<script>alert(1)</script><img src=http://x.test/a.png onerror=alert(2)> $x$ | `y` \x1b[31m"
)


def evaluation(server: LookAlike, hostile: bool = False) -> Evaluation:
    pool, rows = panels.three(server, 10, lambda _: "A"), panels.table(10)
    if hostile:
        for row in rows:
            row["question"] = f"{row['question']} {HOSTILE}"
        for name in "abc":
            usual = server.models[f"v/{name}"]
            server.models[f"v/{name}"] = lambda body, usual=usual: Say(
                f"{HOSTILE} {usual(body).text}"
            )
        rows[0]["id"] = HOSTILE
    return asyncio.run(nbfuse.evaluate(rows, pool, progress=False))


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def tags(html: str) -> list[tuple[str, dict[str, str | None]]]:
    reader = Tags()
    reader.feed(html)
    return reader.seen


def test_the_notebooks_report_has_everything(server: LookAlike) -> None:
    found = evaluation(server)
    html = found._repr_html_()
    assert found.sentence in html
    assert "self-panel" in html
    (picture,) = [attrs for tag, attrs in tags(html) if tag == "img"]
    data = base64.b64decode(picture["src"].removeprefix("data:image/png;base64,"))
    assert data.startswith(b"\x89PNG")
    assert re.search(r"fused \d+\.\d % at", picture["alt"])
    assert f"{len(found.pools[0].mended)} questions turned from wrong to right" in html
    assert all(attrs["scope"] == "col" for tag, attrs in tags(html) if tag == "th")


def test_questions_are_called_by_their_ids_and_by_no_hash(server: LookAlike) -> None:
    named = evaluation(server)
    changed = (*named.pools[0].broken, *named.pools[0].mended)
    assert changed
    assert all(f"<li>{name}: Sum " in named._repr_html_() for name in changed)
    rows = [{k: v for k, v in row.items() if k != "id"} for row in panels.table(10)]
    nameless = asyncio.run(
        nbfuse.evaluate(rows, panels.three(server, 10, lambda _: "A"), progress=False)
    )
    changed = (*nameless.pools[0].broken, *nameless.pools[0].mended)
    html = nameless._repr_html_()
    assert "<li>Sum " in html
    assert not any(name in html for name in changed)


def test_hostile_text_is_only_read(server: LookAlike) -> None:
    found = evaluation(server, hostile=True)
    assert found.pools[0].broken or found.pools[0].mended
    html = found._repr_html_()
    allowed = {"div", "p", "strong", "small", "table", "thead", "tbody", "tr", "th", "td"}
    allowed |= {"ul", "li", "details", "summary", "img", "span"}
    assert {tag for tag, _ in tags(html)} <= allowed
    assert "alert(1)" in html  # it is there, as text
    images = [attrs for tag, attrs in tags(html) if tag == "img"]
    assert all(attrs["src"].startswith("data:image/png;base64,") for attrs in images)
    assert not any(name.startswith("on") for _, attrs in tags(html) for name in attrs)
    assert "$x$" not in html
    for text in (html, found._repr_markdown_(), str(found)):
        assert "\x1b" not in text


def test_markdown_and_text_say_the_same(server: LookAlike) -> None:
    found = evaluation(server)
    assert found._repr_markdown_().startswith(f"**{found.sentence}.**")
    assert str(found).endswith(f"\n{found.sentence}.")
    for _, arm in found.summary:
        assert arm.arm in str(found)
        assert f"| {arm.arm} | {100 * arm.accuracy:.1f} % |" in found._repr_markdown_()
    assert repr(found) == f"<Evaluation of 10 questions: {found.sentence}>"


def test_without_matplotlib_the_rest_is_there(
    server: LookAlike, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = evaluation(server)
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    html = found._repr_html_()
    assert "<img" not in html
    assert "pip install" in html
    assert found.sentence in html


def test_names_of_models_draw_no_formula(server: LookAlike) -> None:
    server.models |= {f"v/{name}": server_said for name, server_said in (
        ("$\\frac", panels.member(range(5))), ("b", panels.member(()))
    )}  # fmt: skip
    server.models["v/judge"] = panels.judge(panels.knowing)
    pool = panels.pool("$\\frac", "b")
    found = asyncio.run(nbfuse.evaluate(panels.table(5), pool, progress=False))
    assert "data:image/png" in found._repr_html_()
