"""What a recording holds: one JSON object a line, each appended when what it tells has ended.

A run is a `Began`, then one `Told` for each model and one `Called` for each call in the order in
which they end, then an `Ended`; a kernel that dies leaves out what had not ended. Several runs, of
several processes too, may share a file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from nbfuse.core import errors
from nbfuse.core.call import Call, Chunk
from nbfuse.core.errors import ConfigError, NbfuseError, ReplayError
from nbfuse.core.measured import Measured
from nbfuse.core.types import RunStatus
from nbfuse.providers.keys import scrub
from nbfuse.providers.protocol import ModelInfo

FORMAT = 1
# Turns of the event loop from a member's last chunk to the one who waits for members. What ends
# within so many turns is seen by that one at once, and is to be in a replay.
HOPS = 3

_EXTRA = ("retry_after", "partial_text", "needed", "available")  # what some errors carry


class Moment(NamedTuple):
    """Seconds since the run began; the turn of its event loop; a number that counts all moments.

    Turns that lie `HOPS` or fewer apart followed each other without a pause.
    """

    at: float
    turn: int
    seq: int


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, and of whom: by this a run is found again.

    `images` are digests, `tools` names, `given` digests of the answers that were there already.
    """

    prompt: str
    settings: Mapping[str, object]
    images: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    given: tuple[str, ...] = ()


class _Line(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """`run` is the run's name within the file."""

    run: str


class Began(_Line, frozen=True, tag="run"):
    """A run, before anything is spent; all its chance comes from `entropy`."""

    asked: Asked
    entropy: int
    measured: Measured = Measured()
    started_at: str = ""
    version: str = ""
    format: int = FORMAT


class Told(_Line, frozen=True, tag="model"):
    """What was known of a model when the run was planned."""

    spec: str
    model: str
    info: ModelInfo
    local: bool
    when: Moment


class Error(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error that a provider raised: its class, its words, and what it carries."""

    kind: str
    message: str
    hint: str = ""
    extra: dict[str, str | float | None] = {}

    def raised(self) -> Exception:
        """The error itself again."""
        known = getattr(errors, self.kind, None)
        if isinstance(known, type) and issubclass(known, NbfuseError):
            made: Exception = known(self.message, self.hint, **self.extra)
            return made
        other: type[Exception] = type(self.kind, (Exception,), {})  # a third party's
        return other(self.message)


class Heard(msgspec.Struct, frozen=True, array_like=True):
    """A chunk and when it came."""

    when: Moment
    chunk: Chunk


class Called(_Line, frozen=True, tag="call", omit_defaults=True):
    """One call of a provider: what it was asked, what came when, and how it ended."""

    spec: str
    call: Call
    begun: Moment
    heard: tuple[Heard, ...]
    ended: Moment
    how: Literal["done", "failed", "cancelled"] = "done"
    error: Error | None = None


class Embedded(_Line, frozen=True, tag="embed", omit_defaults=True):
    """The vectors that a model gave for texts, of which digests are kept; or how it failed."""

    spec: str
    texts: tuple[str, ...]
    vectors: tuple[tuple[float, ...], ...] = ()
    error: Error | None = None


class Skipped(_Line, frozen=True, tag="skip"):
    """The user stopped one member alone."""

    member: str
    when: Moment


class Looked(_Line, frozen=True, tag="look"):
    """The run counted what had arrived."""

    when: Moment


class Times(msgspec.Struct, frozen=True, array_like=True):
    """When an answer or a call of the judge began, spoke first, and how long it took: seconds."""

    begun: float
    first: float | None
    took: float


class Ended(_Line, frozen=True, tag="end"):
    """How a run came out: whoever replays it compares.

    `times` are those of the answers and then of the judge's calls, `seconds` that of the whole.
    """

    when: Moment
    status: RunStatus
    text: str
    best: str | None
    judged: tuple[str, ...]
    times: tuple[Times, ...] = ()
    seconds: float = 0.0


Line = Began | Told | Called | Embedded | Skipped | Looked | Ended


class TakenRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a recording; `ended` is None where it was broken off."""

    began: Began
    told: Mapping[str, Told]
    calls: tuple[Called, ...]
    embedded: tuple[Embedded, ...]
    skips: tuple[Skipped, ...]
    looks: tuple[Moment, ...]
    ended: Ended | None


def as_error(error: Exception) -> Error:
    """An error as a recording holds it."""
    if not isinstance(error, NbfuseError):
        return Error(type(error).__name__, scrub(str(error), None))  # it may quote anything
    extra = {name: getattr(error, name) for name in _EXTRA if hasattr(error, name)}
    return Error(type(error).__name__, error.message, error.hint, extra)


def comparable(call: Call) -> Call:
    """A call as it is stored and compared: without its time limit, with digests of pictures."""
    messages = tuple(
        msgspec.structs.replace(message, images=tuple(map(digest, message.images)))
        for message in call.messages
    )
    plain = msgspec.structs.replace(call, messages=messages, timeout_s=None)
    return msgspec.json.decode(msgspec.json.encode(plain), type=Call)  # a tuple is a list there


def digest(text: str) -> str:
    """What stands for a long text where only its being the same counts."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def read_runs(path: Path) -> list[TakenRun]:
    """All runs of a file, in their order; raises `ReplayError`.

    A last line that was broken off is left out: what it told had not ended.
    """
    lines: dict[str, list[Line]] = {}
    for number, text in enumerate(_lines_of(path), 1):
        try:
            line = msgspec.json.decode(text, type=Line)
        except msgspec.ValidationError as error:
            raise _not_ours(path, number, error) from None
        except msgspec.DecodeError as error:  # broken off, unless more of its kind of line follow
            if number == 1:
                raise _not_ours(path, number, error) from None
            continue
        lines.setdefault(line.run, []).append(line)
    return [_gathered(of) for of in lines.values() if isinstance(of[0], Began)]


def _lines_of(path: Path) -> list[bytes]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReplayError(
            f"{path} can't be read: {error.strerror}.", "Check the path, or record it first."
        ) from None
    found = [line for line in data.split(b"\n") if line.strip()]
    if not found:
        raise ReplayError(f"{path} is empty.", "Record a run into it first.")
    return found


def _not_ours(path: Path, number: int, error: Exception) -> ReplayError:
    return ReplayError(
        f"{path}, line {number}: that is no recording of this version ({error}).",
        "Give a file that --record has written, or record it again.",
    )


def _gathered(lines: list[Line]) -> TakenRun:
    began, ended = lines[0], None
    assert isinstance(began, Began)
    told: dict[str, Told] = {}
    calls: list[Called] = []
    embedded: list[Embedded] = []
    skips: list[Skipped] = []
    looks: list[Moment] = []
    for line in lines[1:]:
        match line:
            case Told():
                told[line.spec] = line
            case Called():
                calls.append(line)
            case Embedded():
                embedded.append(line)
            case Skipped():
                skips.append(line)
            case Looked():
                looks.append(line.when)
            case Ended():
                ended = line
    calls.sort(key=lambda call: call.begun.seq)
    return TakenRun(
        began=began,
        told=told,
        calls=tuple(calls),
        embedded=tuple(embedded),
        skips=tuple(skips),
        looks=tuple(looks),
        ended=ended,
    )


def check_writable(path: Path) -> None:
    """Raise `ConfigError` where a recording can't be appended to a file: it spends nothing."""
    try:
        with open(path, "a+b", opener=_private) as file:
            file.seek(0)
            first = file.readline()
    except OSError as error:
        raise ConfigError(
            f"{path} can't be written: {error.strerror}.", "Give --record another place."
        ) from None
    try:
        ours = not first.strip() or msgspec.json.decode(first, type=Line)
    except msgspec.DecodeError:
        ours = False
    if not ours:
        raise ConfigError(
            f"{path} is no recording, and would be spoilt.", "Give --record another file."
        )


def _private(path: str, flags: int) -> int:
    """Open a file that, if it is new, its owner alone may read: it will hold prompts."""
    return os.open(path, flags, 0o600)
