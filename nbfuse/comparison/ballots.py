"""Votes of a community: files of JSON lines, one of each voter, in a folder or a repository.

A vote says ship or skip of a contender, or which of two answers was better to somebody who did not
know whose they were. It has a random voter and no prompt, unless one is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from nbfuse.core.ballot import FORM, Ballot
from nbfuse.core.clean import clean
from nbfuse.core.errors import ConfigError

MOST_BYTES = 50_000_000  # of one file
MOST_NAMED, MOST_SAID = 3, 200  # lines of one file that are named; characters of a reason


class _Form(msgspec.Struct):
    form: int


_decoder = msgspec.json.Decoder(Ballot)


class Merged(NamedTuple):
    """The votes of several files, each once.

    `repeated` were there before, `replaced` were changed by their voter; `skipped` are the names of
    files or lines that could not be used, with the reason.
    """

    ballots: tuple[Ballot, ...]
    files: int
    repeated: int
    replaced: int
    skipped: tuple[tuple[str, str], ...]


def export(ballots: Sequence[Ballot], folder: Path, voter: str, prompts: bool = False) -> Path:
    """Write the votes of one voter into their file in `folder`, in the order of their times.

    The same votes are the same bytes, so that a repository shows what is new. Raises `ConfigError`.
    """
    own = sorted((b for b in ballots if b.voter == voter), key=lambda b: (b.at, b.id))
    lines = [b if prompts else msgspec.structs.replace(b, prompt=None) for b in own]
    path = folder / f"{voter}.jsonl"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.Encoder().encode_lines(lines))
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}.", "Give another.") from error
    return path


def merge(folder: Path) -> Merged:
    """The votes of all files (`*.jsonl`) in `folder` and below; raises `ConfigError` for no folder.

    A file or a line that can't be used is named and left out; nothing in it is ever run.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder.", "Give the folder with everybody's files.")
    files = sorted(path for path in folder.rglob("*.jsonl") if path.is_file())
    known: dict[str, Ballot] = {}
    repeated = 0
    skipped: list[tuple[str, str]] = []
    for path in files:
        ballots, troubles = _read(path)
        name = str(path.relative_to(folder))
        skipped += [(f"{name}{where}", why) for where, why in troubles]
        for ballot in ballots:
            first = known.setdefault(ballot.id, ballot)
            if first == ballot:
                repeated += first is not ballot
            else:
                skipped.append((name, f"another vote has the id {ballot.id}"))
    latest: dict[tuple[str, ...], Ballot] = {}
    for ballot in sorted(known.values(), key=lambda one: (one.time, one.id)):
        latest[ballot.subject] = ballot
    replaced = len(known) - len(latest)
    return Merged(tuple(latest.values()), len(files), repeated, replaced, tuple(skipped))


def _read(path: Path) -> tuple[list[Ballot], list[tuple[str, str]]]:
    """The votes of a file, and what in it could not be used, with the place."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return [], [("", f"it is larger than {MOST_BYTES // 1_000_000} MB")]
        lines = path.read_bytes().splitlines()
    except OSError as error:
        return [], [("", error.strerror or str(error))]
    ballots, troubles = [], []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                ballots.append(_decoder.decode(line))
            except ValueError as error:
                troubles.append((f", line {number}", _reason(line, error)))
    if not ballots and troubles:
        return [], [("", f"it holds no votes: {troubles[0][1]}")]
    if len(troubles) > MOST_NAMED:
        more = f"and {len(troubles) - MOST_NAMED} more lines like these"
        troubles = [*troubles[:MOST_NAMED], ("", more)]
    return ballots, troubles


def _reason(line: bytes, error: ValueError) -> str:
    """Why a line is no vote: perhaps it is one of a later version."""
    try:
        form = msgspec.json.decode(line, type=_Form).form
    except ValueError:
        form = 0
    if form > FORM:
        return "it was written by a newer nbfuse; update this one"
    return clean(str(error))[:MOST_SAID]
