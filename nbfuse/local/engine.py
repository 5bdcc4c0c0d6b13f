"""The engine: one supervised child process that serves every local model over loopback.

One child and not one a model, with passive waiting: two children on the same cores fell below a
fiftieth of the speed (facts of llama.cpp's OpenMP build). It is ended by killing it: dropping a
server inside it that still answers hangs for good. It starts with the first model that is asked
for, starts again after a crash, and never outlives this process.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import re
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from nbfuse.core.errors import (
    ModelFileError,
    OutOfMemoryError,
    ProviderUnavailableError,
)
from nbfuse.local import memory
from nbfuse.local.catalog import LocalModel, check_file
from nbfuse.local.gguf import read_header
from nbfuse.paths import cache_folder

INSTALL = "Install the engine: pip install 'nbfuse[local]'"
KEPT_LOGS = 5
DEATH_S = 0.3

_OUT_OF_MEMORY = re.compile(
    r"failed to allocate|unable to allocate|out of memory|bad_alloc"
    r"|Resource temporarily unavailable",  # no memory for a thread's stack
    re.IGNORECASE,
)
# llama.cpp's first complaint names the cause, the later ones only what failed because of it
_REASON = re.compile(r"(?: E +\S+: (?:error loading model: )?|what\(\): +)(.+)")


class Server(NamedTuple):
    """Where a model answers, and the key that it wants."""

    base_url: str
    key: str


class _Reply(msgspec.Struct):
    url: str = ""
    error: str = ""


class Engine:
    """Starts and minds the child process. Its methods block; call them in a worker thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._owner = 0
        self._servers: dict[tuple[object, ...], Server] = {}
        self._log = Path(os.devnull)
        self._key = ""

    @property
    def pid(self) -> int | None:
        """The child's process id, while it runs."""
        alive = self._child is not None and self._child.poll() is None
        return self._child.pid if alive and self._child else None

    def serve(self, model: LocalModel, name: str = "") -> Server:
        """Where `model` answers; starts the child and loads the model where needed.

        `name` is what errors call it.

        Raises `ModelNotFoundError`, `ModelFileError`, `OutOfMemoryError` or
        `ProviderUnavailableError`.
        """
        path = check_file(model, name)
        about = path.stat()  # a file that was replaced is another one
        file = (path, about.st_mtime_ns, about.st_size, model.context, model.slots, model.threads)
        with self._lock:
            child = self._running_child()
            if file not in self._servers:
                self._servers[file] = Server(self._load(child, model, path), self._key)
            return self._servers[file]

    def death(self) -> str | None:
        """Why the child is gone, or None while it runs (or was never started)."""
        if self._child is None:
            return None
        try:  # its connections close a moment before the process is seen to be gone
            code = self._child.wait(timeout=DEATH_S)
        except subprocess.TimeoutExpired:
            return None
        return f"it was killed by signal {-code}" if code < 0 else f"it ended with code {code}"

    def stop(self) -> None:
        """Kill the child, if this process started it; the next `serve` starts a new one."""
        if self.pid is not None and self._child is not None and self._owner == os.getpid():
            self._child.kill()  # now, although another thread may hold the lock while it loads
        with self._lock:
            self._kill()

    def _running_child(self) -> subprocess.Popen[str]:
        # after a fork the child belongs to the other process: its pipes must not be shared
        if self._child is None or self._owner != os.getpid() or self._child.poll() is not None:
            self._kill()
            self._start()
        assert self._child is not None
        return self._child

    def _start(self) -> None:
        if importlib.util.find_spec("xllamacpp") is None:
            raise ProviderUnavailableError("There is no engine for local models here.", INSTALL)
        self._key, self._owner = secrets.token_urlsafe(32), os.getpid()
        self._log = new_log()
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("serve.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                start_new_session=True,  # an interrupt of the notebook must not reach it
                env=os.environ | {"NBFUSE_ENGINE_KEY": self._key, "OMP_WAIT_POLICY": "passive"},
            )

    def _kill(self) -> None:
        if self._child is not None and self._owner == os.getpid():
            self._child.kill()
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    pipe.close()
        self._child = None
        self._servers.clear()

    def _load(self, child: subprocess.Popen[str], model: LocalModel, path: Path) -> str:
        assert child.stdin is not None
        assert child.stdout is not None
        way = memory.choose(path.name, read_header(path), model.context, memory.available())
        mark = self._log.stat().st_size if self._log.exists() else 0
        request = {
            "path": str(path),
            "slots": model.slots,
            "threads": model.threads or cores(),
            **way._asdict(),
        }
        try:
            child.stdin.write(msgspec.json.encode(request).decode() + "\n")
            child.stdin.flush()
            line = child.stdout.readline()
        except (BrokenPipeError, ValueError):
            line = ""
        if not line:  # the child died while it loaded: llama.cpp aborts on some files
            child.wait()
            raise self._load_error(path, f"the engine died: {self.death()}", mark)
        reply = msgspec.json.decode(line, type=_Reply)
        if reply.error:
            raise self._load_error(path, reply.error, mark)
        return f"{reply.url}/v1"

    def _load_error(self, path: Path, reason: str, mark: int) -> Exception:
        log = self._read_log(mark)
        if _OUT_OF_MEMORY.search(log + reason) or "signal 9" in reason:
            return OutOfMemoryError(
                f"There is not enough memory to load {path.name}.",
                "Free some memory, or choose a smaller model or a shorter context.",
                needed=path.stat().st_size,
            )
        if "ImportError" in reason:
            return ProviderUnavailableError(
                f"The engine can't be loaded: {reason}.",
                "On Debian and Ubuntu: apt-get install libgomp1",
            )
        if "AttributeError" in reason:  # a setting of llama.cpp that this release has renamed
            return ProviderUnavailableError(f"The engine does not fit: {reason}.", INSTALL)
        why = _REASON.search(log)
        return ModelFileError(
            f"{path.name} can't be loaded: {why[1][:300] if why else reason}.",
            f"Is it a whole GGUF file of a kind that llama.cpp knows? Log: {self._log}",
        )

    def _read_log(self, mark: int) -> str:
        """What llama.cpp has written since `mark`; a thread of its own may be a moment late."""
        for _ in range(10):
            try:
                log = self._log.read_bytes()[mark:].decode("utf-8", errors="replace")
            except OSError:  # somebody has cleared the cache
                return ""
            if _REASON.search(log):
                return log
            time.sleep(0.03)
        return log

    def leave_parent(self) -> None:
        """After a fork: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def new_log() -> Path:
    """A fresh log file in the cache folder, else in a temporary one; old ones are removed."""
    name = f"engine-{os.getpid()}.log"
    try:
        folder = cache_folder()
        logs = sorted(folder.glob("engine-*.log"), key=lambda log: log.stat().st_mtime)
        for old in logs[:-KEPT_LOGS]:
            with contextlib.suppress(OSError):  # on Windows an open file can't be removed
                if not _runs(int(old.stem.rpartition("-")[2])):
                    old.unlink()
        log = folder / name
        log.touch()
    except (OSError, ValueError):
        log = Path(tempfile.mkdtemp(prefix="nbfuse-")) / name
        log.touch()
    return log


def _runs(pid: int) -> bool:
    if os.name == "nt":  # there signal 0 is an interrupt
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


engine = Engine()
atexit.register(engine.stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=engine.leave_parent)
