"""The ways of fusing, one file each; `MODES` is all that the engine knows of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from nbfuse.core.types import Answer, Mode
from nbfuse.fusion import rubric
from nbfuse.fusion.analysis import ANALYST
from nbfuse.fusion.modes.auto import auto
from nbfuse.fusion.modes.best_of import best_of
from nbfuse.fusion.modes.debate import debate
from nbfuse.fusion.modes.merge import merge
from nbfuse.fusion.modes.outcome import Outcome
from nbfuse.fusion.run import Run

MODES: dict[Mode, Callable[[Run, Sequence[Answer]], Awaitable[Outcome]]] = {
    "best-of": best_of,
    "merge": merge,
    "debate": debate,
    "auto": auto,
}
# how the first prompt to the judge begins in each mode, for whoever has it read ahead
FIRST_READING: dict[Mode, str] = {
    "best-of": rubric.SYSTEM,
    "merge": ANALYST,
    "debate": rubric.SYSTEM,
    "auto": rubric.SYSTEM,
}
