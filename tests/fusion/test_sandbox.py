"""Members' code in its cage: what it may do, and what each wall alone keeps it from."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

import pytest

from nbfuse.core.errors import ConfigError
from nbfuse.fusion.sandbox import LAYERS, MOST_OUTPUT, Ran, run_python

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="walls are the kernel's of Linux")

KERNEL = ("landlock", "filter")  # without the hook, which says it in words
WATCHED = ("filter", "hook")  # as on a kernel without Landlock
ALL = [LAYERS, KERNEL, WATCHED]
WALLS = pytest.mark.parametrize("layers", ALL, ids=["all", "kernel", "no landlock"])


def run(code: str, layers: tuple[str, ...] = LAYERS) -> Ran:
    return asyncio.run(run_python(code, layers=layers))


@pytest.mark.parametrize(
    ("code", "output"),
    [
        ("print(6 * 7)", "42\n"),
        ("import sys; sys.exit(0)", ""),
        ("if __name__ == '__main__': print('main')", "main\n"),
        ("print({'b', 'a', 'c'} == set('abc'), 'é')", "True é\n"),
        (
            "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: 'int'\nprint(A(1))",
            "A(x=1)\n",
        ),
        (
            "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    print(1)\n"
            "asyncio.run(f())",
            "1\n",
        ),
        (
            "from concurrent.futures import ThreadPoolExecutor as T\n"
            "print(list(T(2).map(abs, [-1, -2])))",
            "[1, 2]\n",
        ),
        (
            "import collections, csv, datetime, decimal, fractions, heapq, itertools, json, math, "
            "random, re, sqlite3, statistics, string, typing, uuid, zoneinfo\n"
            "print(math.comb(5, 2), zoneinfo.ZoneInfo('Europe/Zurich') is not None)",
            "10 True\n",
        ),
    ],
)
@pytest.mark.parametrize("layers", [LAYERS, KERNEL], ids=["all", "kernel"])
def test_ordinary_code_runs(code: str, output: str, layers: tuple[str, ...]) -> None:
    assert run(code, layers) == Ran(output)


def test_sets_print_in_one_order_in_every_run() -> None:
    code = "print({str(i) for i in range(50)})"
    assert run(code) == run(code)


@WALLS
@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time; time.sleep(60)",
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)",
        "import threading\ndef spin():\n    while True: pass\n"
        "for _ in range(4): threading.Thread(target=spin).start()",
    ],
    ids=["busy", "asleep", "deaf", "threads"],
)
def test_code_that_loops_is_ended(code: str, layers: tuple[str, ...]) -> None:
    begun = time.monotonic()
    ran = asyncio.run(run_python(code, seconds=1, layers=layers))
    assert ran.failure == "did not end within 1 s"
    assert time.monotonic() - begun < 4


def processes() -> int:
    return sum(name.isdigit() for name in os.listdir("/proc"))


@WALLS
@pytest.mark.parametrize(
    "code",
    [
        "import os\nwhile True: os.fork()",
        "import os\nfor _ in range(9999):\n    try: os.fork()\n    except OSError: pass\n1 / 0",
        "import subprocess\nwhile True: subprocess.Popen(['sleep', '60'])",
        "import multiprocessing as m\nfor _ in range(99): m.Process(target=print).start()",
        "import os\nos.posix_spawn('/bin/sleep', ['sleep', '60'], {})",
        "import os\nos.execv('/bin/sleep', ['sleep', '60'])",
    ],
    ids=["bomb", "stubborn bomb", "subprocess", "multiprocessing", "spawn", "exec"],
)
def test_code_that_forks_gets_no_process(code: str, layers: tuple[str, ...]) -> None:
    """Also as root, whom a limit on processes does not bind."""
    before = processes()
    ran = run(code, layers)
    assert ran.failure.startswith("failed (")
    assert processes() <= before + 3  # others on this machine come and go


def test_where_processes_cannot_be_held_nothing_is_run() -> None:
    if os.getuid() != 0:
        pytest.skip("for all but root the limit on processes holds")
    with pytest.raises(ConfigError, match="can't keep code from starting processes"):
        run("print(1)", ("processes", "hook"))


@WALLS
def test_memory_is_bounded(layers: tuple[str, ...]) -> None:
    hog = "x = []\nwhile True: x.append(bytearray(10_000_000))"
    assert run(hog, layers).failure == "needed more than 512 MB"


@WALLS
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_flood_of_output_is_cut(stream: str, layers: tuple[str, ...]) -> None:
    ran = run(f"import sys\nwhile True: print('é' * 999, file=sys.{stream})", layers)
    assert ran.failure == "wrote more than 64 KB"
    assert len(ran.output) <= MOST_OUTPUT


def test_output_that_cannot_be_printed_is_made_harmless() -> None:
    ran = run(r"import sys; sys.stdout.buffer.write(b'a\x1b]0;title\x07\x00\xffb')")
    assert ran == Ran("a�b")


@WALLS
@pytest.mark.parametrize(
    "way",
    [
        "socket.create_connection(('127.0.0.1', PORT), 2)",
        "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('::1', PORT))",
        "__import__('urllib.request').request.urlopen('http://127.0.0.1:PORT', timeout=2)",
        "socket.socket(socket.AF_UNIX).connect('PATH')",
        "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', 'PATH')",
    ],
)
def test_no_listener_is_reached(way: str, layers: tuple[str, ...]) -> None:
    path = tempfile.mktemp(prefix="nbfuse-", suffix=".sock")  # short, as a socket's name must be
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as local:
        local.bind(path)
        local.listen()
        port = str(tcp.getsockname()[1])
        ran = run("import socket\n" + way.replace("PORT", port).replace("PATH", path), layers)
        for listening in (tcp, local):
            listening.setblocking(False)
            with pytest.raises(BlockingIOError):  # nobody waits to be let in
                listening.accept()
    os.unlink(path)
    assert ran.failure.startswith("failed (")


@WALLS
@pytest.mark.parametrize(
    "way",
    [
        "open(F, 'w').write('x')",
        "open(F, 'a').write('x')",
        "open(F, 'r+').truncate(0)",
        "__import__('os').truncate(F, 0)",
        "__import__('os').remove(F)",
        "__import__('os').rename(F, 'mine')",
        "__import__('os').rename('mine', F)",
        "__import__('os').chmod(F, 0o777)",
        "__import__('os').symlink(F, 'link')",
        "__import__('os').link(F, 'link')",
        "__import__('os').mkdir(F + '.d')",
        "__import__('sqlite3').connect(F + '.db').execute('create table t (a)')",
    ],
)
def test_nothing_outside_its_folder_is_changed(
    way: str, layers: tuple[str, ...], tmp_path: Path
) -> None:
    home = Path.home() if os.access(Path.home(), os.W_OK) else tmp_path
    with tempfile.TemporaryDirectory(dir=home) as folder:
        file = Path(folder, "kept")
        file.write_text("kept")
        mode = file.stat().st_mode
        ran = run(way.replace("F", repr(str(file)), 1), layers)
        assert ran.failure.startswith("failed (")
        assert os.listdir(folder) == ["kept"]
        assert (file.read_text(), file.stat().st_mode) == ("kept", mode)


@pytest.mark.parametrize("layers", [LAYERS, KERNEL], ids=["all", "kernel"])
def test_its_own_folder_is_empty_and_goes_with_it(layers: tuple[str, ...]) -> None:
    ran = run(
        "import os\nprint(os.listdir('.'))\nopen('a', 'w').write('x' * 9)\n"
        "print(open('a').read(), os.getcwd())",
        layers,
    )
    first, second = ran.output.splitlines()
    assert (first, second.split()[0], ran.failure) == ("[]", "x" * 9, "")
    assert not os.path.exists(second.split()[1])


def test_what_it_writes_is_bounded() -> None:
    assert "File too large" in run("open('a', 'wb').write(bytes(2**22))").failure
    many = "for i in range(10**6): open(str(i), 'w').close()"
    assert "not allowed" in run(many).failure


@WALLS
def test_the_environment_and_the_secrets_of_this_process_are_not_seen(
    layers: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBFUSE_SECRET", "sk-very-secret")
    assert "very-secret" not in run("import os; print(dict(os.environ))", layers).output
    (tmp_path / "key").write_text("sk-very-secret")
    for path in (f"/proc/{os.getpid()}/environ", str(tmp_path / "key"), "/etc/passwd"):
        ran = run(f"print(open({path!r}).read())", layers)
        assert ran.output == ""
        assert ran.failure.startswith("failed (PermissionError")


@WALLS
def test_no_other_process_is_signalled(layers: tuple[str, ...]) -> None:
    code = f"import os, signal\nos.kill({os.getpid()}, signal.SIGUSR1)"  # it would end the tests
    assert run(code, layers).failure.startswith("failed (PermissionError")


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("1 / 0", "failed (ZeroDivisionError: division by zero)"),
        ("def f(:", "failed (SyntaxError: invalid syntax)"),
        ("import sys; sys.exit(3)", "failed (left with 3)"),
        ("import os; os.abort()", "crashed (SIGABRT)"),
        ("import os; os._exit(7)", "ended with status 7"),
        ("input()", "failed (EOFError: EOF when reading a line)"),
        ("import numpy", "failed (ModuleNotFoundError: No module named 'numpy')"),
        ("import ctypes; ctypes.CDLL(None).fork()", "failed (PermissionError: "),
    ],
)
def test_what_went_wrong_is_said(code: str, failure: str) -> None:
    assert run(code).failure.startswith(failure)


def test_the_loop_goes_on_while_code_runs() -> None:
    async def both() -> int:
        running = asyncio.create_task(run_python("import time; time.sleep(1)"))
        ticks = 0
        while not running.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return ticks

    assert asyncio.run(both()) > 30


def test_leaving_ends_the_process(tmp_path: Path) -> None:
    async def leave() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await run_python("while True: pass")

    begun = time.monotonic()
    asyncio.run(leave())
    assert time.monotonic() - begun < 2
