"""The pool widget in a real browser, from an empty hand to a saved pool that a cell asks."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import lab
import pytest
from lab import expect
from lookalike import Fail, Say, letter_of, verdict

if TYPE_CHECKING:
    from playwright.sync_api import Locator

Opened = Callable[..., lab.Notebook]

pytestmark = pytest.mark.timeout(120)  # a page and a kernel take ten seconds on a slow machine

POOL = 'nbfuse.Pool(name="mine", members=["openrouter:v/north", "local:tiny-calc"])'
WIDGET = f"import nbfuse\nw = nbfuse.PoolWidget({POOL})\nw"


def found(view: Locator) -> Locator:
    return view.get_by_role("listbox", name="Models").get_by_role("option")


def members(view: Locator) -> list[str]:
    return view.locator(".nbf-members .nbf-member").all_inner_texts()


def test_a_pool_is_put_together_by_keyboard_and_mouse(
    opened: Opened, models: dict, home: Path
) -> None:
    notebook = opened(
        WIDGET, "print(w.pool.members, w.pool.mode, w.pool.quorum)", "%%fuse -p mine\nhi"
    )
    notebook.run(1)
    view, keys = notebook.view(1), notebook.page.keyboard
    assert members(view) == ["openrouter:v/north", "local:tiny-calc"]
    search = view.get_by_role("combobox", name="Add a model")
    search.fill("<5 cloud")
    expect(found(view)).to_have_count(1)
    expect(found(view)).to_contain_text("32k context · $1 / $2 a million · cloud")
    keys.press("ArrowDown")
    keys.press("Enter")
    expect(view.locator(".nbf-members li")).to_have_count(3)
    search.fill("zdr cloud")
    expect(found(view)).to_have_text([re.compile("openrouter:v/north")])
    search.fill(">100k judge")
    expect(found(view)).to_have_text([re.compile("openrouter:v/judge")])
    keys.press("Escape")
    view.get_by_role("button", name="Move up openrouter:v/south").focus()
    keys.press("Enter")
    expect(view.get_by_role("button", name="Move up openrouter:v/south")).to_be_focused()
    keys.press("Enter")  # the focus has gone with it
    assert members(view) == ["openrouter:v/south", "openrouter:v/north", "local:tiny-calc"]
    view.locator(".nbf-members li").nth(2).drag_to(view.locator(".nbf-members li").nth(0))
    expect(view.locator(".nbf-members .nbf-member").nth(0)).to_have_text("local:tiny-calc")
    view.get_by_role("button", name="Remove local:tiny-calc").click()
    expect(view.locator(".nbf-members li")).to_have_count(2)
    view.get_by_label("Mode", exact=True).select_option("best-of")
    view.get_by_label("Judge", exact=True).fill("openrouter:v/judge")
    view.get_by_label("Quorum").fill("2")
    keys.press("Tab")
    expect(view.locator(".nbf-estimate")).to_contain_text(re.compile(r"costs \$0\.\d+ to \$0\.\d+"))
    notebook.page.wait_for_timeout(500)  # a click and a cell reach the kernel on two ways
    wanted = "('openrouter:v/south', 'openrouter:v/north') best-of 2"
    expect(notebook.run(2)).to_contain_text(wanted)
    view.get_by_role("button", name="Save").click()
    expect(view.get_by_role("status").first).to_contain_text("Saved as mine in")
    assert '"openrouter:v/south"' in (home / "root" / "nbfuse.toml").read_text()
    view.get_by_role("button", name="Copy as a %%fuse line").click()
    assert notebook.page.evaluate("navigator.clipboard.readText()") == "%%fuse --pool mine"
    view.get_by_role("button", name="Copy as Python").click()
    assert "judge='openrouter:v/judge'" in notebook.page.evaluate("navigator.clipboard.readText()")
    models |= {
        "v/north": Say("Paris"),
        "v/south": Say("Rome"),
        "v/judge": verdict(letter_of("Rome")),
    }
    notebook.run(3)
    expect(notebook.view(3).get_by_role("region", name="Fused answer")).to_have_text("Rome")
    (home / "root" / "nbfuse.toml").unlink()


def test_it_is_bound_to_its_pool_both_ways(opened: Opened, models: dict) -> None:
    notebook = opened(
        WIDGET,
        "seen = []\nw.observe(lambda change: seen.append(change['new'].temperature), 'pool')",
        'w.pool = nbfuse.Pool(name="other", members=["local:tiny-atlas"], temperature=0.5)',
        "print(seen, w.pool.system)",
    )
    notebook.run(1)
    view = notebook.view(1)
    notebook.run(2)
    notebook.run(3)
    expect(view.get_by_label("Temperature")).to_have_value("0.5")
    assert members(view) == ["local:tiny-atlas"]
    view.get_by_label("Temperature").fill("0,7")
    view.get_by_label("System prompt").fill("Be brief.")
    view.get_by_label("Judge", exact=True).focus()
    notebook.page.wait_for_timeout(500)  # a click and a cell reach the kernel on two ways
    expect(notebook.run(4)).to_contain_text("[0.5, 0.7, 0.7] Be brief.")
    (output,) = notebook.save()[1].outputs
    assert "local:tiny-atlas" in output["data"]["text/html"]  # the saved form is that of now
    assert set(output["data"]) == {"text/html", "text/plain"}


def test_a_change_in_python_breaks_off_no_word_and_no_click(opened: Opened, models: dict) -> None:
    later = (
        "import msgspec, threading\n"
        "def named(name): w.pool = msgspec.structs.replace(w.pool, name=name)\n"
        "threading.Timer(1, named, ['other']).start()\n"
        "threading.Timer(3, named, ['third']).start()"
    )
    notebook = opened(WIDGET, later)
    notebook.run(1)
    view, page = notebook.view(1), notebook.page
    prompt = view.get_by_label("System prompt")
    notebook.run(2)
    prompt.press_sequentially("Be ")
    expect(view.get_by_label("Pool", exact=True)).to_have_value("other")
    page.wait_for_timeout(300)  # the saved form has followed
    page.keyboard.type("brief.")
    expect(prompt).to_have_value("Be brief.")
    view.get_by_role("button", name="Move down openrouter:v/north").hover()
    page.mouse.down()
    expect(view.get_by_label("Pool", exact=True)).to_have_value("third")
    page.wait_for_timeout(300)
    page.mouse.up()
    assert members(view) == ["local:tiny-calc", "openrouter:v/north"]


def test_what_secures_a_fusion_can_be_chosen_too(opened: Opened, models: dict) -> None:
    notebook = opened(
        WIDGET,
        "p = w.pool\nprint(p.second_judge, p.answer, p.check, p.run)",
        "print(p.mode, p.local_first, p.embedding)",
    )
    notebook.run(1)
    view = notebook.view(1)
    view.get_by_label("Judge", exact=True).fill("openrouter:v/judge")
    view.get_by_label("Second judge").fill("openrouter:v/north")
    view.get_by_label("Embedding model").fill("local:ministral-3b")
    view.get_by_label("Compare answers as").select_option("code")
    view.get_by_label("judge even an answer").check()
    view.get_by_label("run Python code").check()
    expect(view.get_by_label("local members are asked first")).to_be_disabled()
    view.get_by_label("Mode", exact=True).select_option("auto")
    view.get_by_label("local members are asked first").check()
    notebook.page.wait_for_timeout(500)
    expect(notebook.run(2)).to_contain_text("openrouter:v/north code True True")
    expect(notebook.run(3)).to_contain_text("auto True local:ministral-3b")


def test_what_can_not_be_a_pool_is_said_and_changes_nothing(opened: Opened, models: dict) -> None:
    notebook = opened(WIDGET, "print(w.pool.quorum, w.pool.budget)")
    notebook.run(1)
    view = notebook.view(1)
    view.get_by_label("Quorum").fill("7")
    view.get_by_label("Judge", exact=True).focus()
    expect(view.get_by_role("status").first).to_contain_text(
        "asks for a quorum of 7, but has 2 members"
    )
    expect(notebook.run(2)).to_contain_text("None None")
    view.get_by_label("Quorum").fill("")
    view.get_by_label("Budget").fill("much")
    view.get_by_label("Judge", exact=True).focus()
    expect(view.get_by_role("status").first).to_contain_text("budget can't be 'much'")
    view.get_by_label("Budget").fill("0.01")
    view.get_by_label("Judge", exact=True).focus()
    expect(view.get_by_role("status").first).to_have_text("")
    expect(notebook.run(2)).to_contain_text("None 0.01")


def test_what_is_wrong_is_not_saved_and_a_pool_is_loaded_over_it(
    opened: Opened, models: dict, home: Path
) -> None:
    notebook = opened(WIDGET)
    notebook.run(1)
    view = notebook.view(1)
    view.get_by_label("Longest answer").fill("4,096")
    view.get_by_label("Temperature").fill("hot")
    view.get_by_label("Judge", exact=True).focus()
    expect(view.get_by_role("status").first).to_contain_text("temperature")
    view.get_by_role("button", name="Save").click()
    expect(view.get_by_role("status").first).to_contain_text("temperature")
    assert not (home / "root" / "nbfuse.toml").exists()
    view.get_by_label("Temperature").fill("0.2")
    view.get_by_label("Judge", exact=True).focus()
    expect(view.get_by_role("status").first).to_have_text("")
    view.get_by_label("Temperature").fill("hot")
    view.get_by_label("Judge", exact=True).focus()
    view.get_by_label("Load a pool").select_option("tiny")
    expect(view.get_by_role("status").first).to_have_text("Loaded tiny")
    expect(view.get_by_label("Temperature")).to_have_value("")
    view.get_by_label("Judge", exact=True).focus()
    notebook.page.keyboard.press("Tab")  # on from a field to the next, and not out of the view
    assert view.evaluate("el => el.contains(document.activeElement)")


def test_warnings_come_while_one_chooses(opened: Opened, models: dict) -> None:
    notebook = opened(WIDGET)
    notebook.run(1)
    view = notebook.view(1)
    warnings = view.get_by_role("list", name="Warnings")
    view.get_by_label("Judge", exact=True).fill("openrouter:v/north")
    view.get_by_label("Mode", exact=True).focus()
    expect(warnings).to_contain_text("north judges a pool that it is a member of")
    view.get_by_label("nothing leaves this machine").check()
    expect(warnings).to_contain_text("would leave this machine")


def test_each_member_is_tested_with_one_question(opened: Opened, models: dict) -> None:
    models["v/north"] = Say("Because blue light is scattered more than red. " * 3, gap_s=0.01)
    models["v/south"] = Fail(503, {"message": "overloaded"})
    notebook = opened(WIDGET.replace('"local:tiny-calc"', '"openrouter:v/south"'))
    notebook.run(1)
    view = notebook.view(1)
    view.get_by_role("button", name="Test").click()
    expect(view.get_by_role("status").first).to_contain_text("1 of 2 did not answer")
    rows = view.locator(".nbf-members li")
    expect(rows.nth(0)).to_contain_text(re.compile(r"answered in .* s, \d+ tokens/s"))
    expect(rows.nth(1)).to_contain_text("overloaded")


def test_fuse_pool_opens_it_and_a_pool_is_loaded(opened: Opened, models: dict) -> None:
    notebook = opened("%fuse pool tiny")
    notebook.run(1)
    view = notebook.view(1)
    assert len(members(view)) == 3
    view.get_by_label("Load a pool").select_option("cloud")
    expect(view.locator(".nbf-members .nbf-member").nth(0)).to_contain_text("claude-opus-latest")
    expect(view.get_by_label("Pool", exact=True)).to_have_value("cloud")


def test_axe_finds_nothing_serious_in_it_at_any_width(opened: Opened, models: dict) -> None:
    notebook = opened(WIDGET)
    notebook.run(1)
    view = notebook.view(1)
    for width in (380, 1200):
        notebook.page.set_viewport_size({"width": width, "height": 1000})
        view.get_by_role("combobox", name="Add a model").fill("v/")
        found(view).first.wait_for()
        assert lab.axe(notebook.page, ".nbf-pool") == []
        view.get_by_role("combobox", name="Add a model").fill("zzz")
        notebook.page.keyboard.press("ArrowDown")
        notebook.page.keyboard.press("Enter")  # adds nothing
        assert lab.axe(notebook.page, ".nbf-pool") == []
        assert len(members(view)) == 2
        assert view.evaluate("el => el.scrollWidth - el.clientWidth") <= 0
