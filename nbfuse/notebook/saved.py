"""What a notebook keeps of a run: three static forms, and what is said of it beside them."""

from __future__ import annotations

from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

from nbfuse.core.types import FusionResult


def bundle(result: FusionResult, view: str = "") -> tuple[dict[str, str], dict[str, object]]:
    """The forms in which a notebook keeps a result, and their metadata.

    `view` names the live view that finds its place by it.
    """
    from nbfuse.render.html import to_html
    from nbfuse.render.markdown import to_markdown
    from nbfuse.render.text import to_text

    data = {
        "text/html": to_html(result, view),
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
