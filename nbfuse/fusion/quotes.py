"""Finds a quote in the text that it is said to be from. What can't be found there is no quote."""

from __future__ import annotations

import re

from nbfuse.fusion.candidates import undress

# A model that quotes sets its own quotation marks, dashes and line breaks; it may not change words.
_PLAIN = str.maketrans("‘’‚“”„«»–—\u00a0", '\'\'\'"""""-- ')
_AROUND = "\"'… \n\t"


def find_quote(quote: str, text: str) -> str:
    """The words of `text` that `quote` repeats, as they stand there; empty where it has none.

    A judge sees answers without their dress (`undress`), so they are looked for with and without.
    """
    words = quote.translate(_PLAIN).strip(_AROUND).split()
    if not words:
        return ""
    whole = r"\s+".join(map(re.escape, words))  # words, and no part of one: "b" is in "about"
    pattern = re.compile(rf"(?<!\w){whole}(?!\w)", re.IGNORECASE)
    for place in (text, undress(text)):
        if (found := pattern.search(place.translate(_PLAIN))) is not None:
            return place[found.start() : found.end()]
    return ""
