"""The journal of an evaluation: JSON lines, each written as soon as there is something to keep.

Whoever stops an evaluation goes on from it and pays nothing twice. References are not part of it:
they can be mended, and what was answered is graded anew. The last line may be cut off, by a kill or
a full disk; it is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import msgspec

from nbfuse.core.errors import ConfigError, LedgerError
from nbfuse.core.pool import Pool, pool_settings
from nbfuse.core.types import Answer, FusionResult
from nbfuse.evaluation.questions import MOST_NAMED, Question, digest
from nbfuse.evaluation.voices import Voice

ANOTHER = "Give another file as out, or move this one away."

# Failures that the user can mend before going on: whoever had one is asked again.
MENDABLE = frozenset(
    {
        *("AuthError", "CreditsError", "RateLimitError", "ProviderUnavailableError"),
        *("ModelNotFoundError", "ModelFileError", "OutOfMemoryError", "DownloadError"),
    }
)


class _Head(msgspec.Struct, frozen=True, tag="evaluation"):
    """What is evaluated: questions as id and hash of the text, pools as name and settings.

    `table` is a hash of the answers, where they come from a table.
    """

    questions: dict[str, str]
    pools: dict[str, dict[str, object]]
    table: str = ""
    schema: int = 1


class _Said(msgspec.Struct, frozen=True, tag="answer"):
    question: str
    voice: str
    answer: Answer


class _Fused(msgspec.Struct, frozen=True, tag="fused"):
    question: str
    pool: str
    result: FusionResult


_Line = _Head | _Said | _Fused


_BEGIN = b'{"type":"evaluation"'  # of every journal

# What bounds a run, and changes no answer that was given.
_LIMITS = frozenset(("name", "budget", "deadline_s", "local_only", "grace_s", "quorum"))


def asked_settings(pool: Pool) -> dict[str, object]:
    """The settings of a pool that decide what is said."""
    limits = _LIMITS - {"quorum"} if pool.mode == "auto" else _LIMITS  # it decides who is asked
    return {key: value for key, value in pool_settings(pool).items() if key not in limits}


def is_mendable(answer: Answer) -> bool:
    """Whether an answer failed for a reason that may be gone by now."""
    return answer.failure is not None and answer.failure.kind in MENDABLE


class Journal:
    """What was answered (by question and voice) and fused (by question and pool).

    Kept in the file at `path`, or in memory alone (None); `table` is a hash of the table that
    answers, if one does. Raises `ConfigError` where the file can't be opened, is no journal, or is
    that of another evaluation; `LedgerError` where it can't be written any more.
    """

    def __init__(
        self,
        path: Path | None,
        questions: Sequence[Question],
        pools: Mapping[str, Pool],
        table: str = "",
    ) -> None:
        self.path = path
        self.answers: dict[tuple[str, str], Answer] = {}
        self.results: dict[tuple[str, str], FusionResult] = {}
        self._file: IO[bytes] | None = None
        head = _Head(
            {question.id: digest(question.text) for question in questions},
            {name: asked_settings(pool) for name, pool in pools.items()},
            table,
        )
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            data = path.read_bytes() if path.exists() else b""
            whole = data[: data.rfind(b"\n") + 1]
            if not whole and not _BEGIN.startswith(data[: len(_BEGIN)]):
                raise ConfigError(f"{path} is not the journal of an evaluation.", ANOTHER)
            self._read(whole.splitlines(), head)
            self._file = path.open("ab")  # only now: a file of something else is left alone
            self._file.truncate(len(whole))
        except OSError as error:
            raise ConfigError(f"{path} can't be opened: {error}.", "Give another file.") from error
        if not whole:
            self._write(head)

    def answer(self, question: Question, voice: Voice) -> Answer | None:
        """What a voice has said already."""
        return self.answers.get((question.id, voice.key))

    def result(self, question: Question, pool: str) -> FusionResult | None:
        """What a pool has come to already."""
        return self.results.get((question.id, pool))

    def keep_answer(self, question: Question, voice: Voice, answer: Answer) -> None:
        """Note what a voice said."""
        self.answers[question.id, voice.key] = answer
        self._write(_Said(question.id, voice.key, answer))

    def keep_result(self, question: Question, pool: str, result: FusionResult) -> None:
        """Note what a pool came to."""
        self.results[question.id, pool] = result
        self._write(_Fused(question.id, pool, result))

    def paid(self) -> Iterator[Answer]:
        """Every call that it holds."""
        yield from self.answers.values()
        for result in self.results.values():
            yield from result.judging

    def close(self) -> None:
        """Write no more."""
        if self._file is not None:
            self._file.close()

    def _write(self, line: _Line) -> None:
        if self._file is None:
            return
        try:
            self._file.write(msgspec.json.encode(line) + b"\n")
            self._file.flush()
        except OSError as error:
            raise LedgerError(
                f"{self.path}: {error}.", "Make room; the same call then goes on from there."
            ) from error

    def _read(self, lines: Sequence[bytes], wanted: _Head) -> None:
        again: set[str] = set()
        for number, line in enumerate(lines, 1):
            try:
                found = msgspec.json.decode(line, type=_Line)
            except msgspec.MsgspecError as error:
                raise ConfigError(
                    f"{self.path} is not the journal of an evaluation, or it is broken: "
                    f"line {number}: {error}.",
                    ANOTHER,
                ) from error
            if (number == 1) is not isinstance(found, _Head):
                raise ConfigError(f"{self.path} is not the journal of an evaluation.", ANOTHER)
            match found:
                case _Head():
                    self._compare(found, wanted)
                case _Said() if is_mendable(found.answer):
                    again.add(found.question)
                case _Said():
                    self.answers[found.question, found.voice] = found.answer
                case _Fused() if any(map(is_mendable, found.result.judging)):
                    self.results.pop((found.question, found.pool), None)
                case _Fused():
                    self.results[found.question, found.pool] = found.result
        for key, result in list(self.results.items()):
            if key[0] in again and any(map(is_mendable, result.answers)):
                del self.results[key]  # it was fused without whoever is asked again

    def _compare(self, found: _Head, wanted: _Head) -> None:
        """Raise `ConfigError` that names what this evaluation has otherwise."""
        told = []
        for name in (*wanted.pools, *found.pools):
            mine, its = wanted.pools.get(name), found.pools.get(name)
            if mine is None or its is None:
                told.append(f"pool {name} is {'not in it' if its is None else 'missing here'}")
            elif changed := [k for k in mine if mine[k] != its.get(k)]:
                told.append(f"pool {name} has another {', '.join(changed)}")
        new = [name for name in wanted.questions if name not in found.questions]
        gone = [name for name in found.questions if name not in wanted.questions]
        other = [
            name
            for name, text in wanted.questions.items()
            if found.questions.get(name, text) != text
        ]
        for names, what in ((new, "not in it"), (gone, "missing here"), (other, "worded anew")):
            if names:
                some = ", ".join(names[:MOST_NAMED]) + (" …" if len(names) > MOST_NAMED else "")
                told.append(f"{len(names)} question{'s' * (len(names) != 1)} {what} ({some})")
        if found.table != wanted.table:
            told.append("its answers are those of another table")
        if told:
            what = "; ".join(dict.fromkeys(told))
            raise ConfigError(f"{self.path} is of another evaluation: {what}.", ANOTHER)
