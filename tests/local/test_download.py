"""`nbfuse pull` against a hub on loopback: whole, broken off, corrupted, too large, away."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import hub
import pytest

from nbfuse.local.catalog import catalog, find, from_hub
from nbfuse.local.kinds import MLX

pytest.importorskip("huggingface_hub")
PADDING = 20_000_000  # a tiny model and zeros behind it, so that the middle can be met
NAME = "Model-Q4_K_M.gguf"
SPEC = f"hf:{hub.REPO}/{NAME}"


@pytest.fixture(scope="module")
def content() -> bytes:
    return catalog()["tiny-calc"].path().read_bytes() + bytes(PADDING)


@pytest.fixture
def server(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[hub.Hub]:
    files = {NAME: content, "mmproj-Q4_K_M.gguf": b"GGUF", "README.md": b"hello"}
    with hub.running(files) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
        yield running


def pull(
    spec: str = SPEC, *options: str, before: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, sys.executable, "-m", "nbfuse", "pull", spec, *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def own(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "config" / "nbfuse"
    folder.mkdir(parents=True)
    (folder / "models.toml").write_text(text)


MINE = f"""
[mine]
repo = "{hub.REPO}"
quants = [{{ name = "Q4_K_M", bytes = 20_000_000 }}, {{ name = "Q8_0", bytes = 1 }}]
license = "MIT"
"""


def test_a_pulled_model_answers(server: hub.Hub, content: bytes, tmp_path: Path) -> None:
    own(tmp_path, MINE)
    assert not catalog()["mine"].here
    done = pull("local:mine")
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    assert path.read_bytes() == content
    assert "licence: MIT" in done.stderr
    assert "100%" in done.stderr  # the bar
    assert catalog()["mine"].path() == path
    words = ("ask", "-m", "local:mine", "-j", "local:tiny-judge", "What is 12 + 30?")
    told = subprocess.run(
        [sys.executable, "-m", "nbfuse", *words], capture_output=True, text=True, check=False
    )
    assert "42" in told.stdout
    asked = len(server.ranges)
    again = pull("local:MINE".lower())
    assert "here already" in again.stderr
    assert len(server.ranges) == asked


def test_a_quantisation_is_named_behind_the_model(server: hub.Hub, tmp_path: Path) -> None:
    own(tmp_path, MINE)
    done = pull("local:mine:q8_0")
    assert done.returncode == 1
    assert "has no file for Q8_0" in done.stderr
    assert "has no quantisation 'q9'" in pull("local:mine:q9").stderr


def test_a_dropped_connection_goes_on_where_it_broke(server: hub.Hub, content: bytes) -> None:
    server.drop_at = 15_000_000  # the client writes ten million at once
    done = pull()
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_bytes() == content
    first, second = server.ranges
    assert first is None
    assert second is not None, "it began anew"


def test_a_wrong_checksum_is_refused_and_the_file_is_taken_away(server: hub.Hub) -> None:
    server.corrupt = True
    done = pull()
    assert done.returncode == 1
    assert "its checksum differs" in done.stderr
    assert not from_hub(f"{hub.REPO}/{NAME}").here
    server.corrupt = False
    assert pull().returncode == 0  # and it can be had again


def test_the_disk_is_looked_at_before_anything_is_fetched(server: hub.Hub) -> None:
    server.claims = 10**15
    done = pull()
    assert done.returncode == 1
    assert "on the disk" in done.stderr
    assert "HF_HOME" in done.stderr
    assert not server.ranges


def test_a_disk_that_fills_up_is_said_and_no_half_file_is_a_model(
    server: hub.Hub, content: bytes, tmp_path: Path
) -> None:
    server.files[NAME] = content + bytes(150_000_000)
    server.claims = 1  # so that the look before lets it through
    home = tmp_path / "hf"
    home.mkdir()
    alone = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c"]
    small = 'mount -t tmpfs -o size=110m small "$HF_HOME"'
    known = shutil.which("unshare") is not None
    if not known or subprocess.run([*alone, small], check=False, capture_output=True).returncode:
        # no disk of one's own here: a limit on files breaks the same write in the same place
        alone, small = ["bash", "-c"], "ulimit -f 100000"
    script = f'{small} && "$@"; code=$?; find "$HF_HOME" -name "*.gguf" | wc -l >&2; exit $code'
    done = pull(before=(*alone, script, "bash"))
    assert done.returncode == 1
    assert "The disk is full" in done.stderr
    assert done.stderr.splitlines()[-1] == "0"


def test_a_hub_that_is_down_is_an_error_that_says_what_to_do(
    server: hub.Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    done = pull()
    assert done.returncode == 1
    assert "DownloadError" in done.stderr
    assert "Traceback" not in done.stderr


def test_offline_is_honoured(server: hub.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "Unset HF_HUB_OFFLINE" in pull().stderr
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("NBFUSE_LOCAL_ONLY", "1")
    assert "PrivacyError" in pull().stderr
    assert not server.ranges


def test_an_unknown_repository_or_file_is_named(server: hub.Hub) -> None:
    assert "no repository" in pull("hf:who/what/x.gguf").stderr
    assert "Did you mean" in pull(f"hf:{hub.REPO}/Model-Q4_K_S.gguf").stderr
    assert "Name local:MODEL" in pull("tiny-calc").stderr


def test_an_interrupted_pull_leaves_no_file_and_goes_on_later(
    server: hub.Hub, content: bytes
) -> None:
    server.files[NAME] = content + bytes(300_000_000)
    child = subprocess.Popen(
        [sys.executable, "-m", "nbfuse", "pull", SPEC],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # pytest may run behind
    )
    folder = Path(os.environ["HF_HOME"])
    end = time.monotonic() + 20
    while not list(folder.rglob("*.incomplete")) and time.monotonic() < end:
        time.sleep(0.005)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=20)
    assert child.returncode == 130, said
    assert "goes on where it stopped" in said
    assert "Traceback" not in said
    assert not from_hub(f"{hub.REPO}/{NAME}").here


FOLDER = {
    "config.json": b'{"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64}',
    "model-00001-of-00002.safetensors": b"one",
    "model-00002-of-00002.safetensors": b"two",
    "model.safetensors.index.json": b'{"weight_map": {"a": "model-00001-of-00002.safetensors", '
    b'"b": "model-00002-of-00002.safetensors"}}',
    "tokenizer.json": b"{}",
    "README.md": b"not needed",
}


def test_a_folder_for_mlx_is_fetched_whole_and_nothing_else(server: hub.Hub) -> None:
    server.files = FOLDER
    server.corrupt = False
    assert not from_hub(hub.REPO).here
    done = pull(f"hf:{hub.REPO}")
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert {file.name for file in folder.iterdir()} == set(FOLDER) - {"README.md"}
    assert from_hub(hub.REPO).path() == folder
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert not from_hub(hub.REPO).here  # as while it is being fetched


def test_a_repository_without_weights_for_mlx_is_refused(server: hub.Hub) -> None:
    assert "holds no weights for MLX" in pull(f"hf:{hub.REPO}").stderr


def test_a_model_in_both_forms_is_fetched_in_the_one_that_suits(
    server: hub.Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files |= FOLDER
    both = f'mlx = "{hub.REPO}"\nmmproj = "mmproj-Q4_K_M.gguf"\nlicense'
    own(tmp_path, MINE.replace("license", both))
    assert pull("local:mine:q4_k_m").stdout.strip().endswith(NAME)
    if MLX.found() is None:
        pytest.skip("MLX is not here: pip install 'nbfuse[mlx]'")
    monkeypatch.setenv("NBFUSE_ENGINE", "mlx-lm")
    assert catalog()["mine"].path().name == NAME  # what is here is good enough
    folder = pull(f"hf:{hub.REPO}").stdout.strip()
    assert str(catalog()["mine"].path()) == folder
    assert find("mine:q4_k_m").path().name == NAME
    assert pull("local:mine", "--vision").returncode == 0
    assert catalog()["mine"].path().name == NAME  # MLX could not be shown pictures


def test_the_part_for_pictures_is_fetched_when_asked_for(server: hub.Hub, tmp_path: Path) -> None:
    own(tmp_path, MINE.replace("license", 'mmproj = "mmproj-Q4_K_M.gguf"\nlicense'))
    assert pull("local:mine").returncode == 0
    assert catalog()["mine"].projector() is None
    asked = len(server.ranges)
    done = pull("local:mine", "--vision")
    assert done.returncode == 0, done.stderr
    assert len(server.ranges) == asked + 1  # the weights are here already
    assert catalog()["mine"].projector().read_bytes() == b"GGUF"
