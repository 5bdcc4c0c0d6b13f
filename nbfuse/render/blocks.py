"""Cuts a growing Markdown text where a block has ended, so that each block is rendered once."""

from __future__ import annotations

import re

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ITEM = re.compile(r"(?:[-+*]|\d{1,9}[.)])(?:\s|$)")
_FORMULA = {"$$": "$$", r"\[": r"\]"}
_ENOUGH = 12  # characters of a line that tell whether it is the item of a list


class Blocks:
    """`feed` it text, `take` what is finished; `tail` is the block that still grows.

    A block ends where after a blank line another begins, but for what is inside of code, of a
    formula or of a list.
    """

    def __init__(self) -> None:
        self.tail = ""
        self._line = 0  # where in `tail` the first line begins that has not been looked at
        self._end = 0  # where in `tail` the finished blocks end
        self._until = ""  # what ends the code or the formula that the last line is in
        self._blank = True  # whether the last line was blank
        self._list = False  # whether the last block is a list

    def feed(self, text: str) -> None:
        """More of the text."""
        self.tail += text
        while (end := self.tail.find("\n", self._line)) >= 0:
            self._look(self.tail[self._line : end])
            self._line = end + 1
        begun = self.tail[self._line : self._line + _ENOUGH]
        if len(begun) == _ENOUGH and self._begins_block(begun):
            self._end = self._line

    def take(self) -> str:
        """The blocks that have ended since the last call, as one text."""
        done, self.tail = self.tail[: self._end], self.tail[self._end :]
        self._line, self._end = self._line - self._end, 0
        return done

    def rest(self) -> str:
        """All that is left: nothing more will come."""
        done, self.tail = self.tail, ""
        self._line, self._end = 0, 0
        return done

    def _look(self, line: str) -> None:
        words = line.strip()
        if self._until == "$$" and not words:  # it was money, and no formula
            self._until = ""
        if self._until:
            fenced = self._until[0] in "`~"
            if words.endswith(self._until) and not (fenced and words.strip(self._until[0])):
                self._until = ""
            return
        if self._begins_block(line):
            self._end, self._list = self._line, bool(_ITEM.match(line))
        self._blank = not words
        if (fence := _FENCE.match(line)) is not None:
            self._until = fence[1]
        elif words[:2] in _FORMULA and not words[2:].endswith(_FORMULA[words[:2]]):
            self._until = _FORMULA[words[:2]]

    def _begins_block(self, line: str) -> bool:
        new = self._blank and not self._until and bool(line) and not line[0].isspace()
        return new and not (self._list and _ITEM.match(line))
