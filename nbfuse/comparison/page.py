"""The comparison page: one renderer for the live view, the saved notebook and the file.

No script, and no style sheet that it needs: what an untrusted notebook keeps decides the form. All
that models and voters have written is escaped.
"""

from __future__ import annotations

import contextlib

from nbfuse.comparison import tables
from nbfuse.comparison.answers import answers
from nbfuse.comparison.comparison import Comparison
from nbfuse.comparison.dossier import are_enough
from nbfuse.comparison.dots import dots
from nbfuse.comparison.pricing import dollars
from nbfuse.comparison.tables import Grid
from nbfuse.comparison.take import Take
from nbfuse.comparison.tally import scales
from nbfuse.core.errors import LedgerError
from nbfuse.ledger.bookmarks import Bookmark, Bookmarks
from nbfuse.render.model import root, say

TITLE = "Which one should you ship with?"


def to_html(
    found: Comparison, *, whole: bool = False, top: int = 3, mark: Bookmark | None = None
) -> str:
    """The page, with headings from level `top` on.

    `whole` with every answer, to be read by others: of the bookmarks it names `mark` alone, under
    which it is kept. While it is under way it has no answers.
    """

    def head(text: str) -> str:
        return f"<h{top + 1}>{text}</h{top + 1}>"

    blocks = [
        f"<h{top}>{TITLE}</h{top}>",
        _names(found),
        _shares(found),
        f"<p><strong>{say(found.decision.sentence)}</strong>{_sureness(found)}</p>",
        *(f"<p><small>{say(note)}</small></p>" for note in found.notes),
        head("Decision"),
        grid(tables.decision(found), "Decision"),
    ]
    if found.takes:
        blocks += [head("Reviewers"), *_reviewers(found)]
    blocks += [
        head("Evidence"),
        grid(tables.measured(found), "What was measured"),
        *_list(tables.pairs(found)),
        grid(tables.pricing(found), "What it costs"),
        answers(found, whole) if found.apart else "",
        head("Votes"),
        *_votes(found),
        head("Bookmarks"),
        *_bookmarks(found, mark, whole),
        _made(found),
    ]
    begin = f'<div class="{root("")} nbfuse-comparison" style="overflow-wrap:break-word">'
    return "\n".join([begin, *filter(None, blocks), "</div>"])


def _names(found: Comparison) -> str:
    items = "".join(
        f"<li><strong>{say(side.name)}</strong>: {say(side.line)}. {say(side.licence)}.</li>"
        for side in found.sides
    )
    return f"<ul>{items}</ul>"


def _shares(found: Comparison) -> str:
    told = [f"{say(name)}: <strong>{say(share)}</strong>" for name, share in tables.shares(found)]
    return f"<p>{' · '.join(told)}</p>" if found.takes else ""


def _sureness(found: Comparison) -> str:
    if found.decision.winner is None:
        return ""
    return f" Confidence {found.decision.confidence} (p = {found.decision.p:.2g})."


def grid(table: Grid, name: str) -> str:
    """A table with a head for each row and column; wide ones scroll by themselves, by keyboard."""
    corner = (
        f'<th scope="col" style="text-align:left">{say(table.of)}</th>' if table.of else "<td></td>"
    )
    heads = corner + "".join(
        f'<th scope="col" style="text-align:left">{say(name)}</th>' for name in table.heads
    )
    body = "".join(
        f'<tr><th scope="row" style="text-align:left">{say(first)}</th>'
        + "".join(f'<td style="text-align:left">{say(cell)}</td>' for cell in cells)
        + "</tr>"
        for first, *cells in table.rows
    )
    made = f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    scrolls = 'tabindex="0" style="overflow-x:auto"'
    return f'<div role="region" aria-label="{name}" {scrolls}>{made}</div>'


def _reviewers(found: Comparison) -> list[str]:
    played = f"Played by {say(found.reviewed_by)}, who saw contenders under letters, in two orders."
    if are_enough(len(found.questions), len(found.reviewers)):
        played += " Each read questions of its own; the figures that it quotes are of those alone."
    if found.marks_only:
        played = f"Read by {say(found.reviewed_by)}, which marks one answer at a time."
    blocks = [
        f"<p><small>{played}</small></p>",
        grid(tables.scorecard(found), "Scores of reviewers"),
        dots(found),
    ]
    blocks += _list(tables.split_lines(found))
    for name, interest in found.reviewers.items():
        mine = [take for take in found.takes if take.reviewer == name]
        body = "".join(map(_take, mine))
        title = f"<summary>{say(name)}: {say(interest)}</summary>"
        blocks.append(f"<details>{title}{body}</details>")
    return blocks


def _take(take: Take) -> str:
    score = "" if take.score is None else f" · {take.score:.0f} of 100"
    parts = [f"<p><strong>{say(take.contender)}</strong>{score} · {say(take.verdict)}</p>"]
    items = []
    for criterion, mark in take.marks.items():
        quote = take.quotes.get(criterion)
        said = f": <q>{say(quote)}</q>" if quote else ""
        items.append(f"<li>{say(criterion)} {mark:.1f} of 4{said}</li>")
    parts += [f"<ul>{''.join(items)}</ul>"] if items else []
    parts += [f"<p>{say(take.why)}</p>"] if take.why else []
    if take.would_change:
        parts.append(f"<p>What would change its mind: {say(take.would_change)}</p>")
    if take.unfound:
        many = "quote of it is" if take.unfound == 1 else "quotes of it are"
        parts.append(f"<p><small>{take.unfound} {many} not in the evidence.</small></p>")
    return "".join(parts)


def _votes(found: Comparison) -> list[str]:
    lines = [
        f"{vote.contender}: {vote.ship} ship, {vote.skip} skip; rating by blind pairs: "
        f"{vote.rating}."
        for vote in found.votes
    ]
    named = {vote.contender for vote in found.votes}
    lines += [f"{name}: {tables.NO_VOTES}." for name in found.names if name not in named]
    lines += scales(found.votes)
    how = "%fuse vote ship NAME, %fuse vote blind; a community's: nbfuse votes merge FOLDER."
    return [*_list(lines), f"<p><small>{how}</small></p>"]


def _bookmarks(found: Comparison, mark: Bookmark | None, whole: bool) -> list[str]:
    marks = [mark] if mark is not None else []
    if not whole:
        with contextlib.suppress(LedgerError):  # a page is shown without the ledger, too
            marks = Bookmarks().of(found.started_at)
    lines = [f"{m.name} ({m.at[:10]}){': ' * bool(m.tags)}{', '.join(m.tags)}" for m in marks]
    if not lines:
        lines = ["%fuse bookmarks save NAME keeps a comparison, to be opened again at any time."]
    return _list(lines)


def _made(found: Comparison) -> str:
    spent = f" {dollars(found.spent)} were spent on it." if found.spent else ""
    said = f"{found.started_at[:10]}, nbfuse {found.version}, {len(found.questions)} questions."
    return f"<p><small>{say(said + spent)}</small></p>"


def _list(lines: list[str]) -> list[str]:
    return [f"<ul>{''.join(f'<li>{say(line)}</li>' for line in lines)}</ul>"] if lines else []
