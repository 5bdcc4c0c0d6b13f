"""Where a comparison keeps what it has paid for, and finds what was paid for before.

By question and settings, and not by comparison: a contender that was asked the same in another one,
or in a run of the history, is not asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

import msgspec

from nbfuse.core.errors import LedgerError
from nbfuse.core.pool import Pool
from nbfuse.core.types import Answer, FusionResult, from_json, to_json
from nbfuse.evaluation.journal import asked_settings, is_mendable
from nbfuse.evaluation.questions import Question, digest
from nbfuse.evaluation.voices import Voice
from nbfuse.fusion.dispatch import SELF_PANEL_TEMPERATURE
from nbfuse.ledger.earlier import Earlier

_T = TypeVar("_T", Answer, FusionResult)


class Kept:
    """Answers and results of the ledger, and those of this process where there is none (None).

    `pools` are the settings of contenders, by name, and `reviews` those of who reviews. `reused`
    and `bought` count calls; `trouble` says why something could not be kept.
    """

    def __init__(
        self,
        earlier: Earlier | None,
        pools: Mapping[str, Pool],
        reviews: Mapping[str, Pool],
        fresh: bool,
    ) -> None:
        self._earlier, self._pools, self._reviews = earlier, {**pools, **reviews}, reviews
        self._fresh = fresh  # nothing from before this comparison is used
        self._here: dict[str, Answer | FusionResult] = {}
        self._runs: dict[str, list[FusionResult]] = {}
        self.reused = self.bought = 0
        self.trouble = ""

    @property
    def lasts(self) -> bool:
        """Whether what is kept is there after this comparison."""
        return self._earlier is not None

    def answer(self, question: Question, voice: Voice) -> Answer | None:
        """What a voice has said already: in a comparison, else in a run of the history."""
        key = _answer_key(question, voice)
        return self._known(Answer, key, lambda: self._said(question, voice), lambda _: 1)

    def result(self, question: Question, pool: str) -> FusionResult | None:
        """What a pool has come to already: in a comparison, else in a run of the history."""
        key = self._result_key(question, pool)
        calls = partial(self._calls, pool=pool)
        return self._known(FusionResult, key, lambda: self._fused(question, pool), calls)

    def _known(
        self,
        kind: type[_T],
        key: str,
        in_history: Callable[[], _T | None],
        calls: Callable[[_T], int],
    ) -> _T | None:
        """What is kept under a key, here or from before, which then counts as used again."""
        here = self._here.get(key)
        if isinstance(here, kind):
            return here
        if self._fresh or self._earlier is None:
            return None
        found = self._read(kind, key) or in_history()
        if found is not None:
            self._here[key] = found
            self.reused += calls(found)
        return found

    def keep_answer(self, question: Question, voice: Voice, answer: Answer) -> None:
        """Keep what a voice said, where it would say so again."""
        self.bought += 1
        if answer.usable and answer.failure is None:
            self._keep(_answer_key(question, voice), answer)

    def keep_result(self, question: Question, pool: str, result: FusionResult) -> None:
        """Keep what a pool came to, where its judge was heard."""
        self.bought += self._calls(result, pool)
        if result.text and not any(map(is_mendable, (*result.answers, *result.judging))):
            self._keep(self._result_key(question, pool), result)

    def paid(self) -> Iterable[Answer]:
        """Nothing: what was paid before does not count against a budget of now."""
        return ()

    def _read(self, kind: type[_T], key: str) -> _T | None:
        """What the ledger keeps under a key; nothing where another version has written it."""
        text = self._earlier.kept(key) if self._earlier is not None else None
        try:
            return None if text is None else from_json(kind, text)
        except msgspec.MsgspecError:
            return None

    def _calls(self, result: FusionResult, pool: str) -> int:
        """The calls of a result; a contender's members are asked, and counted, by themselves."""
        return len(result.calls if pool in self._reviews else result.judging)

    def _keep(self, key: str, value: Answer | FusionResult) -> None:
        self._here[key] = value
        if self._earlier is None:
            return
        try:
            self._earlier.keep(key, to_json(value))
        except LedgerError as error:
            self.trouble = f"What was answered could not be kept. {error.message} {error.hint}"

    def _result_key(self, question: Question, pool: str) -> str:
        return digest("result", question.text, to_json(asked_settings(self._pools[pool])))

    def _history(self, question: Question) -> list[FusionResult]:
        if self._earlier is not None and question.text not in self._runs:
            self._runs[question.text] = self._earlier.runs(question.text)
        return self._runs.get(question.text, [])

    def _said(self, question: Question, voice: Voice) -> Answer | None:
        """The answer of a run that asked the same model in the same way."""
        if voice.judge is not None:
            return None
        found = [
            answer
            for run in self._history(question)
            for answer in run.answers
            if answer.spec == voice.spec and answer.usable and answer.status == "complete"
            if not answer.earlier and not answer.parts and _asked_alike(run, voice)
        ]
        return found[voice.sample] if voice.sample < len(found) else None

    def _fused(self, question: Question, pool: str) -> FusionResult | None:
        """The run of a pool with the same settings."""
        wanted = asked_settings(self._pools[pool])
        for run in self._history(question):
            if run.verdict.decided_by == "you" or any(a.earlier for a in run.answers):
                continue
            if all(run.settings.get(name) == value for name, value in wanted.items()):
                return run
        return None


def _answer_key(question: Question, voice: Voice) -> str:
    return digest("answer", question.text, voice.key)


def _asked_alike(run: FusionResult, voice: Voice) -> bool:
    settings, temperature = run.settings, run.settings.get("temperature")
    if sum(answer.spec == voice.spec for answer in run.answers) > 1 and temperature is None:
        temperature = SELF_PANEL_TEMPERATURE
    asked = (temperature, *(settings.get(n) for n in ("top_p", "max_tokens", "seed", "system")))
    return asked == (voice.temperature, voice.top_p, voice.max_tokens, voice.seed, voice.system)
