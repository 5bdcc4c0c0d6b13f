"""Pools refuse what can't work, and specs get short, unique names."""

from __future__ import annotations

from decimal import Decimal

import pytest

from nbfuse.api import choose
from nbfuse.core.errors import ConfigError
from nbfuse.core.pool import Pool, expand, labels


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"members": ()}, "no members"),
        ({"members": ("a:b",), "mode": "merg"}, "merge"),
        ({"members": ("a:b",), "answer": "nubmer"}, "number"),
        ({"members": ("a:b",), "quorum": 2}, "from 1 to 1"),
        ({"members": ("a:b*0",)}, "1 to 16"),
        ({"members": ("a:b",), "deadline_s": 0}, "deadline_s"),
        ({"members": ("a:b",), "max_tokens": 0}, "max_tokens"),
        ({"members": "a:b"}, 'members=["a:b"]'),
        ({"members": (3,)}, "members"),
        ({"members": ("a:b",), "quorum": "2"}, "quorum"),
        ({"members": ("a:b",), "temperature": "hot"}, "temperature"),
        ({"members": ("a:b",), "top_p": 7}, "top_p"),
        ({"members": ("a:b",), "budget": Decimal("-1")}, "budget"),
        ({"members": ("a:b",), "budget": Decimal("NaN")}, "budget"),
        ({"members": ("a:b",), "mode": None}, "mode"),
        ({"members": ("a:b",), "judge": "a:b*3"}, "one judge"),
    ],
)
def test_bad_values_say_what_would_do(settings: dict, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Pool(**settings)
    assert words in str(caught.value)


def test_a_repeat_is_a_self_panel() -> None:
    assert expand(("local:a*3", "x:b")) == ("local:a", "local:a", "local:a", "x:b")


def test_labels_are_short_and_unique() -> None:
    specs = (
        "openrouter:openai/gpt-5",
        "local:a",
        "local:a",
        "gguf:/m/q.gguf",
        "openai:l@http://h/v1",
    )
    assert labels(specs) == ("gpt-5", "a#1", "a#2", "q", "l")
    assert labels(("l:x", "l:x", "l:x#1")) == ("x#1", "x#2", "x#1#1")
    assert labels(("openai:m@https://user:secret@host/v1",)) == ("m",)


def test_a_list_of_members_is_as_good_as_a_tuple() -> None:
    assert Pool(members=["a:b"]) == Pool(members=("a:b",))


def test_settings_for_one_run_are_checked_too() -> None:
    with pytest.raises(ConfigError, match="no setting 'modus'"):
        choose("tiny", {"modus": "merge"})
    with pytest.raises(ConfigError, match="not a pool"):
        choose(["local:x"], {})


def test_a_judge_without_a_name_is_not_the_first_member() -> None:
    with pytest.raises(ConfigError, match="the judge has no name"):
        Pool(members=("a:b",), judge=" ")


def test_a_budget_may_be_a_plain_number() -> None:
    assert Pool(members=("a:b",), budget=0.1).budget == Decimal("0.1")
