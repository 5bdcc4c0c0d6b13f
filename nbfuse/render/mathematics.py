"""Mathematics in a model's Markdown: kept as it was written, for the notebook to typeset.

Spans have a greatest length, so that no text, however hostile, takes long to read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

MOST_CHARACTERS, MOST_LINES = 4000, 60

_PAIRS = {"$$": "$$", r"\[": r"\]", r"\(": r"\)"}
_DOLLARS = re.compile(r"\$(?![\s$])((?:[^$`\n\\]|\\.)++)(?<!\s)\$(?!\d)", re.DOTALL)
_BEGIN = re.compile(r"\\begin\{([a-z]+\*?)\}")
_PLAIN_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")


def mathematics(reader: MarkdownIt) -> None:
    """Teach `reader` formulas: in dollars or brackets, within a line or over several."""
    rules, interrupted = reader.block.ruler, ["paragraph", "reference", "blockquote", "list"]
    rules.before("code", "math", _block_rule, {"alt": interrupted})
    reader.inline.ruler.before("escape", "math", _inline_rule)
    reader.add_render_rule("math", _render)
    reader.add_render_rule("math_block", _render_block)


def _block_rule(state: StateBlock, start: int, last: int, silent: bool) -> bool:
    """Lines from one that begins a display formula to one that ends it.

    Two dollars may stand for money: no blank line follows them.
    """
    opener, closer = _pair(_line(state, start))
    if not closer or opener == r"\(":
        return False
    for end in range(start, min(last, start + MOST_LINES)):
        line = _line(state, end)
        left = end > start and bool(line) and state.sCount[end] < state.blkIndent
        if left or (not line and opener == "$$"):
            return False
        text = line.rstrip(".,; ") if end > start else line.rstrip(".,; ")[len(opener) :]
        if text.endswith(closer):
            if not silent:
                token = state.push("math_block", "", 0)
                token.content = state.getLines(start, end + 1, state.blkIndent, False)
                token.map, state.line = [start, end + 1], end + 1
            return True
        if closer in text:  # it ends within a line: the rest of that line is text
            return False
    return False


def _pair(text: str) -> tuple[str, str]:
    """What begins the formula that `text` begins with, and what must end it."""
    if (begin := _BEGIN.match(text)) is not None:
        return begin[0], f"\\end{{{begin[1]}}}"
    return text[:2], _PAIRS.get(text[:2], "")


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]


def _inline_rule(state: StateInline, silent: bool) -> bool:
    begin, src = state.pos, state.src
    if src[begin] not in "$\\":
        return False
    opener, closer = _pair(src[begin : begin + 40])
    if closer:
        inner = begin + len(opener)
        end = src.find(closer, inner, begin + MOST_CHARACTERS)
        if end <= inner or "`" in src[begin:end]:
            return False
        end += len(closer)
    else:
        found = _DOLLARS.match(src, begin, begin + MOST_CHARACTERS)
        if found is None or (found[1][0].isdigit() and _may_be_money(found[1])):
            return False
        end = found.end()
    if not silent:
        state.push("math", "", 0).content = src[begin:end]
    state.pos = end
    return True


def _may_be_money(text: str) -> bool:
    """Whether "$5 or 10$" may be meant, and surely not "$2^{10} = 1024$" or "$2x + 3y$"."""
    if re.search(r"[\\^_{=]", text):
        return False
    return _PLAIN_WORD.search(text) is not None or not re.search(r"[A-Za-z+*/<>]", text)


def _render(_self: object, tokens: Sequence[Token], i: int, *_: object) -> str:
    return escape(tokens[i].content)


def _render_block(_self: object, tokens: Sequence[Token], i: int, *_: object) -> str:
    return f"<p>{escape(tokens[i].content)}</p>\n"


MATHML_TAGS = {
    *("math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "mroot", "mstyle"),
    *("msub", "msup", "msubsup", "munder", "mover", "munderover", "mmultiscripts", "mprescripts"),
    *("mtable", "mtr", "mtd", "mpadded", "mphantom", "menclose"),
}
MATHML_ATTRIBUTES = {
    "math": {"display"},
    "mo": {"stretchy", "fence", "separator", "lspace", "rspace", "minsize", "maxsize", "form"},
    "mi": {"mathvariant"},
    "mstyle": {"displaystyle", "scriptlevel"},
    "mspace": {"width"},
    "mfrac": {"linethickness"},
    "mover": {"accent"},
    "mtable": {"columnalign", "rowspacing", "columnspacing", "displaystyle"},
    "mtd": {"columnalign"},
    "menclose": {"notation"},
}


def mathml(formula: str) -> str:
    """A formula, delimiters and all, as MathML; as it was written where it can't be read."""
    from latex2mathml.converter import convert

    source = formula.strip()
    opener, closer = _pair(source)
    display = opener in ("$$", r"\[") or opener.startswith(r"\begin")
    inner = source
    if not closer:
        inner = source[1:-1]
    elif not opener.startswith(r"\begin"):
        inner = source.rstrip(".,; ")[len(opener) :].removesuffix(closer)
    try:
        return str(convert(inner, display="block" if display else "inline"))
    except Exception:  # its errors have no common root, and what a model writes may be anything
        return escape(formula)
