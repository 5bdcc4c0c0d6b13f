"""`%fuse compare`: a comparison in a cell, whose page fills while it goes on."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from IPython.display import display

from nbfuse.comparison.compare import prepare
from nbfuse.comparison.comparison import Comparison
from nbfuse.core.errors import ConfigError, Stopped, did_you_mean
from nbfuse.evaluation.grading import Grade
from nbfuse.evaluation.progress import shown
from nbfuse.notebook.runner import runner
from nbfuse.notebook.saved import can_update
from nbfuse.notebook.session import Session
from nbfuse.options import HelpShown, Parser, add_compare_options, comparing_of

TICK_S = 1.0  # between two pages: each is sent whole
KEPT = "What was answered is kept: the same command, without --fresh, goes on from there."
LOST = "Nothing is kept of what is recorded or replayed, nor where the history is off."


def compare(session: Session, words: Sequence[str]) -> Comparison | None:
    """The comparison that the words ask for, shown while it goes on; raises what it raises."""
    try:
        options = parser().parse_args(words)
    except HelpShown:
        return None
    if options.out is not None and not options.out.isidentifier():
        raise ConfigError(f"--out {options.out}: that is not a variable's name.", "Use one word.")
    questions, grade = _questions(session, options.on), _grade(session, options.grade)
    asked = comparing_of(options, questions, grade)
    prepared = runner.run(prepare([_contender(session, w) for w in options.contenders], asked))
    if options.dry_run:
        print("\n".join(prepared.lines))
        return None
    view = _View(session)
    try:
        # a kernel without a view runs for a file, in which the progress would stay
        with shown(not hasattr(session.shell, "kernel")) as step:
            found = runner.run(
                prepared.contest(step, view.watch).run(options.concurrency), view.tick
            )
    except KeyboardInterrupt:
        view.clear()
        raise Stopped(None, KEPT if prepared.kept.lasts else LOST) from None
    except BaseException:
        view.clear()
        raise
    view.finish(found)
    session.compared = found
    if options.out is not None:
        session.shell.user_ns[options.out] = found
    if options.page is not None:
        print(f"The page is in {found.save(options.page)}")
    return found


def parser() -> Parser:
    """The options of `%fuse compare`."""
    made = Parser(
        prog="%fuse compare", description="Which one should you ship with? On your own questions."
    )
    made.stray = "Contenders are models, pool:NAME or run:NAME."
    add_compare_options(made)
    made.add_argument("-o", "--out", metavar="NAME", help="a variable for the comparison")
    made.add_argument("--page", metavar="FILE", help="write the page as one HTML file, too")
    return made


def _questions(session: Session, name: str | None) -> object:
    """What `--on` names: a variable of the notebook, else a file."""
    if name is None or name in session.shell.user_ns:
        return session.shell.user_ns.get(name) if name else None
    if name.isidentifier() and not os.path.exists(name):
        near = did_you_mean(name, [n for n in session.shell.user_ns if n[0] != "_"])
        raise ConfigError(f"--on: {name!r} is neither a variable nor a file.", near)
    return name


def _grade(session: Session, name: str | None) -> Grade | None:
    found: Grade | None = session.shell.user_ns.get(name) if name is not None else None
    if name is not None and not callable(found):
        functions = [n for n, f in session.shell.user_ns.items() if callable(f) and n[0] != "_"]
        near = did_you_mean(name, functions)
        raise ConfigError(f"--grade: there is no function {name!r}.", near)
    return found


def _contender(session: Session, word: str) -> object:
    """What a word names: a pool or a result in a variable, else a spec."""
    return session.shell.user_ns.get(word, word) if word.isidentifier() else word


class _View:
    """The page in a cell, which is drawn anew while answers come; `on` where it can be."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.on = session.live and can_update(session.shell)
        self._latest: Comparison | None = None
        self._drawn_at, self._id = 0.0, f"nbfuse-comparison-{time.monotonic_ns()}"
        self._begun = False

    def watch(self, found: Comparison) -> None:
        """Note how it stands; called in the loop's thread."""
        self._latest = found

    def tick(self) -> None:
        """Draw what is new, in the main thread."""
        found = self._latest
        if not self.on or found is None or time.monotonic() - self._drawn_at < TICK_S:
            return
        self._latest, self._drawn_at = None, time.monotonic()
        self._draw(forms(found))

    def finish(self, found: Comparison) -> None:
        """The page as it stays."""
        if self.on:
            self._draw(forms(found))
            self._session.on_screen = found

    def clear(self) -> None:
        """Leave nothing."""
        if self._begun:
            self._draw({"text/plain": ""})

    def _draw(self, forms: dict[str, str]) -> None:
        display(forms, raw=True, display_id=self._id, update=self._begun)
        self._begun = True


def forms(found: Comparison) -> dict[str, str]:
    """What a notebook keeps of a comparison."""
    return {
        "text/html": found._repr_html_(),
        "text/markdown": found._repr_markdown_(),
        "text/plain": str(found),
    }
