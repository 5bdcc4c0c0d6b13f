"""The command line, as a shell sees it: output, exit codes, JSON."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lookalike import Fail, LookAlike, Say, letter_of, verdict


def nbfuse(*words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nbfuse", *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_ask_prints_the_answer_alone_and_the_rest_beside_it() -> None:
    done = nbfuse("ask", "What is 12 + 30?")
    assert (done.returncode, done.stdout) == (0, "12 + 30 = 42\n")
    assert "pool tiny" in done.stderr
    assert "tiny-judge" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_ask_reads_standard_input_and_prints_json() -> None:
    done = nbfuse("ask", "-", "-p", "tiny", "--json", stdin="What is 12 + 30?\n")
    result = json.loads(done.stdout)
    assert result["text"] == "12 + 30 = 42"
    assert result["schema"] == 1
    assert [answer["member"] for answer in result["answers"]] == [
        "tiny-calc",
        "tiny-units",
        "tiny-atlas",
    ]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("ask", "--mod", "x", "hi"), 2, "Did you mean --mode"),
        (("ask", "--mode", "megre", "hi"), 2, "Did you mean merge"),
        (("ask", ""), 2, "empty"),
        (("ask", "-p", "tinny", "hi"), 2, "Did you mean tiny"),
        (("aks", "hi"), 2, "ask"),
        ((), 2, "required"),
        (("ask", "-m", "local:nope", "-j", "local:tiny-judge", "hi"), 1, "no local model 'nope'"),
    ],
)
def test_errors_are_two_lines_and_have_their_exit_code(
    words: tuple[str, ...], code: int, said: str
) -> None:
    done = nbfuse(*words)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
def test_a_full_disk_behind_the_output_is_one_line() -> None:
    words = [sys.executable, "-m", "nbfuse", "ask", "-p", "tiny", "What is 12 + 30?"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dry_run_tells_the_price(server: LookAlike) -> None:
    two = ("-m", "openrouter:v/a", "-m", "openrouter:v/b")
    assert "ask a, b;" in nbfuse("ask", *two, "-j", "openrouter:v/a", "--dry-run", "hi").stdout
    done = nbfuse("ask", "-m", "openrouter:v/a", "-j", "openrouter:v/a", "--dry-run", "hi")
    assert "Would ask a" in done.stdout
    done = nbfuse(
        "ask", "-m", "openrouter:v/a", "-j", "openrouter:v/a", "--dry-run", "--json", "hi"
    )
    assert json.loads(done.stdout)["specs"] == ["openrouter:v/a"]
    assert not server.asked("v/a")


def test_ask_with_a_key_asks_openrouter(server: LookAlike) -> None:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("Rome\x1b[2J")}
    server.models["v/judge"] = verdict(letter_of("Rome"))
    words = ("-m", "openrouter:v/a,openrouter:v/b", "-j", "openrouter:v/judge")
    done = nbfuse("ask", *words, "capital?")
    assert (done.returncode, done.stdout) == (0, "Rome\n")
    assert "$0.0010" in done.stderr
    server.models |= {"v/a": Fail(402, {"message": "x"}), "v/b": Fail(402, {"message": "x"})}
    done = nbfuse("ask", *words, "--json", "capital?")
    assert done.returncode == 1
    assert json.loads(done.stdout)["status"] == "failed"
    assert "Add credits" in done.stderr


def test_ask_under_a_schema_prints_its_json(server: LookAlike, tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    (tmp_path / "city.json").write_text(json.dumps(schema))
    server.models |= {"v/a": Say('{"city": "Rome"}'), "v/b": Say('Sure: {"city": "Rome"}')}
    words = ("ask", "-m", "openrouter:v/a,openrouter:v/b", "--quorum", "2", "capital?")
    done = nbfuse(*words, "--schema", str(tmp_path / "city.json"))
    assert (done.returncode, json.loads(done.stdout)) == (0, {"city": "Rome"})
    done = nbfuse(*words, "--schema", "missing.json")
    assert done.returncode == 2
    assert "missing.json can't be read" in done.stderr


def interrupted(server: LookAlike, *words: str) -> tuple[int, str, str]:
    server.models |= {"v/a": Say("Paris"), "v/b": Say("x", first_s=30)}
    server.requests.clear()
    models = "openrouter:v/a,openrouter:v/b"
    child = subprocess.Popen(
        [sys.executable, "-m", "nbfuse", "ask", "-m", models, "--quorum", "2", *words, "hi"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 20
    while not (server.asked("v/a") and server.asked("v/b")) and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    out, said = child.communicate(timeout=10)
    return child.returncode, out, said


def test_an_interrupt_ends_with_130_and_keeps_what_has_arrived(server: LookAlike) -> None:
    code, out, said = interrupted(server)
    assert (code, out) == (130, "Paris\n")
    assert said.endswith("Stopped.\n")
    assert server.quiet()
    code, out, _ = interrupted(server, "--json")
    assert code == 130
    assert [answer["status"] for answer in json.loads(out)["answers"]] == ["complete", "stopped"]


def in_terminal(*words: str) -> tuple[int, str]:
    """The exit code and the screen of a command that believes in a terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "nbfuse", *words])
    screen = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # how Linux says that the other side has ended
            break
        if not piece:
            break
        screen += piece
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), screen.decode()


def test_in_a_terminal_markup_in_a_failure_is_only_text(server: LookAlike) -> None:
    server.models |= {"v/a": Say("Paris **is**"), "v/b": Fail(400, {"message": "[/bold] [red]x"})}
    words = ("-m", "openrouter:v/a,openrouter:v/b", "-j", "openrouter:v/a")
    code, screen = in_terminal("ask", *words, "hi")
    assert code == 0
    assert "Fused answer" in screen
    assert "[/bold]" in screen
    code, screen = in_terminal("doctor")
    assert "local engine" in screen


def test_odd_input_and_output_end_in_no_traceback(tmp_path: Path) -> None:
    environment = os.environ | {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "nbfuse", "ask", "-"],
        input=b"What is 12 + 30? \xff\n",
        capture_output=True,
        env=environment,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    piped = f"{sys.executable} -m nbfuse models | head -1"
    done = subprocess.run(["bash", "-c", piped], capture_output=True, check=False)
    assert b"Traceback" not in done.stderr
    for target in ("/proc/nowhere/x.ipynb", "/tmp"):
        done = nbfuse("demo", "--out", target)
        assert done.returncode == 2
        assert "can't be written" in done.stderr


def test_a_cache_that_can_not_be_made_is_diagnosed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert nbfuse("ask", "What is 12 + 30?").stdout == "12 + 30 = 42\n"
    assert "make that folder writable" in nbfuse("doctor").stdout


def test_models_lists_what_can_be_asked(server: LookAlike) -> None:
    server.listed = [
        {
            "id": "v/a",
            "context_length": 8000,
            "pricing": {"prompt": "0.000001", "completion": "0.000002"},
        }
    ]
    done = nbfuse("models")
    assert "openrouter:v/a\t8,000\t$1.00 / $2.00" in done.stdout
    assert "local:tiny-calc\t1,024\tfree" in done.stdout
    found = json.loads(nbfuse("models", "--json", "v/a").stdout)
    assert [model["spec"] for model in found] == ["openrouter:v/a"]


def test_models_says_why_a_place_is_not_listed() -> None:
    done = nbfuse("models")
    assert "no key (set OPENROUTER_API_KEY)" in done.stderr
    assert "local:tiny-calc" in done.stdout


def test_doctor_looks_at_everything_and_names_each_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    done = nbfuse("doctor", "--json")
    findings = {finding["what"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == 0
    assert findings["local engine"]["ok"]
    assert not findings["OpenRouter key"]["ok"]
    assert "OPENROUTER_API_KEY" in findings["OpenRouter key"]["fix"]
    for finding in findings.values():
        assert finding["ok"] or finding["fix"]
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-v1-secretsecretsecret")
    done = nbfuse("doctor")
    assert "present" in done.stdout
    assert "secret" not in done.stdout + done.stderr


def test_doctor_fails_where_nothing_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBFUSE_LLAMA_SERVER", "/nowhere/llama-server")
    script = (
        "import importlib.util as u, sys\n"
        "found = u.find_spec\n"
        "engines = ('xllamacpp', 'llama_cpp')\n"
        "u.find_spec = lambda name: None if name in engines else found(name)\n"
        "from nbfuse.cli import main\nsys.exit(main(['doctor']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "pip install 'nbfuse[local]'" in done.stdout


def test_demo_runs_the_quickstart_and_says_where_it_is(tmp_path: Path) -> None:
    pytest.importorskip("nbclient")
    out = tmp_path / "out.ipynb"
    done = nbfuse("demo", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert f"The executed notebook is {out}" in done.stdout
    assert "→" in done.stdout
    cells = json.loads(out.read_text())["cells"]
    assert any("nbfuse" in o.get("metadata", {}) for c in cells for o in c.get("outputs", []))


def test_version_and_help() -> None:
    assert nbfuse("--version").stdout.startswith("nbfuse 0.")
    assert "demo" in nbfuse("--help").stdout
    assert "--quorum" in nbfuse("ask", "--help").stdout
