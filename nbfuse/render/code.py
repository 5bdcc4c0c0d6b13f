"""Colours code: a class for each of the five kinds of token that a reader tells apart."""

from __future__ import annotations

from html import escape
from itertools import groupby

MOST_CHARACTERS = 8_000  # 0.1 s; what is longer is data, and stays without colours
_CLASSES = (  # the first that fits; one letter each, since a span costs more than the token
    ("Comment", "c"),
    ("Literal.String", "s"),
    ("Literal.Number", "m"),
    ("Name.Function", "f"),
    ("Name.Class", "f"),
    ("Keyword", "k"),
    ("Operator.Word", "k"),
)


def coloured(code: str, language: str) -> str:
    """`code` as HTML with a span for each coloured token; plain for an unknown language."""
    from pygments.lexers import get_lexer_by_name
    from pygments.token import string_to_tokentype
    from pygments.util import ClassNotFound

    if not language or len(code) > MOST_CHARACTERS:
        return escape(code)
    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return escape(code)
    classes = [(string_to_tokentype(name), letter) for name, letter in _CLASSES]

    def letter(token: tuple[object, str]) -> str:
        return next((one for kind, one in classes if token[0] in kind), "")

    pieces = []
    for kind, tokens in groupby(lexer.get_tokens(code), letter):
        text = escape("".join(value for _, value in tokens))
        pieces.append(f'<span class="{kind}">{text}</span>' if kind else text)
    return "".join(pieces)
