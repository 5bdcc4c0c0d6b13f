"""Pictures in a run: who can see gets them, who can't says so."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import eyes
import pytest
from lookalike import LookAlike, Say
from pictures import PNG

from nbfuse import FusionResult, Pool, fuse
from nbfuse.core import errors

pytest.importorskip("gguf", reason="pip install gguf")


def run(*members: str, picture: object = PNG, **settings: object) -> FusionResult:
    pool = Pool(members=members, judge="local:tiny-judge", **settings)
    return asyncio.run(fuse("What is 12 + 30?", pool, images=[picture], temperature=0.0))


@pytest.fixture
def seeing(tmp_path: Path) -> str:
    """A tiny model with a projector of Ministral's architecture, as a user would add one."""
    return eyes.install(tmp_path)


def listed(name: str, *reads: str) -> dict[str, object]:
    return {"id": name, "architecture": {"input_modalities": reads}}


def test_cloud_models_that_see_get_the_picture_and_others_say_that_they_cannot(
    server: LookAlike,
) -> None:
    server.listed = [listed("eyes", "text", "image"), listed("blind", "text")]
    server.models |= {"eyes": Say("red"), "blind": Say("no"), "unknown": Say("red too")}
    members = ("openrouter:eyes", "openrouter:blind", "openrouter:unknown")
    result = run(*members, quorum=3)
    assert [answer.status for answer in result.answers] == ["complete", "failed", "complete"]
    assert result["blind"].failure.message == "blind can't see pictures."
    assert not server.asked("blind")
    text, picture = server.asked("eyes")[0]["messages"][0]["content"]
    assert text == {"type": "text", "text": "What is 12 + 30?"}
    data = picture["image_url"]["url"].removeprefix("data:image/png;base64,")
    assert base64.b64decode(data) == PNG


def test_a_pool_of_the_blind_is_refused_before_anybody_is_asked(server: LookAlike) -> None:
    server.listed = [listed("blind", "text")]
    with pytest.raises(errors.ConfigError, match="No member of this pool can see") as caught:
        run("openrouter:blind", "local:tiny-calc")
    assert "--vision" in caught.value.hint


def test_a_local_model_with_its_part_for_pictures_sees(seeing: str) -> None:
    """With random weights it can't tell what it sees, but reads it: the picture has its tokens."""
    result = run(seeing, "local:tiny-calc", quorum=2)
    assert result["tiny-calc"].failure.message == "tiny-calc can't see pictures."
    red = result["seeing"]
    without = asyncio.run(fuse("What is 12 + 30?", Pool(members=(seeing,)), temperature=0.0))
    # 140 / 14 / 2 = 5 rows of 5 patches, with a break between rows
    assert red.usage.prompt_tokens > without["seeing"].usage.prompt_tokens + 25
    assert without.text == "12 + 30 = 42"


def test_a_broken_picture_is_an_error_and_the_engine_lives(seeing: str) -> None:
    with pytest.raises(errors.NoAnswerError):
        run(seeing, picture=PNG[:60])
    assert run(seeing)["seeing"].usable
