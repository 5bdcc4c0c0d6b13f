"""Which models are known by name, where their files are found, and whether they fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from nbfuse.core.errors import ConfigError, ModelFileError, ModelNotFoundError, OutOfMemoryError
from nbfuse.local import fit, memory
from nbfuse.local.catalog import catalog, check_file, find, from_hub
from nbfuse.local.gguf import read_header
from nbfuse.local.memory import GIB, MIB, Setting, choose, longest_context, need
from nbfuse.report import fit_rows, local_rows

TINY = catalog()["tiny-calc"].path()


def own_models(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "config" / "nbfuse"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "models.toml").write_text(text)


# --- names ------------------------------------------------------------------------------------


def test_every_model_of_the_hub_says_what_a_user_must_know() -> None:
    models = {name: model for name, model in catalog().items() if model.repo}
    assert {"ministral-3b", "ministral-3b-reasoning", "qwen3-4b", "phi-4-mini"} <= set(models)
    for model in models.values():
        assert model.license
        assert model.mlx
        assert model.shape
        assert model.trained_context >= model.context
        assert model.quants[0].name == "Q4_K_M"


def test_a_quantisation_is_chosen_behind_the_name() -> None:
    assert find("ministral-3b").quantisation == "Q4_K_M"
    assert find("ministral-3b:q8_0").quantisation == "Q8_0"
    with pytest.raises(ModelNotFoundError) as caught:
        find("ministral-3b:q8")
    assert "Q8_0" in caught.value.hint
    with pytest.raises(ModelNotFoundError, match="no local model") as caught:
        find("ministral")
    assert "ministral-3b" in caught.value.hint


def test_a_model_that_is_not_here_says_its_size_its_licence_and_how_to_fetch_it() -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        check_file(find("ministral-3b"), "ministral-3b")
    assert "Q4_K_M, 2.1 GB, Apache-2.0" in caught.value.message
    assert caught.value.hint == "Fetch it: nbfuse pull local:ministral-3b"


def test_users_add_models_and_change_ours(tmp_path: Path) -> None:
    own_models(tmp_path, f'[mine]\nfile = "{TINY}"\n[tiny-calc]\nfile = "{TINY}"\ncontext = 2048')
    assert catalog()["mine"].here
    assert catalog()["tiny-calc"].context == 2048
    own_models(tmp_path, '[mine]\nfile = "x"\ncontexts = 3')
    with pytest.raises(ConfigError, match=r"models\.toml.*contexts"):
        catalog()


# --- files ------------------------------------------------------------------------------------


def test_the_hubs_cache_is_read_without_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    model = find("ministral-3b")
    folder = tmp_path / "hf" / "hub" / f"models--{model.repo.replace('/', '--')}"
    snapshot = folder / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    assert model.path() is None
    for name in ("Ministral-3-3B-Instruct-2512-Q8_0.gguf", "mmproj-Q4_K_M.gguf"):
        shutil.copy(TINY, snapshot / name)
    assert model.path() is None  # another quantisation, and not a model
    (snapshot / "Ministral-3-3B-Instruct-2512-Q4_K_M.gguf").symlink_to(tmp_path / "nowhere")
    assert model.path() is None  # a link to a blob that is not there
    assert find("ministral-3b:Q8_0").here
    assert from_hub(f"{model.repo}/Ministral-3-3B-Instruct-2512-Q8_0.gguf").here


def test_what_ollama_and_lm_studio_have_fetched_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    blobs = tmp_path / ".ollama" / "models" / "blobs"
    manifest = tmp_path / ".ollama/models/manifests/registry.ollama.ai/library/tiny/1m"
    manifest.parent.mkdir(parents=True)
    blobs.mkdir()
    shutil.copy(TINY, blobs / "sha256-ab")
    layers = [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:ab"}]
    manifest.write_text(json.dumps({"layers": layers}))
    manifest.with_name("broken").write_text("{")
    studio = tmp_path / ".lmstudio" / "models" / "owner" / "repo"
    studio.mkdir(parents=True)
    shutil.copy(TINY, studio / "calc.gguf")
    assert find("ollama/tiny:1m").path() == blobs / "sha256-ab"
    assert find("lmstudio/owner/repo/calc").here
    assert {row[0] for row in local_rows("repo") + local_rows("ollama")} == {
        "local:ollama/tiny:1m",
        "local:lmstudio/owner/repo/calc",
    }


# --- the head of a file -----------------------------------------------------------------------


def test_the_head_tells_the_shape_and_the_bytes() -> None:
    head = read_header(TINY)
    assert (head.architecture, head.vocabulary) == ("mistral3", 640)
    assert head.number("block_count") == 4
    assert sum(head.bytes_by_type.values()) < head.size == TINY.stat().st_size


@pytest.mark.parametrize("length", [0, 3, 4, 10, 200, 5000, 400_000])
def test_a_file_that_is_cut_off_is_refused_wherever_it_is(tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(TINY.read_bytes()[:length])
    with pytest.raises(ModelFileError, match=r"cut\.gguf is not a whole GGUF file"):
        read_header(path)


# --- whether it fits --------------------------------------------------------------------------


def test_a_longer_context_and_repacking_take_more_and_a_small_cache_less() -> None:
    head = fit.head(find("ministral-3b"))
    plain = need(head, Setting(8192, repack=False))
    assert need(head, Setting(16384, repack=False)).cache == 2 * plain.cache == 2 * 8192 * 106_496
    assert need(head, Setting(8192, "q8_0", repack=False)).cache == 8192 * 56_576
    assert need(head, Setting(8192)).total > plain.total
    assert 2.8 * GIB < plain.total < 3.2 * GIB  # measured with a file of that shape: 2.96


def test_the_quickest_way_that_fits_is_chosen() -> None:
    head = fit.head(find("ministral-3b"))
    assert choose("m", head, 8192, 8 * GIB) == Setting(8192)
    assert choose("m", head, 8192, int(3.5 * GIB)) == Setting(8192, repack=False)
    assert choose("m", head, 8192, int(3.1 * GIB)) == Setting(8192, "q8_0", repack=False)


def test_what_does_not_fit_says_what_would() -> None:
    head = fit.head(find("ministral-3b"))
    free = int(2.7 * GIB)
    longest = longest_context(head, Setting(0, "q8_0", repack=False), free)
    with pytest.raises(OutOfMemoryError, match=r"needs 2\.7 GiB") as caught:
        choose("m", head, 8192, free)
    assert f"A context of {longest:,} tokens would fit" in caught.value.hint
    assert (caught.value.needed, caught.value.available) == (
        need(head, Setting(8192, "q8_0", repack=False)).total,
        free,
    )
    with pytest.raises(OutOfMemoryError) as caught:
        choose("m", head, 8192, GIB)
    assert "would fit" not in caught.value.hint


def test_the_3b_runs_on_small_machines_and_the_table_says_how() -> None:
    heads, rows = fit_rows("ministral-3b")
    assert heads[-2:] == ("4 GiB machine", "8 GiB machine")
    by_name = {row[0]: row for row in rows}
    assert "8,192 tokens (plain" in by_name["Q4_K_M"][-2]
    assert by_name["Q4_K_M"][-1] == "8,192 tokens"
    assert by_name["BF16"][-2] == "no"


def test_a_model_with_a_window_keeps_less() -> None:
    model = find("gemma-3-4b")
    head = fit.head(model)
    far = msgspec.structs.replace(model.shape, architecture="gemma-like")
    full = fit.head(msgspec.structs.replace(model, shape=far))
    assert need(head, Setting(32_768)).cache < need(full, Setting(32_768)).cache / 4


def test_a_containers_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (
        ("memory.max", str(500 * MIB)),
        ("memory.current", str(450 * MIB)),
        ("memory.stat", f"anon 1\ninactive_file {100 * MIB}\n"),
    ):
        (tmp_path / name).write_text(text)
    files = (str(tmp_path / "memory.max"), str(tmp_path / "memory.current"))
    monkeypatch.setattr(memory, "_CGROUPS", (files,))
    assert memory.available() == 150 * MIB


def test_the_list_tells_size_fit_presence_licence_and_speed() -> None:
    (row,) = local_rows("phi")
    assert row[:5] == ("local:phi-4-mini", "2.3 GiB", row[2], "no", "MIT")
    (row,) = local_rows("tiny-calc")
    assert row[2:4] == ("yes", "yes")
