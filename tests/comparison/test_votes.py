"""Votes in the ledger, and `nbfuse votes`, as a shell sees it."""

from __future__ import annotations

import functools
import json
import random
from pathlib import Path

import pytest
import shell
from asking import pool, run
from lookalike import LookAlike, Say, letter_of, verdict

from nbfuse.comparison import voting
from nbfuse.core.errors import ConfigError
from nbfuse.ledger.ballots import Ballots
from nbfuse.ledger.ledger import Ledger

nbfuse = functools.partial(shell.nbfuse, "votes")


def cast(kind: str, name: str) -> None:
    Ballots().cast(voting.verdict(Ballots().voter(), kind, name, ()))


def test_a_vote_stands_in_for_the_earlier_one_and_outlives_the_history() -> None:
    assert Ballots().all() == []
    cast("skip", "local:tiny-calc")
    cast("ship", "local:tiny-calc")
    cast("ship", "pool:tiny")
    pair = voting.Blind("Secret?", ("local:a", "Yes"), ("local:b", "No"))
    Ballots().cast(voting.preferred(Ballots().voter(), pair, "B"))
    kept = Ballots().all()
    assert [(b.kind, b.contender) for b in kept] == [
        ("ship", "local:tiny-calc"),
        ("ship", "pool:tiny"),
        ("pair", "local:b"),
    ]
    assert len({b.voter for b in kept}) == 1
    assert kept[-1].prompt == "Secret?"
    Ledger().clear()
    assert [b.prompt for b in Ballots().all()] == [None, None, None]  # a history is forgotten


def test_the_pair_that_was_seen_least_is_shown_without_names(server: LookAlike) -> None:
    server.models |= {"v/a": Say("41"), "v/b": Say("42"), "v/c": Say("42 ")}
    server.models["v/judge"] = verdict(letter_of("42"))
    result = run(pool("a", "b", "c"), "How many?")
    pairs, kept = set(), []
    for seed in range(2):
        pair = voting.blind_pair(voting.of_result(result), kept, random.Random(seed))
        pairs.add(frozenset((pair.a[0], pair.b[0])))
        kept.append(voting.preferred("f" * 32, pair, "A"))
    assert pairs == {  # b and c say the same
        frozenset(("openrouter:v/a", "openrouter:v/b")),
        frozenset(("openrouter:v/a", "openrouter:v/c")),
    }
    said = voting.of_result(result)
    drawn = [voting.blind_pair(said, [], random.Random(seed)) for seed in range(20)]
    firsts = {pair.a[0] == "openrouter:v/a" for pair in drawn}
    assert firsts == {True, False}
    server.models["v/a"] = Say("42")
    alike = voting.of_result(run(pool("a", "b"), "How many?"))
    with pytest.raises(ConfigError, match="no two answers that differ"):
        voting.blind_pair(alike, [], random.Random(0))


def test_a_merged_answer_is_the_pools(server: LookAlike) -> None:
    server.models |= {"v/a": Say("41"), "v/b": Say("42")}
    server.models["v/judge"] = verdict(letter_of("42"))
    said = voting.of_result(run(pool("a", "b", name="mine"))).by
    assert set(said) == {"openrouter:v/a", "openrouter:v/b"}  # which returned b's own words


def test_the_command_line_lists_exports_and_merges(tmp_path: Path) -> None:
    assert "No votes yet" in nbfuse().stderr
    cast("ship", "local:tiny-calc")
    assert "local:tiny-calc\t1 / 0\tNo votes yet" in nbfuse("list").stdout
    assert "1 vote without prompts" in nbfuse("export", str(tmp_path)).stdout
    (tmp_path / "foreign.jsonl").write_text('{"a": 1}')
    done = nbfuse("merge", str(tmp_path), "--json")
    assert json.loads(done.stdout) == [
        {"contender": "local:tiny-calc", "ship / skip": "1 / 0", "rating by pairs": "No votes yet"}
    ]
    assert "Left out: foreign.jsonl: it holds no votes" in done.stderr
    for words, said in {("merge",): "takes a folder", ("list", "x"): "takes no folder"}.items():
        done = nbfuse(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr


def test_ratings_that_no_votes_connect_are_told_apart() -> None:
    for one, other in (("local:a", "local:b"), ("local:c", "local:d")):
        for number in range(10):
            pair = voting.Blind(f"Question {number}?", (one, "Yes"), (other, "No"))
            Ballots().cast(voting.preferred(Ballots().voter(), pair, "A"))
    assert "local:a, local:b; local:c, local:d." in nbfuse("list").stderr
