"""The magic in a real kernel, seen from a front end: outputs, names, interrupts."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import panels
import pytest
import reviewing
from lookalike import Fail, LookAlike, Say, letter_of, verdict
from pictures import PNG

manager = pytest.importorskip("jupyter_client.manager")


class Kernel:
    """A kernel and what it says; `run` gives the outputs of one cell."""

    def __init__(self, client: object, manager: object) -> None:
        self.client, self.manager = client, manager

    def start(self, code: str) -> str:
        return self.client.execute(code)

    def finish(self, message: str, limit: float = 30) -> dict:
        """The reply to a cell, with its outputs, their updates, and what its widgets were told."""
        reply = self.client.get_shell_msg(timeout=limit)
        while reply["parent_header"].get("msg_id") != message:
            reply = self.client.get_shell_msg(timeout=limit)
        told: dict = {"outputs": [], "updates": [], "widgets": [], "stdout": ""}
        while True:
            said = self.client.get_iopub_msg(timeout=limit)
            if said["parent_header"].get("msg_id") != message:
                continue
            kind, content = said["msg_type"], said["content"]
            if kind == "status" and content["execution_state"] == "idle":
                return {**reply["content"], **told}
            if kind == "stream":
                told["stdout"] += content["text"]
            elif kind == "update_display_data":
                told["updates"].append(content)
            elif kind == "comm_msg":
                told["widgets"].append(content["data"])
            elif kind in ("display_data", "execute_result", "error"):
                told["outputs"].append({"kind": kind, **content})

    def run(self, code: str, limit: float = 30) -> dict:
        return self.finish(self.start(code), limit)

    def value(self, expression: str) -> object:
        """What an expression comes to, as JSON."""
        told = self.run(f"import json as _json; print(_json.dumps({expression}))")
        assert told["status"] == "ok", told
        return json.loads(told["stdout"])


def kernel_with(environment: dict[str, str]) -> Iterator[Kernel]:
    kernel = manager.KernelManager(kernel_name="python3")
    kernel.start_kernel(
        env=os.environ | {"PYDEVD_DISABLE_FILE_VALIDATION": "1"} | environment,
        cwd=str(Path.cwd()),
    )
    client = kernel.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        made = Kernel(client, kernel)
        told = made.run("%load_ext nbfuse")
        assert (told["status"], told["stdout"], told["outputs"]) == ("ok", "", [])
        yield made
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
        kernel.cleanup_resources()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def kernel(home: Path) -> Iterator[Kernel]:
    """A kernel that many tests share; live view off, so each run is one output."""
    folders = {f"XDG_{n}_HOME": str(home / n) for n in ("CACHE", "CONFIG", "DATA")}
    yield from kernel_with({"NBFUSE_LIVE": "off", "OPENROUTER_API_KEY": "", **folders})


@pytest.fixture
def live(server: LookAlike) -> Iterator[Kernel]:
    """A kernel of its own with the live view, that asks the look-alike server."""
    yield from kernel_with({"NBFUSE_LIVE": "on"})


TINY = "%%fuse -p tiny\n"
SLOW = "%%fuse -m openrouter:v/a,openrouter:v/b -j openrouter:v/judge --quorum 2 -o r\nhello"


# --- results ----------------------------------------------------------------------------------


def test_a_cell_shows_one_output_and_the_result_is_its_value(kernel: Kernel) -> None:
    told = kernel.run(TINY + "What is 12 + 30?")
    assert told["status"] == "ok"
    (shown,) = told["outputs"]
    assert set(shown["data"]) == {"text/html", "text/markdown", "text/plain"}
    assert shown["data"]["text/plain"].startswith("12 + 30 = 42\n")
    assert "<details open><summary><strong>Fused answer</strong>" in shown["data"]["text/html"]
    about = shown["metadata"]["nbfuse"]
    assert about["mode"] == "best-of"
    assert about["models"] == ["local:tiny-calc", "local:tiny-units", "local:tiny-atlas"]
    assert (about["cost"], about["stopped"]) == ("0", False)
    assert kernel.value("str(_)") == "12 + 30 = 42"
    assert kernel.value("type(_).__name__") == "FusionResult"


def test_out_gets_the_result_and_quiet_shows_nothing(kernel: Kernel) -> None:
    told = kernel.run("%%fuse -p tiny -o r -q\nWhat is 12 + 30?")
    assert (told["outputs"], told["stdout"]) == ([], "")
    assert kernel.value("r.text") == "12 + 30 = 42"
    told = kernel.run("r")  # asked for, it is shown
    assert told["outputs"][0]["data"]["text/plain"].startswith("12 + 30 = 42\n")


def test_a_semicolon_on_a_line_of_its_own_hides_the_result(kernel: Kernel) -> None:
    assert kernel.run(TINY + "What is 12 + 30?\n;")["outputs"] == []
    assert kernel.value("str(_)") == "12 + 30 = 42"
    told = kernel.run(TINY + "What is 12 + 31;")  # as SQL or C ends: a question like any other
    assert len(told["outputs"]) == 1
    assert kernel.value("_.prompt") == "What is 12 + 31;"


def test_last_shows_it_again(kernel: Kernel) -> None:
    kernel.run(TINY + "What is 12 + 30?")
    told = kernel.run("%fuse last")
    assert told["outputs"][0]["data"]["text/plain"].startswith("12 + 30 = 42\n")


def test_the_default_pool_is_named_once_with_its_reason(kernel: Kernel) -> None:
    first, second = kernel.run("%%fuse\nWhat is 12 + 30?"), kernel.run("%%fuse\nWhat is 12 + 31?")
    assert "pool tiny" in first["stdout"]
    assert "because there is no key" in first["stdout"]
    assert second["stdout"] == ""


def test_await_works_in_a_cell(kernel: Kernel) -> None:
    told = kernel.run('import nbfuse\nawait nbfuse.fuse("What is 12 + 30?", "tiny")')
    assert told["outputs"][0]["data"]["text/plain"].startswith("12 + 30 = 42\n")


def test_asyncio_run_works_after_allow_nested_and_so_does_the_magic(server: LookAlike) -> None:
    pytest.importorskip("nest_asyncio2")
    for nested in kernel_with({"NBFUSE_LIVE": "off"}):
        told = nested.run(
            "import asyncio, nbfuse\nnbfuse.allow_nested()\n"
            'print(asyncio.run(nbfuse.fuse("What is 12 + 30?", "tiny")))'
        )
        assert told["stdout"] == "12 + 30 = 42\n"
        told = nested.run(TINY + "What is 12 + 31?")
        assert told["outputs"][0]["data"]["text/plain"].startswith("12 + 31 = 43\n")


# --- the prompt -------------------------------------------------------------------------------


def test_variables_are_filled_in_once_and_braces_pass(live: Kernel, server: LookAlike) -> None:
    server.models["v/a"] = Say("ok")
    live.run("word = '{{ secret }} {x}'; secret = 'no'; d = {'k': [1, 2]}")
    prompt = "{{ word }} {{ d['k'][1] }} {json: {a}} $x$ {{}} {{ a | b }} %d"
    told = live.run(f"%%fuse -m openrouter:v/a -j openrouter:v/a\n{prompt}")
    assert told["status"] == "ok"
    (body,) = server.asked("v/a")
    said = body["messages"][-1]["content"]
    assert said == "{{ secret }} {x} 2 {json: {a}} $x$ {{}} {{ a | b }} %d"
    live.run(f"%%fuse --raw -m openrouter:v/a -j openrouter:v/a\n{prompt}")
    assert server.asked("v/a")[1]["messages"][-1]["content"] == prompt


def test_a_data_frame_becomes_a_short_table(live: Kernel, server: LookAlike) -> None:
    server.models["v/a"] = Say("ok")
    live.run("import pandas as pd; df = pd.DataFrame({'n': range(100), 't': ['x|y'] * 100})")
    live.run("%%fuse -m openrouter:v/a -j openrouter:v/a\n{{ df }}")
    said = server.asked("v/a")[0]["messages"][-1]["content"]
    assert said.startswith("Table of 100 rows and 2 columns (80 more rows left out):\n| n | t |")
    assert "| 19 | x/y |" in said
    assert "| 20 |" not in said
    live.run("means = pd.DataFrame({'g': ['a', 'b', 'a'], 'n': [1, 2, 3]}).groupby('g').mean()")
    live.run("%%fuse -m openrouter:v/a -j openrouter:v/a\n{{ means }}\n{{ means['n'] }}")
    said = server.asked("v/a")[1]["messages"][-1]["content"]
    assert said.count("| g | n |\n| --- | --- |\n| a | 2.0 |") == 2  # the labels are the point


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "name", "words"),
    [
        ("%%fuse\n  \n", "PromptError", "empty"),
        ("%%fuse -p tinny\nhi", "ConfigError", "Did you mean tiny"),
        ("%%fuse --modus merge\nhi", "ConfigError", "Did you mean --mode"),
        ("%%fuse --mode megre\nhi", "ConfigError", "Did you mean merge"),
        ("%%fuse what is this\nhi", "ConfigError", "prompt goes below the line"),
        ("%%fuse -p 'tiny\nhi", "ConfigError", "Close the quotes"),
        ("%%fuse --quorum many\nhi", "ConfigError", "invalid int"),
        ("%%fuse -p tiny --out 1x\nhi", "ConfigError", "not a variable"),
        ("%%fuse -p tiny\n{{ undefined_name }}", "PromptError", "no variable"),
        ("%fuse modles", "ConfigError", "Did you mean models"),
        ("%fuse What is 2 + 3?", "ConfigError", "begins with %%fuse"),
        ("%fuse last x", "ConfigError", "takes no 'x'"),
        ("%fuse pull", "ConfigError", "takes one model"),
        (
            "%%fuse --strict -m local:ministral-3b -j local:tiny-judge\nhi",
            "NoAnswerError",
            "nbfuse pull",
        ),
        ("%%fuse --local-only -m openrouter:v/a\nhi", "PrivacyError", "would leave"),
        ("%%fuse -m gpt-5\nhi", "ConfigError", "openrouter:"),
        ("%%fuse -p tiny\n{{ get_ipython().x }}", "PromptError", "only names, attributes"),
        ("%%fuse -p tiny\n{{ get_ipython.nothing }}", "PromptError", "AttributeError"),
        (
            "%%fuse --strict -m local:tiny-calk -j local:tiny-judge\nhi",
            "NoAnswerError",
            "tiny-calc",
        ),
    ],
)
def test_errors_are_our_own_and_short(kernel: Kernel, cell: str, name: str, words: str) -> None:
    told = kernel.run(cell)
    assert (told["status"], told["ename"]) == ("error", name)
    rendered = "\n".join(told["traceback"])
    assert words in rendered
    assert len(told["traceback"]) <= 4
    assert "Traceback" not in rendered


def test_the_option_line_keeps_backslashes_and_hashes_inside_words(kernel: Kernel) -> None:
    told = kernel.run(
        "%%fuse --strict -m 'gguf:C:\\no\\C#.gguf' -j local:tiny-judge  # a comment\nhi"
    )
    assert "C:\\no\\C#.gguf" in "\n".join(told["traceback"])


def test_nothing_of_a_failure_acts_in_the_terminal(live: Kernel, server: LookAlike) -> None:
    evil = "\x1b]0;pwn\x07\x1b[2J\u202e"
    server.models |= {f"v/{n}": Fail(400, {"message": f"no {evil}"}) for n in "ab"}
    told = live.run(SLOW)
    assert "\x1b" not in json.dumps(told, ensure_ascii=False)
    assert "\u202e" not in json.dumps(told, ensure_ascii=False)


def test_captured_output_holds_the_result_once(live: Kernel, server: LookAlike) -> None:
    live.run("%%capture cap\n%%fuse -p tiny\nWhat is 12 + 30?")
    shown = live.value("[o.data.get('text/plain', '')[:12] for o in cap.outputs if o.data]")
    assert shown == ["12 + 30 = 42"]


def test_a_broken_nbfuse_toml_is_named(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "nbfuse.toml").write_text("[pools.a]\nmembers = 3")
    told = kernel.run(f"%cd -q {tmp_path}\n")
    told = kernel.run("%%fuse\nhi")
    assert told["ename"] == "ConfigError"
    assert "nbfuse.toml" in "\n".join(told["traceback"])
    kernel.run(f"%cd -q {tmp_path.parent}\n")
    assert kernel.run(TINY + "What is 1 + 1?")["status"] == "ok"


def test_when_all_fail_the_result_says_why_and_only_a_strict_cell_is_an_error(
    live: Kernel, server: LookAlike
) -> None:
    server.models |= {f"v/{n}": Fail(402, {"message": "broke"}) for n in "ab"}
    told = live.run(SLOW)
    assert told["status"] == "ok"
    shown = [*told["outputs"], *told["updates"]][-1]  # a view, if there was time for one, or none
    assert "broke" in shown["data"]["text/plain"]
    assert live.value("[a.failure.kind for a in r.answers]") == ["CreditsError"] * 2
    assert live.value("[r.status, r.text, bool(r.answers[0].failure.hint)]") == ["failed", "", True]
    assert live.value("_ is r")
    told = live.run(SLOW.replace("%%fuse", "%%fuse --strict"))
    assert told["ename"] == "NoAnswerError"
    assert live.value("_ is r or r.status == 'failed'")


# --- commands, help, configuration ------------------------------------------------------------


@pytest.mark.parametrize("cell", ["%fuse --help", "%%fuse --help\nignored"])
def test_help_prints_the_options(kernel: Kernel, cell: str) -> None:
    told = kernel.run(cell)
    assert told["status"] == "ok"
    for option in ("--pool", "--models", "--judge", "--mode", "--out", "--quiet", "--answer",
                   "--quorum", "--deadline", "--max-tokens", "--temperature", "--seed",
                   "--dry-run", "--raw"):  # fmt: skip
        assert option in told["stdout"]
    assert "Ask several" in kernel.run("%fuse?")["payload"][0]["data"]["text/plain"]


def test_it_can_be_unloaded_and_loaded_again(kernel: Kernel) -> None:
    for line in ("%reload_ext nbfuse", "%unload_ext nbfuse", "%load_ext nbfuse"):
        told = kernel.run(line)
        assert (told["status"], told["stdout"]) == ("ok", "")
    told = kernel.run(TINY + "What is 12 + 30?")
    assert len(told["outputs"]) == 1
    assert (
        kernel.value("[type(c).__name__ for c in get_ipython().configurables].count('Fuse')") == 1
    )


def test_commands_list_models_and_pools(kernel: Kernel) -> None:
    assert "local:tiny-atlas" in kernel.run("%fuse models tiny")["stdout"]
    assert "* tiny:" in kernel.run("%fuse pool --list")["stdout"]
    assert "%fuse models" in kernel.run("%fuse help")["stdout"]
    table = kernel.run("%fuse models --local ministral")["stdout"]
    assert "tokens/s here" in table
    assert "local:ministral-3b-reasoning" in table
    assert "here already" in kernel.run("%fuse pull local:tiny-calc")["stdout"]
    fit = kernel.run("%fuse fit local:ministral-3b")["stdout"]
    assert "Q4_K_M" in fit
    assert "4 GiB machine" in fit


def test_earlier_runs_are_found_and_shown_again(live: Kernel, server: LookAlike) -> None:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Rome")}
    server.models["v/judge"] = verdict(letter_of("Rome"))
    words = "-m openrouter:v/a,openrouter:v/b -j openrouter:v/judge -o r"
    live.run(f"%%fuse {words}\nWhich city?")
    name = live.value("r.run")[:8]
    assert "b best" in live.run("%fuse vote best b")["stdout"]
    assert "no member of that run" in live.run("%fuse vote up c")["evalue"]
    assert "%fuse vote up" in live.run("%fuse vote upp")["evalue"]
    listed = live.run("%fuse history city --model v/b")["stdout"]
    assert name in listed
    assert "Which city?" in listed
    assert "best b" in listed
    server.models.clear()  # nobody is asked again
    again = live.run(f"old = %fuse history --show {name}\nold")
    (shown,) = again["outputs"]
    assert "Rome" in shown["data"]["text/html"]
    assert live.value("old == r") is True
    assert "No such run" in live.run("%fuse history never")["stdout"]
    assert "--older" in live.run("%fuse history --help")["stdout"]
    assert "No run begins" in live.run("%fuse history --show beef")["evalue"]


def test_two_answers_are_voted_on_unseen_and_votes_go_to_others(
    live: Kernel, server: LookAlike, tmp_path: Path
) -> None:
    assert "no last result" in live.run("%fuse vote blind")["evalue"]
    assert "%fuse vote blind" in live.run("%fuse vote A")["evalue"]
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Rome"), "v/judge": verdict(lambda _: "A")}
    live.run("%%fuse -m openrouter:v/a,openrouter:v/b -j openrouter:v/judge\nWhich city?")
    (shown,) = live.run("%fuse vote blind")["outputs"]
    for form in shown["data"].values():
        assert "Paris" in form
        assert "Rome" in form
        assert "openrouter" not in form
    said = live.run("%fuse vote a")["stdout"]
    assert re.search("A is better. A was openrouter:v/[ab], B was openrouter:v/[ab]", said)
    assert "No two answers are shown" in live.run("%fuse vote tie")["evalue"]
    assert "Noted" in live.run("%fuse vote ship openrouter:v/a")["stdout"]
    assert "pool:tiny" in live.run("%fuse vote ship pooltiny")["evalue"]
    listed = live.run("%fuse votes")["stdout"]
    assert re.search("openrouter:v/a +1 / 0 +1 vote, too few", listed)
    assert "2 votes without prompts" in live.run(f"%fuse votes export {tmp_path}")["stdout"]
    merged = live.run(f"%fuse votes merge {tmp_path}")["stdout"]
    assert "2 votes of 1 voter in 1 file" in merged
    assert "Which city?" not in next(tmp_path.glob("*.jsonl")).read_text()


def test_the_last_answers_are_judged_again_by_another(live: Kernel, server: LookAlike) -> None:
    assert "no last result" in live.run("%fuse rejudge")["evalue"]
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Rome")}
    server.models["v/judge"] = verdict(letter_of("Rome"))
    server.models["v/other"] = verdict(letter_of("Paris"))
    live.run("%%fuse -m openrouter:v/a,openrouter:v/b -j openrouter:v/judge -o r\nWhich city?")
    told = live.run("%fuse rejudge --judge openrouter:v/other -o again")
    assert "Paris" in (told["updates"] or told["outputs"])[-1]["data"]["text/html"]
    assert live.value("[r.text, again.text, _.text]") == ["Rome", "Paris", "Paris"]
    assert len(server.asked("v/a")) == 1
    live.run("%fuse rejudge -o named " + live.value("r.run")[:8])
    assert live.value("named.text") == "Rome"
    live.run("%fuse rejudge -j openrouter:v/other --record judged.jsonl -o kept")
    asked = len(server.asked("v/other"))
    live.run("%fuse rejudge -j openrouter:v/other --replay judged.jsonl -o replayed")
    assert live.value("[kept.text, replayed.text]") == ["Paris", "Paris"]
    assert len(server.asked("v/other")) == asked
    live.run("import os; os.remove('judged.jsonl')")
    (shown,) = live.run("%fuse promote a")["outputs"]
    assert "Paris" in shown["data"]["text/html"]
    assert live.value("_.text") == "Paris"
    assert "a up" in live.run("%fuse vote up a")["stdout"]
    assert "takes one member" in live.run("%fuse promote")["evalue"]


def test_a_run_that_was_stopped_is_in_the_history(live: Kernel, server: LookAlike) -> None:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("too late", first_s=60)}
    message = live.start("%%fuse -m openrouter:v/a,openrouter:v/b -j openrouter:v/a\nWhich city?")
    end = time.monotonic() + 10
    while not server.asked("v/b") and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.3)
    live.manager.interrupt_kernel()
    assert live.finish(message)["status"] == "error"
    live.run("from nbfuse.ledger.ledger import Ledger")
    assert live.value("[past.status for past in Ledger().runs()]") == ["stopped"]


def test_functions_and_pictures_of_the_notebook_go_along_by_their_names(
    live: Kernel, server: LookAlike
) -> None:
    replies = [
        Say('{"call": {"tool": "double", "arguments": {"number": 21}}}'),
        Say('{"call": {"tool": "none"}}'),
        Say("It is 42."),
    ]
    server.models["v/a"] = lambda _: replies.pop(0)
    live.run(
        "class Sums:\n    def double(self, number: int) -> int:\n        return 2 * number\n\n"
        f"sums, others, plot = Sums(), [len], {PNG!r}\nothers.clear()"
    )
    told = live.run(
        "%%fuse -m openrouter:v/a --tools sums.double,others --image plot -o r\nTwice 21?"
    )
    assert told["status"] == "ok", told
    assert live.value("str(r)") == "It is 42."
    assert live.value("[call.result for call in r['a'].tool_calls]") == ["42"]
    text, picture = server.asked("v/a")[0]["messages"][-1]["content"]
    assert text["text"] == "Twice 21?"
    assert picture["image_url"]["url"].startswith("data:image/png;base64,")
    wrong = live.run("%%fuse -m openrouter:v/a --tools sum\nhi")
    assert "there is no variable 'sum'" in wrong["evalue"]
    assert "sums" in wrong["evalue"]
    assert "no attribute 'dubble'" in live.run("%%fuse --tools sums.dubble\nhi")["evalue"]
    assert "plot.png: No such file" in live.run("%%fuse --image plot.png\nhi")["evalue"]


def test_a_model_of_the_notebook_is_what_answers_obey(live: Kernel, server: LookAlike) -> None:
    live.run(
        "import pydantic, types\nclass City(pydantic.BaseModel):\n    name: str\n    founded: int\n"
        "shapes = types.SimpleNamespace(City=City)\nplain = City.model_json_schema()"
    )
    one, other = '{"name": "Rome", "founded": -753}', '{"name": "Rome", "founded": 1}'
    server.models |= {"v/a": Say(one), "v/b": Say(other), "v/c": Say(one)}
    cell = "%%fuse -m openrouter:v/a,openrouter:v/b,openrouter:v/c --quorum 3 -o r --schema "
    for name in ("City", "shapes.City"):
        told = live.run(f"{cell}{name}\nRome?")
        assert told["status"] == "ok", told
        assert live.value("[r.value == City(name='Rome', founded=-753), r.value is r.value]") == [
            True,
            True,
        ]
    (shown, *_) = told["updates"] or told["outputs"]  # a quick run has had no view
    assert "a, c (2 of 3)" in shown["data"]["text/html"]
    live.run(f"{cell}plain\nRome?")
    assert live.value("[r.value['name'], [f.decided_by for f in r.fields]]") == [
        "Rome",
        ["agreement", "agreement"],
    ]
    wrong = live.run("%%fuse --schema Cty\nhi")
    assert "there is no variable 'Cty'" in wrong["evalue"]
    assert "Did you mean City" in wrong["evalue"]
    assert "is no schema" in live.run("%%fuse --schema shapes\nhi")["evalue"]
    assert "city.json can't be read" in live.run("%%fuse --schema city.json\nhi")["evalue"]


def test_a_dry_run_asks_nobody(live: Kernel, server: LookAlike) -> None:
    told = live.run(SLOW.replace("-o r", "--dry-run"))
    assert "Would ask a, b; judge judges (best-of)." in told["stdout"]
    assert "Price:" in told["stdout"]
    assert not server.asked("v/a")
    tiny = live.run("%%fuse -p tiny --mode merge --dry-run\nWhat is 1 + 2 and capital of Peru?")
    assert "nothing, all models are local" in tiny["stdout"]
    assert "Part 2: Capital of Peru?" in tiny["stdout"]


def test_config_sets_defaults_and_options_go_first(kernel: Kernel) -> None:
    assert "Fuse.mode" in kernel.run("%config Fuse")["stdout"]
    kernel.run("%config Fuse.mode = 'debate'")
    assert kernel.run("%%fuse -p tiny -o r -q\nWhat is 1 + 1?")["status"] == "ok"
    assert kernel.value("r.mode") == "debate"
    kernel.run("%%fuse -p tiny -o r -q --mode merge\nWhat is 1 + 1?")
    assert kernel.value("r.mode") == "merge"
    kernel.run("%config Fuse.mode = ''")


def test_a_refused_setting_does_not_keep_it_from_loading(kernel: Kernel) -> None:
    for line in ("%config Fuse.mode = 'bogus'", "%config Fuse.quorum = 'x'"):
        kernel.run(line)  # IPython says what is wrong, and keeps it all the same
        told = kernel.run("%reload_ext nbfuse")
        assert told["status"] == "ok"
        assert "nbfuse ignores what is configured for it" in told["stdout"]
    assert kernel.run("%%fuse -p tiny\nWhat is 1 + 1?")["status"] == "ok"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%%fuse --mo", ["%%fuse --mode", "%%fuse --models"]),
        ("%%fuse --mode me", ["%%fuse --mode merge"]),
        ("%%fuse --mode=me", ["%%fuse --mode=merge"]),
        ("%%fuse -p ti", ["%%fuse -p tiny"]),
        ("%%fuse -m local:tiny-c", ["%%fuse -m local:tiny-calc"]),
        ("%%fuse -m local:tiny-calc,local:tiny-u", ["%%fuse -m local:tiny-calc,local:tiny-units"]),
        ("%fuse mod", ["%fuse models"]),
        ("x = %fuse la", ["x = %fuse last"]),
        ("%fuse compare local:tiny-c", ["%fuse compare local:tiny-calc"]),
        ("%fuse compare local:tiny-calc pool:ti", ["%fuse compare local:tiny-calc pool:tiny"]),
        ("%fuse compare a:b --mon", ["%fuse compare a:b --monthly"]),
        ("%fuse vote ship pool:ti", ["%fuse vote ship pool:tiny"]),
        ("%fuse bookmarks de", ["%fuse bookmarks delete"]),
    ],
)
def test_completion_offers_what_fits_and_nothing_else(
    kernel: Kernel, line: str, expected: list[str]
) -> None:
    message = kernel.client.complete(line)
    reply = kernel.client.get_shell_msg(timeout=10)
    while reply["parent_header"].get("msg_id") != message:
        reply = kernel.client.get_shell_msg(timeout=10)
    content = reply["content"]
    whole = [
        line[: content["cursor_start"]] + match + line[content["cursor_end"] :]
        for match in content["matches"]
    ]
    assert whole == expected


# --- interrupts, the view, connections --------------------------------------------------------


def streaming(server: LookAlike) -> None:
    """Wait until an answer is being sent."""
    end = time.monotonic() + 10
    while not server.streaming and time.monotonic() < end:
        time.sleep(0.01)


def interrupt_after(
    live: Kernel, server: LookAlike, cell: str, seconds: float
) -> tuple[dict, float]:
    message = live.start(cell)
    streaming(server)
    time.sleep(seconds)
    live.manager.interrupt_kernel()
    pressed = time.monotonic()
    told = live.finish(message)
    return told, time.monotonic() - pressed


def test_an_interrupt_keeps_what_has_arrived_and_leaves_no_stream(
    live: Kernel, server: LookAlike
) -> None:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("word " * 2000, gap_s=0.01)}
    told, took = interrupt_after(live, server, SLOW, 0.5)
    assert told["ename"] == "Stopped"
    assert told["traceback"] == ["Stopped. 2 answers kept, whole or in part, in `_`."]
    assert took < 1.0  # the bar of 100 ms is measured in tests/bench, on a quiet machine
    assert server.quiet()
    assert live.value("[r['a'].text, r['b'].status, r.status]") == ["Paris", "stopped", "stopped"]
    assert live.value("r['b'].text.startswith('word word')")
    assert live.value("_ is r")
    assert "text/html" in told["updates"][-1]["data"]  # the view has become the static result
    assert told["updates"][-1]["metadata"]["nbfuse"]["stopped"]


def test_a_key_pressed_twice_loses_nothing(live: Kernel, server: LookAlike) -> None:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("word " * 2000, gap_s=0.01)}
    message = live.start(SLOW)
    streaming(server)
    time.sleep(0.2)
    for _ in range(5):
        live.manager.interrupt_kernel()
        time.sleep(0.001)
    told = live.finish(message)
    assert told["ename"] == "Stopped"
    assert live.value("[r['a'].text, r['b'].status]") == ["Paris", "stopped"]
    assert live.run("1 + 1")["status"] == "ok"


def test_an_interrupt_while_the_judge_works_keeps_all_answers(
    live: Kernel, server: LookAlike
) -> None:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Rome"), "v/judge": Say("x", first_s=30)}
    told, _ = interrupt_after(live, server, SLOW, 0.6)
    assert told["ename"] == "Stopped"
    assert live.value("sorted(a.text for a in r.answers)") == ["Paris", "Rome"]
    assert live.value("[r.text, r.verdict.decided_by]") == ["Paris", "stopped"]
    server.models["v/judge"] = verdict(letter_of("Paris"))
    told = live.run(SLOW)  # the next cell works as if nothing had been
    assert told["status"] == "ok"
    assert live.value("r.text") == "Paris"


def test_interrupts_at_any_moment_leave_the_kernel_usable(live: Kernel, server: LookAlike) -> None:
    server.models |= {n: Say("word " * 50, gap_s=0.01) for n in ("v/a", "v/b")}
    server.models["v/judge"] = verdict(lambda _: "A")
    for wait in (0.0, 0.02, 0.05, 0.1, 0.3, 0.5):
        message = live.start(SLOW)
        time.sleep(0.15 + wait)  # earlier it may hit ipykernel itself, which then forgets the cell
        live.manager.interrupt_kernel()
        told = live.finish(message)
        assert told["status"] == "ok" or told["ename"] in ("Stopped", "KeyboardInterrupt")
        assert told["status"] == "ok" or len(told["traceback"]) < 20
        assert server.quiet()
        assert live.run("1 + 1")["status"] == "ok"
    assert live.run(SLOW)["status"] == "ok"


def heard(told: dict) -> list[dict]:
    """What the browser was told of a run: snapshots at first, then changes."""
    states = [one["state"]["snapshot"] for one in told["widgets"] if one["method"] == "update"]
    return states + [one["content"] for one in told["widgets"] if one["method"] == "custom"]


def test_the_view_is_told_all_in_few_messages_and_the_output_is_static_all_the_time(
    live: Kernel, server: LookAlike
) -> None:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("word " * 40, gap_s=0.02)}
    server.models["v/judge"] = verdict(letter_of("Paris"))
    told = live.run(SLOW)
    (first,), (last,) = told["outputs"], told["updates"]  # the output itself, and nothing twice
    assert first["data"]["text/plain"] == "nbfuse: asking …"
    assert last["data"]["text/plain"].startswith("Paris\n")
    for shown in (first, last):
        assert "widget" not in json.dumps(shown["data"])
    messages = heard(told)
    assert 2 < len(messages) < 20  # at most 20 a second, for all streams together
    states = [message["members"][1]["state"] for message in messages if "members" in message]
    assert (states[0], states[-1]) == ("writing", "complete")  # it spoke before a view was there
    assert messages[-1]["result"]["best"] == ["a"]
    again = live.run("r")
    assert again["outputs"][0]["data"]["text/plain"].startswith("Paris\n")


def test_a_text_is_sent_once_though_the_run_ends_between_two_looks(
    live: Kernel, server: LookAlike
) -> None:
    server.models |= {name: Say("word " * 150, gap_s=0.02) for name in ("v/a", "v/b")}
    messages = [said for said in heard(live.run(SLOW)) if "number" in said]
    assert "result" in messages[-1]
    assert [said["reset"] for said in messages if "reset" in said] == []


def test_connections_are_kept_between_cells(live: Kernel, server: LookAlike) -> None:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Rome")}
    server.models["v/judge"] = verdict(letter_of("Paris"))
    live.run(SLOW)
    opened = server.connections
    live.run(SLOW)
    assert server.connections == opened


def test_a_cell_runs_again_after_the_kernel_has_restarted(live: Kernel, server: LookAlike) -> None:
    live.run(TINY + "What is 12 + 30?")
    live.manager.restart_kernel(now=True)
    live.client.wait_for_ready(timeout=60)
    told = live.run("%load_ext nbfuse")
    told = live.run(TINY + "What is 12 + 30?")
    assert told["status"] == "ok"


def test_a_killed_kernel_leaves_no_engine_behind(live: Kernel, server: LookAlike) -> None:
    live.run(TINY + "What is 12 + 30?")
    pid = int(live.value("__import__('nbfuse.local.engine', fromlist=['x']).engine.pids[0]"))
    assert Path(f"/proc/{pid}").exists()
    os.kill(live.manager.provisioner.pid, signal.SIGKILL)
    end = time.monotonic() + 3
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()


def test_where_nothing_shows_widgets_there_is_the_result_alone(server: LookAlike) -> None:
    """nbclient and papermill would keep a widget, script and all, in the notebook's file."""
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Rome", first_s=0.3)}
    server.models["v/judge"] = verdict(letter_of("Paris"))
    for plain in kernel_with({"NBFUSE_LIVE": "", "JPY_SESSION_NAME": ""}):
        told = plain.run(SLOW)
        (shown,) = told["outputs"]
        assert "nbfuse-view" not in shown["data"]["text/html"]
        assert told["widgets"] == told["updates"] == []
    for lab in kernel_with({"NBFUSE_LIVE": "", "JPY_SESSION_NAME": "a.ipynb"}):
        assert lab.run(SLOW)["widgets"]


def test_a_view_that_can_not_be_drawn_costs_no_answer(server: LookAlike, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "anywidget.py").write_text("raise ImportError('half installed')")
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Rome", first_s=0.3)}
    server.models["v/judge"] = verdict(letter_of("Paris"))
    environment = {"NBFUSE_LIVE": "on", "PYTHONPATH": str(tmp_path / "broken")}
    for kernel in kernel_with(environment):
        told = kernel.run(SLOW)
        assert told["status"] == "ok"
        assert "does not work here (ImportError: half installed)" in told["stdout"]
        assert told["outputs"][-1]["data"]["text/plain"].startswith("Paris\n")
        assert kernel.value("r.text") == "Paris"


# --- record and replay ------------------------------------------------------------------------

FORGET = """\
import os
os.environ.pop("OPENROUTER_API_KEY")
os.environ["OPENROUTER_BASE_URL"] = "http://127.0.0.1:9/api/v1"
"""


@pytest.mark.timeout(60)
def test_a_cell_is_recorded_and_replayed_without_key_and_server(
    live: Kernel, server: LookAlike
) -> None:
    server.models |= {"v/a": Say("Paris " * 20, gap_s=0.05), "v/b": Say("Rome")}
    server.models["v/judge"] = verdict(letter_of("Rome"))
    told = live.run(SLOW.replace("-o r", "-o r --record run.jsonl"))
    assert told["status"] == "ok", told
    assert live.run(FORGET)["status"] == "ok"
    began = time.monotonic()
    again = live.run("%%fuse --replay run.jsonl -o s\nhello")  # the pool that was asked then
    assert time.monotonic() - began < 1
    assert again["status"] == "ok", again
    assert again["stdout"] == ""
    assert live.value("[s.text, str(s.cost), s.verdict.reason]") == live.value(
        "[r.text, str(r.cost), r.verdict.reason]"
    )
    assert live.value("[a.text for a in s.answers] == [a.text for a in r.answers]")
    changed = live.run("%%fuse --replay run.jsonl\nhallo")
    assert changed["ename"] == "ReplayError"
    assert "'hello' is now 'hallo'" in changed["evalue"]
    message = live.start("%%fuse --replay run.jsonl --replay-speed original -o t\nhello")
    time.sleep(0.6)
    live.manager.interrupt_kernel()
    pressed = time.monotonic()
    stopped = live.finish(message)
    assert time.monotonic() - pressed < 0.5
    assert stopped["ename"] == "Stopped"
    assert live.value("[t.status, t['b'].text]") == ["stopped", "Rome"]
    assert live.value("0 < len(t['a'].text) < len(r['a'].text)")
    threads = "[t.name for t in __import__('threading').enumerate() if 'replay' in t.name]"
    assert live.value(threads) == []
    awaited = "import nbfuse; u = await nbfuse.fuse('hello', replay='run.jsonl')"
    assert live.run(awaited)["status"] == "ok"
    assert live.value("[u.text, u.verdict.reason]") == live.value("[r.text, r.verdict.reason]")


# --- comparisons ------------------------------------------------------------------------------


def compares(server: LookAlike, gap_s: float = 0.0) -> str:
    """The line that compares a model that knows with one that does not, on `sums`."""
    knows, not_ = panels.member(range(8)), panels.member([])

    def slow(reply: Callable[[dict], Say]) -> Callable[[dict], Say]:
        return lambda body: dataclasses.replace(reply(body), first_s=gap_s)

    server.models |= {
        "v/a": slow(knows),
        "v/b": slow(not_),
        "v/judge": reviewing.reviewer(),
    }
    return "%fuse compare openrouter:v/a openrouter:v/b --on sums -j openrouter:v/judge"


def test_a_comparison_fills_its_page_and_is_the_value(live: Kernel, server: LookAlike) -> None:
    line = compares(server, 0.4)
    live.run(f"sums = {panels.table(8)!r}")
    told = live.run(f"{line} -o found --page page.html --concurrency 1", limit=60)
    assert told["status"] == "ok", told
    shown = [told["outputs"][0]["data"], *(one["data"] for one in told["updates"])]
    assert len(told["outputs"]) == 1  # and its value is not shown a second time
    assert "Under way: 0 of 8 questions" in shown[0]["text/html"]
    assert any("Under way: 2 of 8" in one["text/html"] for one in shown)
    assert "Ship openrouter:v/a." in shown[-1]["text/html"]
    assert "Ship openrouter:v/a." in shown[-1]["text/plain"]
    assert live.value("[found is _, found.decision.winner]") == [True, "openrouter:v/a"]
    assert "<!doctype html>" in live.run("print(open('page.html').read())")["stdout"]
    (again,) = live.run("found")["outputs"]
    assert "Ship openrouter:v/a." in again["data"]["text/html"]
    (pair,) = live.run("%fuse vote blind")["outputs"]
    assert "Sum " in pair["data"]["text/html"]
    assert "openrouter" not in pair["data"]["text/html"]
    assert "Noted" in live.run("%fuse vote A")["stdout"]
    assert "Kept as mine." in live.run("%fuse bookmarks save mine --tags sums")["stdout"]
    assert "sums" in live.run("%fuse bookmarks")["stdout"]
    assert "mine" in live.run("%fuse bookmarks search openrouter:v/b")["stdout"]
    asked = len(server.requests)
    (opened,) = live.run("%fuse bookmarks open mine")["outputs"]
    assert "Ship openrouter:v/a." in opened["data"]["text/html"]
    assert len(server.requests) == asked
    assert "forgotten" in live.run("%fuse bookmarks delete mine")["stdout"]
    assert "No bookmarks yet" in live.run("%fuse bookmarks")["stdout"]
    assert "is not a use" in live.run("%fuse bookmarks keep")["evalue"]


def test_a_stopped_comparison_goes_on_where_it_was(live: Kernel, server: LookAlike) -> None:
    line = compares(server, 0.5)
    live.run(f"sums = {panels.table(8)!r}")
    message = live.start(f"{line} --concurrency 1")
    end = time.monotonic() + 20
    while len(server.asked("v/a")) < 3 and time.monotonic() < end:
        time.sleep(0.05)
    live.manager.interrupt_kernel()
    told = live.finish(message)
    assert "the same command" in "".join(told["outputs"][-1]["traceback"])
    assert server.quiet()
    answered = len(server.asked("v/a"))
    assert answered < 8
    server.models |= {"v/a": panels.member(range(8)), "v/b": panels.member([])}
    assert live.run(f"{line} -o found")["status"] == "ok"
    assert 8 <= len(server.asked("v/a")) <= 9  # one had not ended
    assert "were used again" in live.value("found.notes")[0]


def test_mistakes_in_a_comparison_are_named(live: Kernel, server: LookAlike) -> None:
    compares(server)
    assert "neither a variable nor a file" in live.run("%fuse compare a:b c:d --on sumz")["evalue"]
    assert "--out 1x" in live.run("%fuse compare a:b c:d -o 1x")["evalue"]
    assert "no questions" in live.run("%fuse compare openrouter:v/a openrouter:v/b")["evalue"]
    assert "--monthly" in live.run("%fuse compare --help")["stdout"]
    live.run("sums = ['What is 1 + 1?']\nimport nbfuse")
    live.run("mine = nbfuse.Pool(members=['openrouter:v/a'])")
    dry = live.run("%fuse compare mine openrouter:v/b --on sums -j openrouter:v/judge --dry-run")
    assert "Would ask pool:unnamed, openrouter:v/b 1 question" in dry["stdout"]
