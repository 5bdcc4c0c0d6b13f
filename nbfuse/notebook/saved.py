"""What a notebook keeps of a run: three static forms; and what its front end can show beside."""

from __future__ import annotations

import os
import sys

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


def knows_widgets() -> bool:
    """Whether a front end is there that shows widgets: a server's notebook, VS Code or Colab.

    What runs a notebook without one (nbclient, papermill) would keep the widget in its file.
    """
    if os.environ.get("NBFUSE_LIVE", "").lower() in ("on", "1"):
        return True
    return bool(os.environ.get("JPY_SESSION_NAME")) or lazy_front_end()


def lazy_front_end() -> bool:
    """Whether the front end loads a widget only from an output: VS Code and Colab do."""
    return "VSCODE_PID" in os.environ or "google.colab" in sys.modules
