"""Widgets that stand over static HTML: what a notebook holds never needs them to be read."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets
from IPython.display import DisplayHandle

from nbfuse.core.stamp import new_name
from nbfuse.notebook.saved import lazy_front_end

STATIC = Path(__file__).parent / "static"


def files(ending: str, *names: str) -> str:
    """Files of `static` as one: anywidget takes one module, and that needs no bundler."""
    return "\n".join((STATIC / f"{name}.{ending}").read_text(encoding="utf-8") for name in names)


class Grafted(anywidget.AnyWidget):
    """A widget whose script puts it over each element of the class `nbfuse-view-…`.

    Only front ends that load no widget which is not displayed get it in an output as well.
    """

    view = traitlets.Unicode().tag(sync=True)

    def __init__(self, **values: object) -> None:
        self.handle = DisplayHandle()
        super().__init__(view=new_name(), **values)
        if hasattr(self.comm, "_reply_subshell_for"):
            # ipykernel 7.4 sends a click to the shell that made the widget, which may be busy;
            # this has it go where the front end wants it
            self.comm._reply_subshell_for = lambda _data, default: default

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"  # without an address, which no two runs share

    def with_widget(self, data: dict[str, str]) -> dict[str, object]:
        """`data` for a display, and the widget itself where nothing else would load it."""
        if not lazy_front_end():
            return {**data}
        own = self._repr_mimebundle_()
        return {**((own[0] if isinstance(own, tuple) else own) or {}), **data}
