"""The live view in a real JupyterLab and a real browser: what one sees, touches and saves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import lab
import pytest
from lab import expect
from lookalike import Fail, LookAlike, Say, letter_of, verdict

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Locator

Opened = Callable[..., lab.Notebook]

pytestmark = pytest.mark.timeout(120)  # a page and a kernel take ten seconds on a slow machine

ASK = "%%fuse -m openrouter:v/a,openrouter:v/b,openrouter:v/c -j openrouter:v/judge --quorum 3"
CITY = f"{ASK} -o r\nWhich is the capital of France?"
LONG = "\n\n".join(f"Paragraph {i} of it, with some words to fill a line." for i in range(60))
CODE = "Compute it:\n\n```python\nprint(6 * 7)\n```\n\nIt is $x^2$, and **bold**.\n\nThe end."


def say(models: dict[str, object], **answers: object) -> None:
    """Have the members say this, and the judge find the one with "Paris" the best."""
    for name, answer in answers.items():
        models[f"v/{name}"] = Say(answer) if isinstance(answer, str) else answer
    models["v/judge"] = verdict(letter_of("Paris"))


def tab(view: Locator, name: str) -> Locator:
    return view.get_by_role("tab", name=re.compile(rf"\b{re.escape(name)}\b"))


def panel(view: Locator) -> Locator:
    return view.locator("[role=tabpanel]:not([hidden])")


# --- while it runs ----------------------------------------------------------------------------


def test_answers_are_seen_while_they_are_written(opened: Opened, models: dict) -> None:
    say(models, a="It is Paris.", b=Say(LONG, gap_s=0.01), c=Say("Lyon", first_s=5))
    notebook = opened(CITY)
    notebook.run(1, wait=False)
    view = notebook.view(1)
    expect(tab(view, "a")).to_contain_text("✓", timeout=20_000)
    expect(tab(view, "c")).to_contain_text("waiting")
    tab(view, "b").click()
    expect(panel(view)).to_contain_text("Paragraph 1 of it")
    expect(panel(view)).to_contain_text(re.compile(r"≈ \d+ tokens/s"))
    expect(view.get_by_role("status")).to_have_text("1 of 3 answered")
    notebook.ended(1)
    expect(view.get_by_role("status")).to_have_text("Done")
    expect(view.get_by_role("region", name="Fused answer")).to_have_text("It is Paris.")
    expect(tab(view, "a")).to_contain_text("★")
    assert tab(view, "b").get_attribute("aria-selected") == "true"  # the tab that one reads stays
    assert notebook.errors == []


def test_finished_blocks_are_drawn_and_code_is_copied_with_one_click(
    opened: Opened, models: dict
) -> None:
    say(models, a=f"Paris. {CODE}", b="Rome", c="Lyon")
    notebook = opened(CITY)
    notebook.run(1)
    answer = panel(notebook.view(1))
    expect(answer.locator("strong")).to_have_text("bold")
    expect(answer.locator("math msup")).to_have_count(1)
    expect(answer.locator("pre .f, pre .m").first).to_be_visible()
    answer.locator(".nbf-copy").click()
    expect(answer.locator(".nbf-copy")).to_have_text("Copied")
    assert notebook.page.evaluate("navigator.clipboard.readText()") == "print(6 * 7)\n"


def test_who_reads_further_up_is_left_there(opened: Opened, models: dict) -> None:
    say(models, a=Say(LONG, gap_s=0.01), b=f"Paris.\n\n{LONG}", c="Lyon")
    notebook = opened(CITY)
    notebook.run(1, wait=False)
    view = notebook.view(1)
    body = panel(view).locator(".nbf-body")
    expect(body).to_contain_text("Paragraph 20 of it", timeout=20_000)
    following = body.evaluate("el => el.scrollHeight - el.scrollTop - el.clientHeight")
    assert following < 30  # who reads along is taken along
    body.evaluate("el => el.scrollTo(0, 40)")
    top = body.locator(".nbf-block").first.bounding_box()
    expect(body).to_contain_text("Paragraph 50 of it", timeout=20_000)
    assert body.locator(".nbf-block").first.bounding_box() == top
    body.hover()
    notebook.ended(1)
    expect(view.get_by_role("status")).to_have_text("Done")
    after = body.locator(".nbf-block").first.bounding_box()
    assert abs(after["y"] - top["y"]) < 2  # the fused answer has taken its room, and nothing moved
    assert body.evaluate("el => el.scrollTop") == 40


def test_tabs_work_by_keyboard(opened: Opened, models: dict) -> None:
    say(models, a="Paris", b="Rome", c="Lyon")
    notebook = opened(CITY)
    notebook.run(1)
    view, keys = notebook.view(1), notebook.page.keyboard
    tab(view, "a").focus()
    for key, chosen in (("ArrowRight", "b"), ("End", "Compare"), ("ArrowRight", "a"),
                        ("ArrowLeft", "Compare"), ("Home", "a")):  # fmt: skip
        keys.press(key)
        expect(tab(view, chosen)).to_be_focused()
        expect(tab(view, chosen)).to_have_attribute("aria-selected", "true")
        assert view.locator("[role=tab][tabindex='0']").count() == 1
    keys.press("Tab")  # into the panel, past the other tabs
    assert panel(view).evaluate("el => el.contains(document.activeElement)")
    keys.press("x")  # JupyterLab's key for cutting a cell is not for it
    assert notebook.page.locator(".jp-CodeCell").count() == 2


# --- stopping ---------------------------------------------------------------------------------


def test_stop_ends_the_run_and_keeps_what_has_arrived(
    opened: Opened, models: dict, running: LookAlike
) -> None:
    say(models, a="Paris", b=Say(LONG, gap_s=0.05), c=Say("Lyon", first_s=60))
    notebook = opened(CITY, "print(r.status, r['b'].status, len(r['b'].text) > 20)")
    notebook.run(1, wait=False)
    view = notebook.view(1)
    tab(view, "b").click(timeout=20_000)
    expect(panel(view)).to_contain_text("Paragraph 1 of it", timeout=20_000)
    view.get_by_role("button", name="Stop", exact=True).click()
    notebook.ended(1)
    assert running.quiet()
    expect(view.get_by_role("status")).to_have_text("Stopped")
    expect(panel(view)).to_contain_text("Paragraph 1 of it")
    expect(notebook.output(1)).to_contain_text("2 answers kept, whole or in part")
    expect(notebook.run(2)).to_have_text("stopped stopped True")


def test_one_member_is_stopped_and_the_run_goes_on(opened: Opened, models: dict) -> None:
    say(models, a="Paris", b="Rome", c=Say("Lyon " * 500, gap_s=0.05))
    notebook = opened(CITY, "print(r.status, r['c'].status)")
    notebook.run(1, wait=False)
    view = notebook.view(1)
    tab(view, "c").click(timeout=20_000)
    panel(view).get_by_role("button", name="Stop this one").click()
    notebook.ended(1)
    expect(view.get_by_role("region", name="Fused answer")).to_have_text("Paris")
    expect(notebook.run(2)).to_have_text("complete stopped")


# --- what there is to read --------------------------------------------------------------------


def analyst(body: dict) -> Say:
    if "response_format" not in body:
        return Say("Paris, on the Seine.", gap_s=0.02)
    asked = body["messages"][-1]["content"]
    order = sorted(("Paris", "Rome", "Lyon"), key=asked.index)
    paris, rome, lyon = ("ABC"[order.index(city)] for city in ("Paris", "Rome", "Lyon"))
    stances = [
        {"model": paris, "stance": "it is Paris", "quote": "It is Paris"},
        {"model": rome, "stance": "it is Rome", "quote": "It is Rome"},
    ]
    partly = [{"model": lyon, "quote": "Not the largest"}]
    return Say(
        json.dumps(
            {
                "consensus": [{"point": "A city in Europe", "quotes": []}],
                "contradictions": [{"topic": "Which one", "stances": stances}],
                "partial_coverage": [{"models": [lyon], "point": "Its size", "quotes": partly}],
                "unique_insights": [],
                "blind_spots": ["Since when"],
            }
        )
    )


def test_the_analysis_leads_to_the_words_in_the_answers(opened: Opened, models: dict) -> None:
    say(
        models,
        a=f"It is **Paris**.\n\n{LONG}",
        b=f"{LONG}\n\nIt is\nRome.",
        c="Not the largest: Lyon",
    )
    models["v/judge"] = analyst
    notebook = opened(CITY.replace("-o r", "--mode merge"), CITY)
    notebook.run(1)
    notebook.run(2)
    view = notebook.view(1)
    tab(view, "Analysis").click()
    for heading in ("All say", "They differ", "Only some say", "Nobody covered"):
        expect(panel(view).get_by_role("heading", name=heading)).to_be_visible()
    panel(view).get_by_role("button", name="It is Rome").click()
    expect(tab(view, "b")).to_have_attribute("aria-selected", "true")
    marked = "() => [...CSS.highlights.get('nbfuse-quote')].map(String)"
    assert notebook.page.evaluate(marked) == ["It is\nRome"]
    seen = "() => [...CSS.highlights.get('nbfuse-quote')][0].getBoundingClientRect().top"
    box = panel(view).locator(".nbf-body").bounding_box()
    assert box["y"] <= notebook.page.evaluate(seen) <= box["y"] + box["height"]
    tab(notebook.view(2), "Times").click()
    assert notebook.page.evaluate(marked) == ["It is\nRome"]  # another view is no reason to forget
    tab(view, "a").click()
    assert notebook.page.evaluate("() => CSS.highlights.has('nbfuse-quote')") is False


def test_where_the_time_went_is_told_for_each_call(opened: Opened, models: dict) -> None:
    say(
        models,
        a="Paris",
        b=Say("Rome is it", first_s=0.5, gap_s=0.02),
        c=Fail(503, {"message": "overloaded"}),
    )
    notebook = opened(CITY)
    notebook.run(1)
    view = notebook.view(1)
    tab(view, "Times").click()
    table = panel(view).get_by_role("table")
    names = table.locator("tbody tr td:first-child").all_inner_texts()
    assert names == ["a", "b", "c", "judge", "judge"]  # in two orders
    bars = table.get_by_role("img").all()
    labels = [bar.get_attribute("aria-label") for bar in bars]
    assert re.fullmatch(r"asked at .*, first token at .*, complete at .*", labels[1])
    assert labels[2].startswith("asked at")
    assert "failed" in labels[2]
    assert labels[3].startswith("verdict from")
    waited = bars[1].locator(".nbf-bar-waiting").bounding_box()["width"]
    assert waited > 3 * bars[1].locator(".nbf-bar-member").bounding_box()["width"]
    expect(table).to_contain_text("overloaded")


def test_answers_are_compared_side_by_side(opened: Opened, models: dict) -> None:
    say(
        models,
        a="The capital is Paris, a large city on the Seine.",
        b="The capital is Rome, a large city on the Tiber.",
        c="The capital is Lyon, a large city on the Rhone.",
    )
    notebook = opened(CITY)
    notebook.run(1)
    view = notebook.view(1)
    tab(view, "Compare").click()
    expect(panel(view).locator("mark")).to_have_text(["Paris", "Seine", "Rome", "Tiber"])
    panel(view).get_by_role("button", name="c", exact=True).click()
    expect(panel(view).get_by_role("heading")).to_have_text(["a", "b", "c"])
    expect(panel(view).locator("mark")).to_have_text(
        ["Paris", "Seine", "Rome", "Tiber", "Lyon", "Rhone"]
    )


# --- after the run ----------------------------------------------------------------------------


def test_answers_are_judged_again_from_the_view(
    opened: Opened, models: dict, running: LookAlike
) -> None:
    say(models, a="Paris", b="Rome", c=Fail(503, {"message": "overloaded"}))
    models["v/other"] = verdict(letter_of("Lyon"))
    notebook = opened(CITY, "%fuse last")
    notebook.run(1)
    view = notebook.view(1)
    models["v/c"] = Say("Lyon")
    view.get_by_role("button", name="Judge again …").click()
    form = view.get_by_role("form", name="Judge again")
    form.get_by_label("Judge", exact=True).fill("openrouter:v/other")
    form.get_by_label("ask c again").check()
    form.get_by_role("button", name="Judge again").click()
    expect(view.get_by_role("region", name="Fused answer")).to_have_text("Lyon")
    expect(view.get_by_role("status")).to_contain_text("Judged again")
    assert len(running.asked("v/a")) == 1  # nobody was asked twice who had answered
    expect(notebook.run(2)).to_contain_text("Lyon")
    saved = notebook.save()[1].outputs
    assert "Lyon" in saved[0]["data"]["text/plain"].splitlines()[0]  # what one sees is what is kept


def test_a_judge_that_can_not_be_asked_changes_nothing(opened: Opened, models: dict) -> None:
    say(models, a="Paris", b="Rome", c="Lyon")
    notebook = opened(CITY)
    notebook.run(1)
    view = notebook.view(1)
    view.get_by_role("button", name="Judge again …").click()
    form = view.get_by_role("form", name="Judge again")
    form.get_by_label("Judge", exact=True).fill("local:nobody")
    form.get_by_role("button", name="Judge again").click()
    expect(view.get_by_role("status")).to_contain_text("nobody")
    expect(view.get_by_role("region", name="Fused answer")).to_have_text("Paris")


def test_a_further_judging_is_asked_for_and_paid_once(
    opened: Opened, models: dict, running: LookAlike
) -> None:
    say(models, a="Paris", b="Rome", c="Lyon")
    models["v/other"] = Say("{}", first_s=2)
    notebook = opened(CITY)
    notebook.run(1)
    view = notebook.view(1)
    tab(view, "Times").click()
    view.get_by_role("button", name="Judge again …").click()
    form = view.get_by_role("form", name="Judge again")
    form.get_by_label("Judge", exact=True).fill("openrouter:v/other")
    form.evaluate("form => { form.requestSubmit(); form.requestSubmit(); }")
    expect(view.get_by_role("status")).to_contain_text("other judges")
    assert tab(view, "Times").get_attribute("aria-selected") == "true"  # one stays where one was
    assert len(running.asked("v/other")) == 2  # in each order once
    view.get_by_role("button", name="Stop", exact=True).click()
    expect(view.get_by_role("status")).to_have_text("Stopped: the earlier verdict stands")
    expect(view.get_by_role("region", name="Fused answer")).to_have_text("Paris")


def test_an_answer_is_taken_and_voted_on(opened: Opened, models: dict) -> None:
    say(models, a="Paris", b="Rome", c="Lyon")
    notebook = opened(CITY, "%fuse history")
    notebook.run(1)
    view = notebook.view(1)
    view.get_by_role("button", name="This answer is bad").click()
    tab(view, "b").click()
    panel(view).get_by_role("button", name="b was best").click()
    expect(view.get_by_role("status")).to_have_text("Noted: b best.")
    expect(panel(view).get_by_role("button", name="b was best")).to_have_attribute(
        "aria-pressed", "true"
    )
    expect(notebook.run(2)).to_contain_text("down, best b")
    panel(view).get_by_role("button", name="Use this answer").click()
    expect(view.get_by_role("region", name="Fused answer")).to_have_text("Rome")


# --- what stays -------------------------------------------------------------------------------


def test_a_saved_notebook_is_static_and_reads_the_same_trusted_or_not(
    fresh: Opened, models: dict, context: BrowserContext, address: str
) -> None:
    say(models, a=f"Paris. {CODE}", b="Rome", c="Lyon")
    notebook = fresh(CITY)
    notebook.run(1)
    (output,) = notebook.save()[1].outputs
    assert set(output["data"]) == {"text/html", "text/markdown", "text/plain"}
    assert output["metadata"]["nbfuse"]["models"] == [f"openrouter:v/{n}" for n in "abc"]
    notebook.shut_down()
    notebook.page.close()
    path = notebook.path.with_name("reopened.ipynb")
    path.write_text(notebook.path.read_text())
    again = lab.Notebook(context.new_page(), address, path)
    for trusted in (False, True):
        if trusted:
            again.page.evaluate(
                "() => { for (const cell of window.jupyterapp.shell.currentWidget.content.widgets)"
                " cell.model.trusted = true; }"
            )
        output = again.output(1)
        expect(output.locator("details").first).to_contain_text("Paris.")
        expect(output.locator("details summary")).to_have_count(5)  # and how it was checked
        expect(output.locator(".nbf-view")).to_have_count(0)
        assert "Error displaying widget" not in output.inner_text()


def test_the_view_comes_back_when_the_page_is_loaded_again(fresh: Opened, models: dict) -> None:
    say(models, a="Paris", b="Rome", c="Lyon")
    notebook = fresh(CITY)
    notebook.run(1)
    notebook.save()
    notebook.page.reload()
    expect(notebook.view(1)).to_be_visible(timeout=30_000)
    view = notebook.view(1)
    expect(view.get_by_role("region", name="Fused answer")).to_have_text("Paris")
    tab(view, "b").click()
    expect(panel(view).locator(".nbf-body")).to_have_text("Rome")


def test_a_page_that_is_loaded_again_while_it_runs_says_what_the_file_lacks(
    fresh: Opened, models: dict
) -> None:
    say(models, a="Paris", b="Rome", c=Say("Lyon", first_s=9))
    notebook = fresh(CITY, "%fuse last")
    notebook.run(1, wait=False)
    expect(panel(notebook.view(1))).to_contain_text("Paris", timeout=20_000)
    notebook.save()
    notebook.page.reload()
    view = notebook.view(1)
    expect(view.get_by_role("status")).to_have_text("Done", timeout=40_000)
    expect(view.get_by_role("region", name="Fused answer")).to_have_text("Paris")
    expect(view).to_contain_text("keep it with %fuse last in a new cell")
    notebook.page.evaluate(lab.READY)
    expect(notebook.run(2).locator(".nbf-view")).to_be_visible()
    assert notebook.save()[2].outputs[0]["data"]["text/plain"].startswith("Paris")


def test_a_kernel_that_restarts_during_a_further_judging_leaves_the_first_result(
    fresh: Opened, models: dict
) -> None:
    say(models, a="Paris", b="Rome", c="Lyon")
    models["v/other"] = Say("{}", first_s=60)
    notebook = fresh(CITY)
    notebook.run(1)
    view = notebook.view(1)
    view.get_by_role("button", name="Judge again …").click()
    form = view.get_by_role("form", name="Judge again")
    form.get_by_label("Judge", exact=True).fill("openrouter:v/other")
    form.get_by_role("button", name="Judge again").click()
    expect(view.get_by_role("status")).to_contain_text("other judges")
    notebook.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    expect(notebook.output(1).locator("details").first).to_be_visible(timeout=20_000)
    expect(notebook.output(1).locator("details").first).to_contain_text("Paris")


def test_a_restarted_kernel_leaves_the_saved_form(fresh: Opened, models: dict) -> None:
    say(models, a="Paris", b="Rome", c="Lyon")
    notebook = fresh(CITY)
    notebook.run(1)
    expect(notebook.view(1)).to_be_visible()
    notebook.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    expect(notebook.view(1)).to_have_count(0, timeout=20_000)
    expect(notebook.output(1).locator("details").first).to_be_visible()
    notebook.run(0)
    notebook.run(1)
    expect(notebook.view(1)).to_be_visible()


def test_a_kernel_that_dies_leaves_what_had_arrived_on_the_screen(
    fresh: Opened, models: dict
) -> None:
    say(models, a="Paris", b=Say("Rome", first_s=60), c=Say("Lyon", first_s=60))
    notebook = fresh(CITY)
    notebook.run(1, wait=False)
    view = notebook.view(1)
    expect(panel(view)).to_contain_text("Paris", timeout=20_000)
    notebook.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    expect(view.get_by_role("status")).to_have_text("The kernel has gone", timeout=20_000)
    expect(panel(view)).to_contain_text("Paris")
    expect(view.get_by_role("button", name="Stop", exact=True)).to_be_hidden()


def test_two_cells_in_a_row_have_each_their_view(opened: Opened, models: dict) -> None:
    say(models, a="Paris", b=Say("Rome " * 30, gap_s=0.02), c="Lyon")
    notebook = opened(CITY, CITY, "r")
    notebook.run(1, wait=False)
    notebook.run(2, wait=False)
    notebook.ended(2)
    for i in (1, 2):
        expect(notebook.view(i)).to_have_count(1)
        expect(notebook.view(i).get_by_role("status")).to_have_text("Done")
    notebook.run(3)  # the same result once more is the same view
    expect(notebook.view(3)).to_have_count(1)
    expect(notebook.view(2)).to_have_count(1)
