"""Takes out of foreign text what could act instead of being read."""

from __future__ import annotations

import re

# Terminal escapes (colours, titles, clipboard writes), other control characters, and the marks that
# turn the direction of writing, with which a text can be shown that is not what it says.
_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # a title, a clipboard write, a link
    r"|(?:\x1b[\[(]|\x9b)[0-?]*[ -/]*[@-~]?"  # colours and movements
    r"|\x1b.?",
    re.DOTALL,
)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


_LINE_ENDS = re.compile("\r\n|[\u2028\u2029]")  # some readers take the last two for a new line


def clean(text: str) -> str:
    """`text` without terminal escapes, control characters and direction overrides."""
    return _CONTROLS.sub("", _ESCAPES.sub("", _LINE_ENDS.sub("\n", text)))
