"""What a model wrote, as HTML that can't do anything but be read.

The saved form leaves formulas for the notebook to typeset and code without colours. The live view
has no typesetter around it: there formulas become MathML, which browsers draw by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from html import escape

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.utils import EnvType

from nbfuse.core.clean import clean
from nbfuse.render.code import coloured
from nbfuse.render.markdown import MOST_BRACKETS
from nbfuse.render.mathematics import MATHML_ATTRIBUTES, MATHML_TAGS, mathematics, mathml

_TAGS = {
    *("p", "br", "hr", "em", "strong", "s", "del", "code", "pre", "blockquote", "a"),
    *("span", "ul", "ol", "li", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {"a": {"href", "title"}, "code": {"class"}, "ol": {"start"}}
_LIVE_TAGS = _TAGS | MATHML_TAGS
_LIVE_ATTRIBUTES = _ATTRIBUTES | {"span": {"class"}} | MATHML_ATTRIBUTES
_SCHEMES = {"http", "https", "mailto"}
MOST_FORMULAS, LONGEST_FORMULA = 200, 2000  # of one block that are drawn: some 0.1 s
_HEADING_SHIFT = 3  # an answer's "#" must not outrank the notebook's own headings


def model_html(text: str, *, live: bool = False) -> str:
    """A model's Markdown as harmless HTML; `live` with coloured code, and formulas as MathML."""
    text = clean(text)
    reader = _markdown(links=text.count("[") <= MOST_BRACKETS, live=live)
    tokens = reader.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + _HEADING_SHIFT)}"
        links = 0
        for child in token.children or ():
            links += child.nesting if child.type in ("link_open", "link_close") else 0
            if links and child.type == "image":  # a link can't hold another
                child.type = "text"
    html = reader.renderer.render(tokens, reader.options, {})
    tags, attributes = (_LIVE_TAGS, _LIVE_ATTRIBUTES) if live else (_TAGS, _ATTRIBUTES)
    return nh3.clean(html, tags=tags, attributes=attributes, url_schemes=_SCHEMES)


def say(text: str) -> str:
    """Text in which no formula begins: the notebook looks for one within an element only."""
    return re.sub(r"[$\\]", r"<span>\g<0></span>", escape(clean(text)))


def root(view: str) -> str:
    """The class of a saved form; by `view`, where there is one, a widget finds its place."""
    return f"nbfuse nbfuse-view-{view}" if view else "nbfuse"


@cache
def _markdown(*, links: bool, live: bool) -> MarkdownIt:
    # as in a chat, a line of a model is a line, although Markdown would run them together
    reader = MarkdownIt("commonmark", {"html": False, "breaks": True})
    reader.enable(["table", "strikethrough"])
    reader.disable("reference")  # it would take "[answer]: 42" away as a footnote for nobody
    if not links:
        reader.disable(["link", "image"])
    mathematics(reader)
    reader.add_render_rule("text", _render_text)
    reader.add_render_rule("image", _render_image)
    if live:
        reader.add_render_rule("text", _render_live_text)
        reader.add_render_rule("math", _render_math)
        reader.add_render_rule("math_block", _render_math_block)
        reader.add_render_rule("fence", _render_code)
    return reader


def _render_text(_self: object, tokens: Sequence[Token], i: int, *_: object) -> str:
    return say(tokens[i].content)


def _render_live_text(_self: object, tokens: Sequence[Token], i: int, *_: object) -> str:
    return escape(tokens[i].content)


def _render_image(_self: object, tokens: Sequence[Token], i: int, *_: object) -> str:
    """A link in place of an image: a remote image would tell its server who reads."""
    source, words = str(tokens[i].attrs["src"]), tokens[i].content or "image"
    return f'<a href="{escape(source)}">{say(words)}</a>'


def _render_math(
    _self: object, tokens: Sequence[Token], i: int, _options: object, env: EnvType
) -> str:
    env["formulas"] = env.get("formulas", 0) + 1
    formula = tokens[i].content
    if env["formulas"] > MOST_FORMULAS or len(formula) > LONGEST_FORMULA:
        return escape(formula)
    return mathml(formula)


def _render_math_block(
    self: object, tokens: Sequence[Token], i: int, options: object, env: EnvType
) -> str:
    return f"<p>{_render_math(self, tokens, i, options, env)}</p>\n"


def _render_code(_self: object, tokens: Sequence[Token], i: int, *_: object) -> str:
    language = tokens[i].info.split(maxsplit=1)[0] if tokens[i].info.strip() else ""
    return f"<pre><code>{coloured(tokens[i].content, language)}</code></pre>\n"
