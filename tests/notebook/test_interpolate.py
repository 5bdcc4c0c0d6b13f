"""What `{{ name }}` in a prompt becomes, and what passes untouched."""

from __future__ import annotations

import pytest

from nbfuse.core.errors import PromptError
from nbfuse.notebook.interpolate import interpolate

NAMES = {"word": "{{ other }}", "d": {"k": [1, 2]}, "other": "no"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{{ word }}", "{{ other }}"),  # once, not what a value holds
        ("{{d['k'][-1]}} {{ d [ 'k' ] [ 0 ] }}", "2 1"),
        ("{{\n word\n}}", "{{ other }}"),
        ("{json: {a}} $x$ {{}} {{ a | b }} %d", "{json: {a}} $x$ {{}} {{ a | b }} %d"),
        ("{{ word", "{{ word"),
    ],
)
def test_names_are_filled_in_and_other_braces_pass(text: str, filled: str) -> None:
    assert interpolate(text, NAMES) == filled


@pytest.mark.parametrize(
    "text", ["{{ word + 1 }}", "{{ word + 1\n}}", "{{ nothing }}", "{{ d.k }}"]
)
def test_what_can_not_be_filled_in_is_an_error(text: str) -> None:
    with pytest.raises(PromptError):
        interpolate(text, NAMES)


@pytest.mark.parametrize("piece", [" ", "\n", "[", "{{ d ", ".d", "{"])
def test_no_prompt_takes_long_to_read(piece: str) -> None:
    text = "{{ word" + piece * 20_000  # the limit of a test is its judge
    assert interpolate(text, NAMES) == text
