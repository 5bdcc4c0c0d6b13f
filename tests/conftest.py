"""Fixtures that most tests share: private folders, no key, a server that looks like OpenRouter."""

from __future__ import annotations

import os
import socket
from collections.abc import Generator, Iterator
from pathlib import Path

import lookalike
import pytest

from nbfuse.local.catalog import find
from nbfuse.local.engine import engine


@pytest.fixture(autouse=True)
def _private_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty home without keys, so that no test sees or touches the user's own."""
    for name in ("CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    for name in ("OPENROUTER_API_KEY", "OPENROUTER_BASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)


@pytest.fixture(autouse=True)
def _only_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse any connection that would leave the machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0])
            assert host.startswith("127.") or host == "::1", f"a test wants to reach {host}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session", autouse=True)
def _engine_ends() -> Iterator[None]:
    yield
    engine.stop()


@pytest.fixture(scope="session")
def mlx_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tiny models, and SmolLM2 unpacked, as folders for MLX, by their names in the catalog."""
    import mlx_weights

    names = ("tiny-calc", "tiny-units", "tiny-atlas", "tiny-judge", "smollm2-135m")
    home = tmp_path_factory.mktemp("mlx")
    paths = {name: path for name in names if (path := find(name).path())}
    if "smollm2-135m" in paths:  # MLX's build for the CPU multiplies packed weights 4 x more slowly
        paths["smollm2-135m"] = mlx_weights.unpack(paths["smollm2-135m"], home / "plain.gguf")
    return {name: mlx_weights.write(path, home / name) for name, path in paths.items()}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[lookalike.LookAlike]:
    """An OpenRouter look-alike, with the environment pointing at it."""
    with lookalike.running() as running:
        monkeypatch.setenv("OPENROUTER_BASE_URL", running.base_url)
        monkeypatch.setenv("OPENROUTER_API_KEY", lookalike.KEY)
        yield running


def _required(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Where CI asks for it, a skipped test is a failed one: nothing may be missing there."""
    if report.skipped and os.environ.get("NBFUSE_TESTS") == "required":
        report.outcome = "failed"
        report.longrepr = f"skipped, but required here: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _required(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _required(report)
    return report
