"""The page of a comparison as a file: wide, narrow, dark, printed, by keyboard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import lab
import lookalike
import panels
import pytest
import reviewing
import shell

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

A, B = "openrouter:v/a-model-with-a-long-name-2026-11", "openrouter:v/b"
JUDGE = "openrouter:v/judge"


@pytest.fixture
def page(
    browser: Browser,
    models: dict,
    running: lookalike.LookAlike,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Page]:
    """The file, opened without a network."""
    models |= {
        A.removeprefix("openrouter:"): panels.member(range(10)),
        "v/b": panels.member([], words="After some thought, and not sure at all, I say that it is"),
        "v/judge": reviewing.reviewer(),
    }
    monkeypatch.setenv("OPENROUTER_BASE_URL", running.base_url)
    monkeypatch.setenv("OPENROUTER_API_KEY", lookalike.KEY)
    lines = (json.dumps(row) for row in panels.table(10))
    Path("sums.jsonl").write_text("\n".join(lines))
    # by itself: while playwright runs, this process can have no event loop
    done = shell.nbfuse("compare", A, B, "--on", "sums.jsonl", "-j", JUDGE, "-o", "page.html")
    assert done.returncode == 0, done.stderr
    opened = browser.new_page()
    opened.context.set_offline(True)
    opened.goto(Path("page.html").absolute().as_uri())
    yield opened
    opened.context.close()


def test_it_is_readable_everywhere(page: Page) -> None:
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in (1200, 360):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert lab.axe(page, "main") == []
        page.locator("details").first.locator("summary").click()
        assert lab.axe(page, "main") == []


def test_by_keyboard_every_answer_can_be_opened(page: Page) -> None:
    last = page.locator("details").last
    for _ in range(60):
        page.keyboard.press("Tab")
        if last.evaluate("el => el.contains(document.activeElement)"):
            break
    page.keyboard.press("Enter")
    assert last.get_by_text("After some thought").is_visible()


def test_what_is_closed_is_printed_too(page: Page) -> None:
    assert not page.get_by_text("After some thought").first.is_visible()
    assert len(page.pdf()) > 10_000
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.get_by_text("After some thought").first.is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0
