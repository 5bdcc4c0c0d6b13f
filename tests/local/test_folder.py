"""What a folder of MLX weights says of itself, without MLX."""

from __future__ import annotations

import importlib.util
import json
import struct
from pathlib import Path

import pytest

from nbfuse.core import errors
from nbfuse.local.catalog import LocalModel, check_file, find, from_file
from nbfuse.local.fit import fits, head
from nbfuse.local.folder import is_whole, read_head
from nbfuse.local.kinds import kind_for
from nbfuse.local.memory import GIB, MIB, Setting, choose, need
from nbfuse.local.provider import Local
from nbfuse.providers.registry import resolve

CONFIG = {
    "model_type": "llama",
    "num_hidden_layers": 10,
    "hidden_size": 640,
    "intermediate_size": 2560,
    "num_attention_heads": 10,
    "num_key_value_heads": 5,
    "vocab_size": 1000,
    "max_position_embeddings": 8192,
}


def make(folder: Path, config: object = CONFIG, kind: str = "F16", weights: int = 1000) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    about = {"model.norm.weight": {"dtype": kind, "shape": [1], "data_offsets": [0, 2]}}
    text = json.dumps(about).encode()
    data = struct.pack("<Q", len(text)) + text
    (folder / "model.safetensors").write_bytes(data + bytes(weights - len(data)))
    return folder


@pytest.mark.parametrize(("kind", "size"), [("F16", 2), ("BF16", 2), ("F32", 4)])
def test_memory_is_told_from_the_config(tmp_path: Path, kind: str, size: int) -> None:
    header = read_head(make(tmp_path / "it", kind=kind))
    found = need(header, Setting(1000, repack=False))
    assert found.weights == 1000
    assert found.cache == 1000 * 10 * 5 * 2 * 64 * size
    assert 100 * MIB < found.process < 110 * MIB


def test_a_model_that_also_sees_says_it_of_its_text_part(tmp_path: Path) -> None:
    seeing = make(tmp_path / "it", {"model_type": "mistral3", "text_config": CONFIG})
    plain = make(tmp_path / "other")
    assert read_head(seeing).number("block_count") == 10
    setting = Setting(512, repack=False)
    assert need(read_head(seeing), setting) == need(read_head(plain), setting)


def test_a_context_that_does_not_fit_is_refused_with_one_that_does(tmp_path: Path) -> None:
    header = read_head(make(tmp_path / "it"))
    assert choose("it", header, 4096, GIB) == Setting(4096, "f16", repack=False)
    with pytest.raises(errors.OutOfMemoryError) as caught:
        choose("it", header, 65_536, GIB)
    assert "would fit" in caught.value.hint
    assert fits(from_file(tmp_path / "it"), 10 * MIB) is False


@pytest.mark.parametrize("lacks", ["tokenizer.json", "config.json", "model.safetensors", "index"])
def test_a_folder_that_lacks_a_part_is_not_whole(tmp_path: Path, lacks: str) -> None:
    folder = make(tmp_path / "it")
    assert is_whole(folder)
    if lacks == "index":
        (folder / "model.safetensors.index.json").write_text('{"weight_map": {}}')
    else:
        (folder / lacks).unlink()
    assert not is_whole(folder)


@pytest.mark.parametrize("broken", ["config", "weights", "nothing"])
def test_a_folder_that_is_no_model_is_told(tmp_path: Path, broken: str) -> None:
    folder = make(tmp_path / "it")
    if broken == "config":
        (folder / "config.json").write_text("[]")
    elif broken == "weights":
        (folder / "model.safetensors").write_bytes(b"short")
    else:
        (folder / "model.safetensors").unlink()
    assert is_whole(folder) == (broken != "nothing")
    with pytest.raises(errors.ModelFileError if broken != "nothing" else errors.NbfuseError):
        head(from_file(check_file(from_file(folder))))


def test_a_folder_without_its_weights_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(errors.ModelNotFoundError, match="no whole model for MLX"):
        check_file(from_file(tmp_path))
    with pytest.raises(errors.ModelNotFoundError) as caught:
        check_file(LocalModel(mlx="owner/model"))
    assert "nbfuse pull hf:owner/model" in caught.value.hint


def test_a_folder_is_named_by_its_path(tmp_path: Path) -> None:
    target = resolve(f"mlx:{make(tmp_path / 'it')}")
    assert isinstance(target.provider, Local)
    assert target.model == str(tmp_path / "it")


def test_lm_studios_folders_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    home = tmp_path / ".lmstudio" / "models" / "owner"
    home.mkdir(parents=True)
    folder = make(home / "model")
    assert find("lmstudio/owner/model").path() == folder


def test_without_mlx_it_is_said_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(errors.ProviderUnavailableError, match="which is not here") as caught:
        kind_for(make(tmp_path / "it"))
    assert "pip install 'nbfuse[mlx]'" in caught.value.hint
