"""The pool widget: a pool that is put together by clicking, and is a `Pool` in Python all the time.

What takes time (lists of models, prices, a test) is asked for on the loop's thread, clicks arrive
in another, and cells set `pool` in a third: what is synchronised is changed under one lock, by
Python alone. The browser sends what was changed there as a message with a number, and takes over
no settings that answer an earlier one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from contextlib import aclosing
from typing import cast

import msgspec
import traitlets
from IPython.core.getipython import get_ipython

from nbfuse.advice import advise
from nbfuse.api import choose
from nbfuse.config import load_pool, pools
from nbfuse.core.clean import clean
from nbfuse.core.errors import NbfuseError, NoAnswerError
from nbfuse.core.events import RunFinished
from nbfuse.core.pool import ANSWER_KINDS, MODES, Pool, expand, make_pool, pool_settings
from nbfuse.core.request import Request
from nbfuse.core.types import Answer
from nbfuse.fusion import engine
from nbfuse.models import listed
from nbfuse.notebook.grafted import Grafted, files
from nbfuse.notebook.runner import runner
from nbfuse.notebook.saved import can_update, knows_widgets
from nbfuse.options import cell_line
from nbfuse.render.pool import pool_html, pool_text
from nbfuse.render.table import price, seconds
from nbfuse.written import as_python, save

TEST = "In two sentences: why is the sky blue?"
TEST_TOKENS, TEST_S = 80, 60.0
PAUSE_S = 0.2  # after a change, before its price is looked up: a number is typed digit by digit


class _PoolTrait(traitlets.Instance[Pool]):
    """A pool, which may be given by its name."""

    def validate(self, obj: traitlets.HasTraits, value: object) -> Pool | None:
        return super().validate(obj, choose(value, {}) if isinstance(value, str) else value)


class PoolWidget(Grafted):
    """Finds models, puts them into a pool, and says what it costs and what speaks against it.

    `pool` is a `Pool`, the name of one, or None for the default. The attribute `pool` is the pool
    as it stands: set it, or watch it with `observe(…, "pool")`. Raises `ConfigError` for a name
    that is not known.
    """

    _esm = files("js", "dom", "graft", "search", "pool")
    _css = files("css", "shared", "pool")
    pool = _PoolTrait(Pool)
    state = traitlets.Dict().tag(sync=True)
    models: traitlets.List[object] = traitlets.List().tag(sync=True)
    told = traitlets.Dict().tag(sync=True)

    def __init__(self, pool: Pool | str | None = None) -> None:
        self._lock = threading.RLock()
        self._number = 0  # of the last message with changes
        self._draft: dict[str, object] = {}  # the settings, with what can't be a pool yet
        self._rates: dict[str, float] = {}  # tokens a second, as tests have measured them
        self._tasks: dict[str, asyncio.Task[None]] = {}
        super().__init__(
            pool=choose(pool, {}),
            told={
                "modes": list(MODES),
                "kinds": list(ANSWER_KINDS),
                "tested": {},
                "error": "",
            },
        )
        self.on_msg(lambda _me, content, _buffers: self._hear(content))
        self._later("models", self._find_models())

    def _ipython_display_(self) -> None:
        """Show it, over the static form that the notebook keeps."""
        self.handle.display(self._saved(), raw=True)

    @traitlets.observe("pool")
    def _pool_is_set(self, _change: object) -> None:
        self._restate()
        self._tell(error="", **self._spelled())
        self._later("advice", self._advise())
        shell = get_ipython()
        if shell is not None and can_update(shell):
            self.handle.update(self._saved(), raw=True)

    def _restate(self) -> None:
        """Have every view show the pool as it is."""
        with self._lock:
            self._draft = pool_settings(self.pool)
            turn = cast(int, self.state.get("turn", 0)) + 1  # the same pool is to be shown again
            self.state = {"settings": self._draft, "number": self._number, "turn": turn}

    def _hear(self, ask: Mapping[str, object]) -> None:
        """Do what a click asks for; clicks arrive in any thread."""
        try:
            match ask:
                case {"changes": dict(changes), "number": int(number)}:
                    self._change(changes, number)
                case {"load": str(name)} if name:
                    self.pool = load_pool(name)
                    self._restate()
                    self._tell(error="", notice=f"Loaded {name}")
                case {"save": True} | {"test": True} if self.told["error"]:
                    pass  # what is shown is not the pool, and why is said already
                case {"save": True}:
                    known = pools()
                    path = save(self.pool)
                    done = "Replaced" if self.pool.name in known else "Saved as"
                    self._tell(notice=f"{done} {self.pool.name} in {path}", **self._spelled())
                case {"test": True}:
                    self._later("test", self._test())
        except NbfuseError as error:
            self._tell(notice=str(error))
        except Exception as error:  # our own mistake: who has clicked is to know of it
            self._tell(notice=f"That failed ({type(error).__name__}: {error}); please report it.")

    def _change(self, changes: dict[str, object], number: int) -> None:
        """Something was changed in the browser; what can't be a pool is said, and `pool` stays."""
        with self._lock:
            self._number, self._draft = number, self._draft | changes
            try:
                self.pool = make_pool(self._draft)
            except NbfuseError as error:
                self._tell(error=str(error), notice="")
            else:
                self._tell(error="", notice="")

    def _spelled(self) -> dict[str, object]:
        """The pool in words, and the names of pools that can be loaded."""
        try:
            cell, why_not = cell_line(self.pool), ""
        except NbfuseError as error:
            cell, why_not = "", str(error)
        try:
            names = list(pools())
        except NbfuseError:  # a file that can't be read is complained about when it is asked for
            names = []
        return {"python": as_python(self.pool), "cell": cell, "noCell": why_not, "names": names}

    def _saved(self) -> dict[str, object]:
        view = self.view if knows_widgets() else ""  # which no two runs of a notebook share
        return self.with_widget(
            {"text/html": pool_html(self.pool, view), "text/plain": pool_text(self.pool)}
        )

    def _tell(self, **parts: object) -> None:
        with self._lock:
            self.told = {**self.told, **parts}

    def _later(self, what: str, work: Coroutine[object, object, None]) -> None:
        """Have the loop's thread do it, in place of what it still does of that kind."""

        def begin() -> None:
            if (before := self._tasks.get(what)) is not None:
                before.cancel()
            self._tasks[what] = asyncio.create_task(work)

        runner.soon(begin)

    async def _find_models(self) -> None:
        found, troubles = await listed()
        self.models = [msgspec.to_builtins(one) for one in found]
        self._tell(troubles=troubles)

    async def _advise(self) -> None:
        await asyncio.sleep(PAUSE_S)
        advice = await advise(self.pool, self._rates)
        low, high = advice.price.low, advice.price.high
        if low is None or high is None:
            cost = ""
        else:
            cost = "nothing" if high == 0 else f"{price(low)} to {price(high)}"
        self._tell(
            cost=cost,
            time="" if advice.seconds is None else f"{max(1, round(advice.seconds))} s",
            unmeasured=advice.unmeasured,
            warnings=[clean(warning) for warning in advice.warnings],
        )

    async def _test(self) -> None:
        judges = filter(None, (self.pool.judge, self.pool.second_judge))
        specs = list(dict.fromkeys((*expand(self.pool.members), *judges)))
        asking = {"says": "asking …", "failed": False}
        self._tell(tested=dict.fromkeys(specs, asking), notice="Asking each member …")
        answers = await asyncio.gather(*map(self._ask, specs))
        failed = sum(answer is None for answer in answers)
        costs = [answer.cost for answer in answers if answer is not None]
        known = [cost for cost in costs if cost is not None]
        paid = f"; it cost {price(sum(known[1:], known[0]))}" if known else ""
        outcome = f"{failed} of {len(specs)} did not answer" if failed else "All have answered"
        self._tell(notice=f"{outcome}{paid}.")
        await self._advise()

    async def _ask(self, spec: str) -> Answer | None:
        """One short question to one model; what it answered or why it did not is told."""
        alone = Pool(
            members=(spec,),
            judge=spec,
            max_tokens=TEST_TOKENS,
            deadline_s=TEST_S,
            local_only=self.pool.local_only,
        )
        answer, said = None, "it said nothing"
        try:
            async with aclosing(engine.stream(Request(TEST, alone))) as events:
                async for event in events:
                    if isinstance(event, RunFinished):
                        answer = event.result.answers[0]
        except NoAnswerError as error:
            failure = error.result.answers[0].failure
            said = failure.message if failure is not None else "it said nothing"
        except NbfuseError as error:
            said = error.message.removeprefix("The judge can't be asked. ")
        except Exception as error:  # a third party's model may do anything
            said = f"{type(error).__name__}: {error}"
        if answer is not None and answer.usable:
            tokens = answer.usage.completion_tokens if answer.usage else 0
            said = f"answered in {seconds(answer.seconds)}"
            if tokens and answer.seconds:
                self._rates[spec] = tokens / answer.seconds
                said += f", {self._rates[spec]:.0f} tokens/s"
        else:
            answer = None
        told = {"says": clean(said), "failed": answer is None}
        with self._lock:
            tested = cast(dict[str, object], self.told["tested"])
            self._tell(tested={**tested, spec: told})
        return answer
