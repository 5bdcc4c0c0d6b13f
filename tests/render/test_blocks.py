"""A growing text is cut where its blocks end, and nowhere else."""

from __future__ import annotations

import pytest

from nbfuse.render.blocks import Blocks

TEXTS = [
    "One.\n\nTwo is\nlonger.\n\nThree, the last.",
    "Before:\n\n```python\na = 1\n\nb = 2\n```\n\nAfter all of it.",
    "A list:\n\n- one\n\n  still one\n- two\n\n- three\n\nNo list any more.",
    "\\[\na\n\nb\n\\]\n\nAfter the formula.",
    "~~~~\n```\n\nstill code\n~~~~\n\nAfter the code.",
    "$$x$$\n\nA formula on one line.",
    "",
    "\n\n\n",
]


def cut(text: str, step: int) -> list[str]:
    blocks, found = Blocks(), []
    for start in range(0, len(text), step):
        blocks.feed(text[start : start + step])
        found.append(blocks.take())
    return [*filter(None, found), blocks.rest()]


@pytest.mark.parametrize("text", TEXTS)
def test_nothing_is_lost_however_it_arrives(text: str) -> None:
    for step in (1, 3, 7, 1000):
        assert "".join(cut(text, step)) == text


def test_blocks_end_at_blank_lines_outside_of_code_lists_and_formulas() -> None:
    pieces = {
        TEXTS[0]: ["One.\n\n", "Two is\nlonger.\n\n", "Three, the last."],
        TEXTS[1]: ["Before:\n\n", "```python\na = 1\n\nb = 2\n```\n\n", "After all of it."],
        TEXTS[2]: ["A list:\n\n", TEXTS[2][9:-17], "No list any more."],
        TEXTS[3]: ["\\[\na\n\nb\n\\]\n\n", "After the formula."],
        "$$5 is much.\n\nAfter the money.": ["$$5 is much.\n\n", "After the money."],
        TEXTS[4]: ["~~~~\n```\n\nstill code\n~~~~\n\n", "After the code."],
        TEXTS[5]: ["$$x$$\n\n", "A formula on one line."],
    }
    for text, expected in pieces.items():
        assert cut(text, 1) == expected


def test_a_paragraph_is_finished_as_soon_as_the_next_has_begun() -> None:
    blocks = Blocks()
    blocks.feed("One.\n\nTwo has just")
    assert blocks.take() == "One.\n\n"
    assert blocks.tail == "Two has just"
