"""The engine: supervised child processes that serve local models over loopback.

Small models share one child; a large one has its own, so that it can be stopped in the middle of a
long prompt, crash, or be unloaded, and no other model is touched. Children start with the first
model that is asked for, start again after a crash, and never outlive this process.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from nbfuse.core.errors import OutOfMemoryError
from nbfuse.local import memory
from nbfuse.local.catalog import LocalModel, check_file
from nbfuse.local.child import Child, Flight
from nbfuse.local.fit import read_head
from nbfuse.local.folder import size, stamp
from nbfuse.local.kinds import MLX, Kind, kind_for

SHARED_BYTES = 64_000_000  # a file up to here lives with others: a process costs 20 MB of its own
PRESSURE_LOOK_S = 5.0
# after which a prompt that nobody waits for is looked at: idle within 0.3 s, but on a busy machine
# its process may get nothing done, and say nothing, within one look
LOOKS_S = (0.07, 0.1, 0.2, 0.4, 0.8)


class Server(NamedTuple):
    """Where a model answers, the key that it wants, and the process that it lives in."""

    base_url: str
    key: str
    child: Child


class Engine:
    """Starts and minds the children. `serve` and `stop` block; call them in a worker thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: dict[str, Child] = {}
        self._owner = os.getpid()
        self._minder: threading.Thread | None = None

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the children that run."""
        return tuple(child.pid for child in list(self._children.values()) if child.alive)

    def serve(self, model: LocalModel, name: str = "", pooling: str = "") -> Server:
        """Where `model` answers; starts a child and loads the model where needed.

        `name` is what errors call it. With a `pooling` (mean, cls, last) it says no words, but
        where texts lie; a model that is asked for both is loaded twice. Raises
        `ModelNotFoundError`, `ModelFileError`, `OutOfMemoryError` or `ProviderUnavailableError`.
        """
        path = check_file(model, name)
        # weights that were replaced are another model
        kind = kind_for(path)
        eyes = model.projector() if kind.vision else None
        chosen = (model.context, model.slots, model.threads, model.gpu_layers, model.idle_s)
        loaded = (*stamp(path), eyes, *chosen, pooling)
        shared = kind != MLX and size(path) <= SHARED_BYTES
        child = self._child("" if shared else f"{path}{pooling}", kind, name, loaded)
        with child.loading:
            ended = bool(child.servers) and not child.alive  # by `abandon`, while this waited
            if not ended and loaded not in child.servers:
                way = self._way(path, eyes, model.context, child, pooling)
                request = {
                    "path": str(path),
                    "mmproj": str(eyes or ""),
                    "slots": model.slots,
                    "threads": model.threads or cores(),
                    "gpu_layers": -1 if model.gpu_layers is None else model.gpu_layers,
                    "idle_s": -1 if shared else model.idle_s,
                    "pooling": pooling,
                    **way._asdict(),
                }
                child.servers[loaded] = child.load(path, request)
                if not shared:
                    self._mind_memory()
            if not shared:
                child.names[name] = loaded
        if ended:
            return self.serve(model, name, pooling)
        return Server(child.servers[loaded], child.key, child)

    @contextlib.contextmanager
    def using(self, server: Server) -> Iterator[Flight]:
        """Note a request to `server` while it lasts."""
        flight = Flight(server.base_url)
        with self._lock:
            server.child.flights.add(flight)
        try:
            yield flight
        finally:
            with self._lock:
                server.child.flights.discard(flight)

    def abandon(self, server: Server) -> None:
        """A request has been left before its first token: end its process if it computes on.

        Closing the connection alone stops no long prompt: llama.cpp's server looks at it once a
        second, and not at all while another request runs. Others that it works on are ended with
        it, if each of them can go on elsewhere.
        """
        if server.child is self._children.get(""):
            return  # small models are done with any prompt in a moment
        threading.Thread(target=self._end_if_left, args=(server,), daemon=True).start()

    def _end_if_left(self, server: Server) -> None:
        child = server.child
        for pause in LOOKS_S:
            time.sleep(pause)
            with child.loading:  # what it loads, somebody wants
                mine = sum(flight.url == server.base_url for flight in tuple(child.flights))
                works = child.busy() and (not mine or (child.at_work(server.base_url) or 0) > mine)
                if works:
                    self._end(child)
                    return

    def _end(self, child: Child) -> None:
        """End it, if all that it is asked can go on elsewhere."""
        with self._lock:
            if child.alive and all(flight.resumable for flight in child.flights):
                for flight in child.flights:
                    flight.ended = True
                child.kill()

    def stop(self) -> None:
        """Kill the children, if this process started them; the next `serve` starts anew."""
        children, self._children = self._children, {}
        if self._owner == os.getpid():
            for child in children.values():
                child.kill()

    def _child(self, group: str, kind: Kind, name: str, loaded: object) -> Child:
        with self._lock:
            if self._owner != os.getpid():  # after a fork they belong to the other process
                self._children, self._owner = {}, os.getpid()
            child = self._children.get(group)
            if child is None or not child.alive or _outdated(child, kind, name, loaded):
                if child is not None:
                    child.kill()  # closes its pipes
                child = self._children[group] = Child(kind)
            return child

    def _way(
        self, path: Path, eyes: Path | None, context: int, child: Child, pooling: str
    ) -> memory.Setting:
        """How the model will be loaded; large models that nobody uses make room for it."""
        header, beside = read_head(path), size(eyes) if eyes else 0
        beside += memory.unused_words(header) if pooling else 0
        try:
            return memory.choose(path.name, header, context, memory.available() - beside)
        except OutOfMemoryError:
            with self._lock:
                idle = self._idle() - {child}
                for other in idle:
                    other.kill()
            if not idle:
                raise
            return memory.choose(path.name, header, context, memory.available() - beside)

    def _idle(self) -> set[Child]:
        """Those of large models that nobody uses; the lock is held."""
        return {
            child
            for group, child in self._children.items()
            if group and child.alive and not child.flights and not child.loading.locked()
        }

    def _mind_memory(self) -> None:
        """From now on, let large models go that nobody uses when memory gets short."""
        with self._lock:
            if self._minder is None or not self._minder.is_alive():
                self._minder = threading.Thread(target=self._mind, daemon=True)
                self._minder.start()

    def _mind(self) -> None:
        idle: set[Child] = set()
        while self.pids:
            time.sleep(PRESSURE_LOOK_S)
            with self._lock:
                idle, before = self._idle(), idle  # one just loaded is about to be used
                if memory.available() < memory.RESERVE:
                    for child in idle & before:
                        child.kill()

    def leave_parent(self) -> None:
        """After a fork: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()


def _outdated(child: Child, kind: Kind, name: str, loaded: object) -> bool:
    """Whether the engine or the settings of that model have changed, and nobody uses it."""
    if child.flights or child.loading.locked():
        return False
    return child.kind != kind or child.names.get(name, loaded) != loaded


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


engine = Engine()
atexit.register(engine.stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=engine.leave_parent)
