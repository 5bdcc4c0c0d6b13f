"""Two answers to a question, without a word on whose they are."""

from __future__ import annotations

from typing import NamedTuple

from nbfuse.core.clean import clean
from nbfuse.render.fields import as_markdown
from nbfuse.render.model import model_html, root, say

HOW = "Which is better? %fuse vote A, B or tie."


class BlindAnswers(NamedTuple):
    """The answers as a notebook shows them."""

    prompt: str
    a: str
    b: str

    def _repr_html_(self) -> str:
        answers = "".join(
            f"<details open><summary><strong>Answer {name}</strong></summary>"
            f"{model_html(as_markdown(text))}</details>"
            for name, text in (("A", self.a), ("B", self.b))
        )
        question = f"<p><small>{say(self.prompt)}</small></p>"
        return f'<div class="{root("")}">{question}{answers}<p><small>{HOW}</small></p></div>'

    def __repr__(self) -> str:
        parts = [self.prompt, "", "[Answer A]", self.a, "", "[Answer B]", self.b, "", HOW]
        return "\n".join(map(clean, parts))
