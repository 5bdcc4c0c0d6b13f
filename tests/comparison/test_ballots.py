"""Votes that go from one machine to another: exported, kept in a folder, merged."""

from __future__ import annotations

import random
import time
from pathlib import Path

import msgspec
import pytest

from nbfuse.comparison.ballots import export, merge
from nbfuse.comparison.tally import tally
from nbfuse.core.ballot import Ballot
from nbfuse.core.errors import ConfigError

ANN, BOB = "a" * 32, "b" * 32


def ballot(number: int, voter: str = ANN, **about: object) -> Ballot:
    given = {"kind": "pair", "contender": "local:a", "other": "local:b", "question": f"q{number}"}
    at = f"2026-11-27T12:{number // 60 % 60:02}:{number % 60:02}+00:00"
    return Ballot(**{"id": f"{number:032x}", "voter": voter, "at": at, **given, **about})


def test_what_is_exported_is_merged_and_no_prompt_goes_along_unasked(tmp_path: Path) -> None:
    own = [ballot(1, prompt="Secret?"), ballot(2), ballot(3, BOB)]
    path = export(own, tmp_path, ANN)
    assert path.name == f"{ANN}.jsonl"
    assert "Secret" not in path.read_text()
    before = path.read_bytes()
    export(own[::-1], tmp_path, ANN)
    assert path.read_bytes() == before  # a repository shows what is new, and nothing else
    export(own, tmp_path, BOB)
    merged = merge(tmp_path)
    assert {one.id for one in merged.ballots} == {one.id for one in own}
    assert (merged.files, merged.skipped) == (2, ())
    assert {one.voter for one in merged.ballots} == {ANN, BOB}
    assert "Secret" in export(own, tmp_path, ANN, prompts=True).read_text()


def test_the_same_vote_counts_once_and_a_changed_mind_once(tmp_path: Path) -> None:
    first = ballot(1)
    changed = ballot(5, contender="local:b", other="local:a", question="q1")
    for name in ("mine", "copy", "folder/of/a/friend"):
        path = tmp_path / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.Encoder().encode_lines([first]))
    (tmp_path / "later.jsonl").write_bytes(msgspec.json.Encoder().encode_lines([changed]))
    merged = merge(tmp_path)
    assert merged.ballots == (changed,)
    assert (merged.repeated, merged.replaced) == (2, 1)


def test_ship_and_skip_are_counted_by_voter(tmp_path: Path) -> None:
    about = {"contender": "local:a", "other": "", "question": ""}
    votes = [
        ballot(1, kind="skip", **about),
        ballot(2, kind="ship", **about),  # of the same voter: the later one counts
        ballot(3, BOB, kind="skip", **about),
    ]
    for voter in (ANN, BOB):
        export(votes, tmp_path, voter)
    (count,) = tally(merge(tmp_path).ballots)
    assert (count.contender, count.shares) == ("local:a", "1 / 1")
    assert str(count.rating) == "No votes yet"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "holds no votes"),
        ('{"name": "not ours"}', "holds no votes"),
        ("\x00\xff\x1b[31m", "holds no votes"),
        ('{"form": 2, "id": "x", "news": true}', "newer nbfuse"),
        ('{"id":"' + "0" * 32 + '","voter":"me","at":"x"}', "holds no votes"),
    ],
)
def test_a_broken_or_foreign_file_is_named_and_skipped(
    text: str, said: str, tmp_path: Path
) -> None:
    export([ballot(1)], tmp_path, ANN)
    (tmp_path / "odd.jsonl").write_text(text)
    merged = merge(tmp_path)
    assert len(merged.ballots) == 1
    ((name, why),) = merged.skipped
    assert name == "odd.jsonl"
    assert said in why
    assert "\x1b" not in why


def test_good_lines_beside_bad_ones_count(tmp_path: Path) -> None:
    path = export([ballot(1), ballot(2)], tmp_path, ANN)
    good = path.read_text()
    path.write_text("{}\n" * 10 + good + '{"cut of')
    merged = merge(tmp_path)
    assert len(merged.ballots) == 2
    assert [name for name, _ in merged.skipped] == [
        *(f"{path.name}, line {number}" for number in (1, 2, 3)),
        path.name,
    ]
    assert "8 more lines" in merged.skipped[-1][1]


def test_two_votes_of_one_id_are_told(tmp_path: Path) -> None:
    export([ballot(1)], tmp_path, ANN)
    export([ballot(1, BOB, contender="local:z")], tmp_path, BOB)
    merged = merge(tmp_path)
    assert len(merged.ballots) == 1
    assert "another vote has the id" in merged.skipped[0][1]


def test_what_is_no_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no folder"):
        merge(tmp_path / "nowhere")
    assert merge(tmp_path).ballots == ()


def test_ten_thousand_votes_of_fifty_files_are_all_read(tmp_path: Path) -> None:
    chance = random.Random(0)
    voters = [f"{chance.getrandbits(128):032x}" for _ in range(50)]
    votes = [ballot(i, voters[i % 50]) for i in range(10_000)]
    for voter in voters:
        export(votes, tmp_path, voter)
    began = time.monotonic()
    merged = merge(tmp_path)
    print(time.monotonic() - began)
    assert len(merged.ballots) == 10_000
