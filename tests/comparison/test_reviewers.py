"""Reviewers as data: those that come with nbfuse, and the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbfuse.comparison.reviewers import reviewers
from nbfuse.core.errors import ConfigError

OWN = """
[reviewers.Teacher]
interest = "Wants answers that a class understands."
sees = ["answers", "cost"]
[reviewers.Teacher.criteria]
simple = { weight = 2, about = "a pupil can follow it" }
true = { weight = 1, about = "it is right" }

[reviewers.Creator]
off = true
"""


def test_five_come_with_it() -> None:
    found = reviewers()
    assert list(found) == ["Builder", "Skeptic", "Futurist", "Founder", "Creator"]
    for one in found.values():
        assert one.score(dict.fromkeys(one.criteria, 4), 4) == 100
        assert one.score(dict.fromkeys(one.criteria, 0), 4) == 0


def test_a_user_adds_changes_and_leaves_out(tmp_path: Path) -> None:
    (tmp_path / "nbfuse.toml").write_text(OWN)
    found = reviewers(tmp_path)
    assert "Creator" not in found
    teacher = found["Teacher"]
    assert teacher.name == "Teacher"
    assert teacher.score({"simple": 4, "true": 1}, 4) == pytest.approx(75)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('"cost"', '"costs"'), "Did you mean cost"),
        (("weight = 2", "weight = 0"), "weight"),
        (("interest", "interst"), "interst"),
    ],
)
def test_a_mistake_is_named_with_its_file(
    change: tuple[str, str], said: str, tmp_path: Path
) -> None:
    (tmp_path / "nbfuse.toml").write_text(OWN.replace(*change))
    with pytest.raises(ConfigError) as caught:
        reviewers(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert said in str(caught.value)
