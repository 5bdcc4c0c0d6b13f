"""What a cell shows: a status line for each member while it runs, the static result at the end."""

from __future__ import annotations

import html
import time

from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import DisplayHandle

from nbfuse.core import events
from nbfuse.core.events import Event
from nbfuse.core.types import Answer, FusionResult
from nbfuse.render.table import price, seconds

DRAW_S = 0.25  # a status line need not move faster than one reads


class StatusView:
    """Status lines in one display that is replaced by the result.

    All drawing happens in the main thread: other threads' output can land in another cell.
    """

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}
        self._sizes: dict[str, int] = {}
        self._drawn, self._drawn_at = "", 0.0
        self._handle = DisplayHandle()
        self._handle.display({"text/plain": "nbfuse: asking …"}, raw=True)

    def take(self, event: Event) -> None:
        """Note what happened; nothing is drawn yet."""
        match event:
            case events.MemberStarted(member=member):
                self._lines[member] = "waiting"
            case events.MemberDelta(member=member):
                self._sizes[member] = self._sizes.get(member, 0) + len(event.text)
                what = f"writing, {self._sizes[member]:,} characters" if event.text else "thinking"
                self._lines[member] = f"{what}, {seconds(event.at)}"
            case events.MemberFinished(answer=answer) | events.MemberLate(answer=answer):
                self._lines[answer.member] = _ended(answer)
            case events.MemberFailed(member=member, failure=failure):
                self._lines[member] = f"failed: {failure.message}"
            case events.JudgeStarted(judge=judge, task=task):
                self._lines[f"judge {judge}"] = f"{task}, since {seconds(event.at)}"
            case events.JudgeFailed(judge=judge, failure=failure):
                self._lines[f"judge {judge}"] = f"failed: {failure.message}"
            case events.QuorumReached(answers=answers, grace_s=grace_s):
                self._lines["quorum"] = f"{answers} answers; others get {seconds(grace_s)} more"

    def tick(self) -> None:
        """Draw, if there is something new and the last drawing is a while ago."""
        text = "\n".join(f"{name}: {line}" for name, line in self._lines.items())
        now = time.monotonic()
        if text == self._drawn or now - self._drawn_at < DRAW_S:
            return
        self._drawn, self._drawn_at = text, now
        self._handle.update(
            {"text/plain": text, "text/html": f"<pre>{html.escape(text)}</pre>"}, raw=True
        )

    def finish(self, result: FusionResult) -> None:
        """Replace the status lines by the result."""
        data, metadata = bundle(result)
        self._handle.update(data, metadata=metadata, raw=True)

    def clear(self) -> None:
        """Leave nothing: the run ended before it had begun."""
        self._handle.update({"text/plain": ""}, raw=True)


def _ended(answer: Answer) -> str:
    count = answer.usage.completion_tokens if answer.usage else None
    tokens = f", {count} token{'s' * (count != 1)}" if count is not None else ""
    return f"{answer.status}, {seconds(answer.seconds)}{tokens}, {price(answer.cost)}"


def bundle(result: FusionResult) -> tuple[dict[str, str], dict[str, object]]:
    """The forms in which a notebook keeps a result, and what is said of it beside them."""
    from nbfuse.render.html import to_html
    from nbfuse.render.markdown import to_markdown
    from nbfuse.render.text import to_text

    data = {
        "text/html": to_html(result),
        "text/markdown": to_markdown(result),
        "text/plain": to_text(result),
    }
    about: dict[str, object] = {
        "version": result.version,
        "models": [answer.spec for answer in result.answers],
        "judge": result.judge,
        "mode": result.mode,
        "seconds": round(result.seconds, 3),
        "tokens": result.tokens,
        "cost": None if result.cost is None else str(result.cost),
        "stopped": result.status == "stopped",
    }
    return data, {"nbfuse": about}


def can_update(ip: InteractiveShell) -> bool:
    """Whether a display can be changed after it was shown: a kernel's can, captured ones can't."""
    return hasattr(ip, "kernel") and not isinstance(ip.display_pub, CapturingDisplayPublisher)
