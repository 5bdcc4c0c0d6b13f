"""A pool as a notebook keeps it: a short list in static HTML, and in plain text."""

from __future__ import annotations

from nbfuse.core.pool import Pool, chosen
from nbfuse.render.model import root, say


def pool_html(pool: Pool, view: str) -> str:
    """Its members and what is chosen for it; `view` names the widget that finds its place by it."""
    members = "".join(f"<li><code>{say(spec)}</code></li>" for spec in pool.members)
    rest = "".join(f"<p><small>{say(line)}</small></p>" for line in _rest(pool))
    title = f"<p><strong>Pool {say(pool.name)}</strong></p>"
    return f'<div class="{root(view)}">{title}<ul>{members}</ul>{rest}</div>'


def pool_text(pool: Pool) -> str:
    """The same without HTML."""
    return "\n".join([f"Pool {pool.name}", *(f"  {spec}" for spec in pool.members), *_rest(pool)])


def _rest(pool: Pool) -> list[str]:
    rest = {name: value for name, value in chosen(pool).items() if name not in ("members", "judge")}
    lines = [f"judged by {pool.judge or 'the first of them'}, mode {pool.mode}"]
    rest.pop("mode", None)
    return lines + [f"{name}: {value}" for name, value in rest.items()]
