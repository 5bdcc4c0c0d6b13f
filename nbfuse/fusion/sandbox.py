"""Runs a member's Python code, to compare answers by what their code prints.

The code gets a process of its own with limits on time, memory and output, an empty folder, none of
this process's environment, and the standard library alone. On Linux the kernel refuses it all but
computing: no new process, no socket of any network (seccomp), no file outside its folder but
Python's own (Landlock; where the kernel has none it can write nothing at all, and what it reads is
watched in Python only). Elsewhere limits, an audit hook and, on macOS, `sandbox-exec` do what they
can; that was never tried. It protects from what models write by mistake or from spite; it is no
virtual machine: a hole in the kernel or in CPython is a hole here. Where processes can't be kept
from multiplying, and on Windows, nothing is run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from nbfuse.core.clean import clean
from nbfuse.core.errors import ConfigError

SECONDS = 5.0
MEMORY = 512 * 2**20
MOST_OUTPUT = 64 * 1024  # bytes; an answer that prints more is not compared by eye either
MOST_WRITTEN = 2**20  # bytes in one file
STATUSES = {"unsafe": 120, "raised": 121, "no_memory": 122}  # how the jail says how it ended
LAYERS = ("namespaces", "landlock", "filter", "processes", "hook")

_JAIL = str(Path(__file__).with_name("jail.py"))  # not imported: it wants a POSIX system
_ALONE = ("-s", "-S", "-P", "-B", "-X", "utf8")  # no -I: the seed of hashes comes by environment
_APPLE = (
    '(version 1)(allow default)(deny network*)(deny process-fork)(deny file-write* (subpath "/"))'
    '(allow file-write* (subpath "{folder}"))'
)


class Ran(NamedTuple):
    """What code has printed, and in `failure` what went wrong, as the end of a sentence."""

    output: str
    failure: str = ""


async def run_python(code: str, seconds: float = SECONDS, layers: tuple[str, ...] = LAYERS) -> Ran:
    """Run `code`; raises `ConfigError` where this machine can't confine it.

    `layers` are what confines it, for tests to take away.
    """
    if sys.platform == "win32":
        raise ConfigError("Code can't be run safely on Windows.", "Leave out --run.")
    with tempfile.TemporaryDirectory(prefix="nbfuse-run-") as folder:
        folder = os.path.realpath(folder)
        process = await asyncio.create_subprocess_exec(
            *_command(folder, seconds, layers),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=folder,
            env={"PYTHONHASHSEED": "0", "HOME": folder, "TMPDIR": folder, "TZ": "UTC"},
            start_new_session=True,
        )
        try:
            return await _ran(process, code, seconds)
        finally:
            _kill(process)
            await process.wait()


def _command(folder: str, seconds: float, layers: tuple[str, ...]) -> list[str]:
    settings = {"folder": folder, "seconds": seconds, "memory": MEMORY, "written": MOST_WRITTEN}
    words = [sys.executable, *_ALONE, _JAIL]
    words.append(json.dumps(settings | STATUSES | {"layers": layers}))
    if sys.platform == "darwin" and (tool := shutil.which("sandbox-exec")):
        words = [tool, "-p", _APPLE.format(folder=folder), *words]
    return words


async def _ran(process: asyncio.subprocess.Process, code: str, seconds: float) -> Ran:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with contextlib.suppress(ConnectionError):  # it may have refused before it read
        process.stdin.write(code.encode(errors="replace"))
        process.stdin.close()
    reading = asyncio.gather(_read(process, process.stdout), _read(process, process.stderr))
    in_time = True
    try:
        async with asyncio.timeout(seconds):
            await asyncio.shield(reading)
    except TimeoutError:
        in_time = False
    finally:
        _kill(process)  # closes what it still holds open, so that the reading ends
        out, err = await reading
        await process.wait()
    said = clean(err[:MOST_OUTPUT].decode(errors="replace")).strip()
    if process.returncode == STATUSES["unsafe"]:
        raise ConfigError(f"Code can't be run safely here: {said}.", "Leave out --run.")
    output = clean(out[:MOST_OUTPUT].decode(errors="replace"))
    if not in_time or process.returncode == -signal.SIGXCPU:
        return Ran(output, f"did not end within {seconds:g} s")
    if max(len(out), len(err)) > MOST_OUTPUT:
        return Ran(output, f"wrote more than {MOST_OUTPUT // 1024} KB")
    return Ran(output, _failure(process.returncode or 0, said))


def _failure(status: int, said: str) -> str:
    if status == STATUSES["no_memory"]:
        return f"needed more than {MEMORY // 2**20} MB"
    if status == STATUSES["raised"]:
        return f"failed ({said})"
    if status < 0:
        return f"crashed ({signal.Signals(-status).name})"
    return f"ended with status {status}" if status else ""


async def _read(process: asyncio.subprocess.Process, stream: asyncio.StreamReader) -> bytes:
    """What comes, to its end; who writes too much is ended, and the rest is let go."""
    kept = b""
    while piece := await stream.read(MOST_OUTPUT):
        if len(kept) <= MOST_OUTPUT:
            kept += piece
        if len(kept) > MOST_OUTPUT:
            _kill(process)
    return kept


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended
        os.killpg(process.pid, signal.SIGKILL)


_found_safe: set[str] = set()  # the interpreters with which it has worked


async def check_sandbox() -> None:
    """Raise `ConfigError` where code can't be run safely; found out once, by running some."""
    if sys.executable in _found_safe:
        return
    ran = await run_python("print(6 * 7)")
    if ran != Ran("42\n"):
        raise ConfigError(
            f"Code can't be run safely here: a test of it {ran.failure or 'printed nonsense'}.",
            "Leave out --run.",
        )
    _found_safe.add(sys.executable)
