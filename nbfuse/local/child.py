"""One process that serves models over loopback, and what can be said of it from outside.

It is ended by killing it: dropping a server inside it that still answers hangs for good, and a long
prompt can be stopped in no other way. It never outlives this process.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from nbfuse.core.errors import ModelFileError, OutOfMemoryError, ProviderUnavailableError
from nbfuse.local.folder import size
from nbfuse.local.kinds import INSTALL, INSTALL_MLX, MLX, Kind
from nbfuse.paths import cache_folder

KEPT_LOGS = 5
DEATH_S = 0.3
LOOK_S = 0.03  # how long one looks whether it computes
TELL_S = 0.1  # within which it says what it computes: 0.02 alone, 0.03 beside two other programs

_OUT_OF_MEMORY = re.compile(
    r"failed to allocate|unable to allocate|out of memory|bad_alloc"
    r"|\[malloc|Attempting to allocate|Insufficient Memory"  # MLX and Metal
    r"|Resource temporarily unavailable",  # no memory for a thread's stack
    re.IGNORECASE,
)
# llama.cpp's first complaint names the cause, the later ones only what failed because of it
_REASON = re.compile(r"(?: E +\S+: (?:error loading model: )?|what\(\): +|ValueError: +)(.+)")


class _Slot(msgspec.Struct):
    is_processing: bool


class _Reply(msgspec.Struct):
    url: str = ""
    error: str = ""


class Flight:
    """A request on its way: whether it can go on with another process, and whether it has to."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.resumable = False
        self.ended = False


class Child:
    """The process; its methods block. Its owner notes in `flights` what it is working on."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.key = secrets.token_urlsafe(32)
        self.flights: set[Flight] = set()
        self.servers: dict[object, str] = {}  # URLs by what is loaded
        self.names: dict[str, object] = {}  # what was loaded last, by the names of models
        self.loading = threading.Lock()
        self._log = _new_log()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(Path(__file__).with_name("serve.py")), self.kind.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                start_new_session=True,  # an interrupt of the notebook must not reach it
                # spinning threads hold the cores that others need: two children of llama.cpp's
                # OpenMP build fell below a fiftieth of their speed
                env=os.environ | {"NBFUSE_ENGINE_KEY": self.key, "OMP_WAIT_POLICY": "passive"},
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def busy(self) -> bool:
        """Whether it computes at this moment, seen from the processor time that it takes."""
        import psutil

        def taken() -> float:
            whole = [about, *about.children(recursive=True)]
            times = [process.cpu_times() for process in whole]
            return float(sum(one.user + one.system for one in times))

        try:
            about = psutil.Process(self.pid)
            before = taken()
            time.sleep(LOOK_S)
            return taken() - before > LOOK_S / 3
        except psutil.Error:
            return False

    def at_work(self, url: str) -> int | None:
        """How many requests the server at `url` computes; None where that can't be told."""
        address = urlsplit(url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=TELL_S)
        try:
            connection.request("GET", "/slots", headers={"Authorization": f"Bearer {self.key}"})
            slots = msgspec.json.decode(connection.getresponse().read(), type=list[_Slot])
        except (OSError, http.client.HTTPException, msgspec.MsgspecError):
            return None
        finally:
            connection.close()
        return sum(slot.is_processing for slot in slots)

    def death(self) -> str | None:
        """Why it is gone, or None while it runs."""
        try:  # its connections close a moment before the process is seen to be gone
            code = self._process.wait(timeout=DEATH_S)
        except subprocess.TimeoutExpired:
            return None
        return f"it was killed by signal {-code}" if code < 0 else f"it ended with code {code}"

    def kill(self) -> None:
        """End it now, whatever it does, and the programs that it has started."""
        if hasattr(os, "killpg") and self.alive:
            os.killpg(self.pid, signal.SIGKILL)  # it leads a group of its own
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError, ValueError):  # another thread may be reading
                    pipe.close()

    def load(self, path: Path, request: dict[str, object]) -> str:
        """The base URL at which the model in `path` answers now, loaded as `request` says.

        Raises `ModelFileError`, `OutOfMemoryError` or `ProviderUnavailableError`.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        mark = self._log.stat().st_size if self._log.exists() else 0
        try:
            self._process.stdin.write(msgspec.json.encode(request).decode() + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except (BrokenPipeError, ValueError):
            line = ""
        if not line:  # it died while it loaded: llama.cpp aborts on some files
            self._process.wait()
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
                needed=size(path),
            )
        if self.kind == MLX:
            return self._mlx_error(path, reason)
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

    def _mlx_error(self, path: Path, reason: str) -> Exception:
        if "ImportError" in reason or "ModuleNotFoundError" in reason:
            return ProviderUnavailableError(f"MLX can't be loaded: {reason}.", INSTALL_MLX)
        return ModelFileError(
            f"{path.name} can't be loaded: {reason[:300].rstrip('.')}.",
            f"Is it a whole folder of a kind that mlx-lm knows? Log: {self._log}",
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


def _new_log() -> Path:
    """A log file in the cache folder, else in a temporary one; those of ended processes go."""
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
