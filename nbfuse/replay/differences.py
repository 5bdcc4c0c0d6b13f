"""Says what has changed since a run was recorded, in sentences that name it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from nbfuse.core.call import Call, Message
from nbfuse.core.pool import Pool, labels, pool_settings
from nbfuse.providers.recording import Asked, Called
from nbfuse.replay.source import FREE_SETTINGS

SHOWN = 60  # characters of a text that is quoted
BEFORE = 12  # of them before the place where two texts part
_PLAIN = pool_settings(Pool(members=("x",)))  # what a setting was before there was one


def differences(recorded: Asked, asked: Asked) -> list[str]:
    """What is asked otherwise than it was; empty where it is the same run."""
    return [
        *_prompts(recorded.prompt, asked.prompt),
        *_members(_names(recorded), _names(asked)),
        *_settings(recorded.settings, asked.settings),
        *_pictures(recorded.images, asked.images),
        *_listed("tools", recorded.tools, asked.tools),
        *(["The answers that are judged again are others."] * (recorded.given != asked.given)),
    ]


def nearness(recorded: Asked, asked: Asked) -> tuple[float, int]:
    """How like two runs are, for choosing the one to compare with."""
    alike = difflib.SequenceMatcher(None, recorded.prompt, asked.prompt).quick_ratio()
    return alike, -len(differences(recorded, asked))


def _names(asked: Asked) -> list[str]:
    members = asked.settings.get("members")
    return [str(one) for one in members] if isinstance(members, Sequence) else []


def _prompts(old: str, new: str) -> Iterator[str]:
    if old != new:
        before, after = _parted(old, new)
        yield f"The prompt has changed since it was recorded: {before} is now {after}."


def _members(old: list[str], new: list[str]) -> Iterator[str]:
    if old == new:
        return
    if len(old) != len(new):
        yield f"The members were {', '.join(old)}; they are now {', '.join(new)}."
        return
    for label, was, now in zip(labels(tuple(old)), old, new, strict=True):
        if was != now:
            yield f"The member {label} is now {now}; {was} was recorded."


def _settings(old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[str]:
    for name in sorted({*old, *new} - {"members", *FREE_SETTINGS}):
        was, now = (side.get(name, _PLAIN.get(name)) for side in (old, new))
        if was == now:
            continue
        if name == "system":
            before, after = _parted(str(was or ""), str(now or ""))
            yield f"The system prompt was {before}; it is now {after}."
        else:
            yield f"The pool's {name} was {_said(was)}; it is now {_said(now)}."


def _said(value: object) -> str:
    return "not set" if value is None else str(value)


def _pictures(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    if len(old) != len(new):
        yield f"Pictures recorded: {len(old)}; now: {len(new)}."
        return
    for number, (was, now) in enumerate(zip(old, new, strict=True), 1):
        if was != now:
            yield f"Picture {number} is another one than was recorded."


def _listed(what: str, old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    if tuple(old) != tuple(new):
        before, after = (", ".join(side) or "none" for side in (old, new))
        yield f"The {what} were {before}; they are now {after}."


def call_difference(who: str, call: Call, recorded: Sequence[Called]) -> str:
    """How a call differs from the most alike of those that were recorded for that model."""
    if not recorded:
        return f"{who} is asked once more than was recorded."
    nearest = max(recorded, key=lambda one: _likeness(one.call, call)).call
    for name in Call.__struct_fields__:
        was, now = getattr(nearest, name), getattr(call, name)
        if name != "messages" and was != now:
            shown = "" if name in ("schema", "grammar") else f": {_said(was)} is now {_said(now)}"
            return f"{who} is asked with another {name} than was recorded{shown}."
    pairs = zip_longest(nearest.messages, call.messages)
    for was_message, now_message in pairs:
        if was_message != now_message:
            return f"{who} is asked otherwise than was recorded: {_turns(was_message, now_message)}"
    return f"{who} is asked once more than was recorded."


def _likeness(one: Call, other: Call) -> tuple[bool, int, int]:
    same = sum(a == b for a, b in zip(one.messages, other.messages, strict=False))
    texts = ("".join(message.content for message in call.messages) for call in (one, other))
    return one.schema == other.schema, same, _common(*texts)


def _turns(was: Message | None, now: Message | None) -> str:
    if was is None or now is None:
        return f"there {'was no' if was is None else 'is no longer a'} further turn."
    if was.role != now.role or was.images != now.images:
        return f"its {was.role} turn has other {'pictures' if was.role == now.role else 'roles'}."
    role = "system prompt" if was.role == "system" else "prompt"
    before, after = _parted(was.content, now.content)
    place = _common(was.content, now.content)
    return f"the {role} differs from character {place}: {before} is now {after}."


def _common(old: str, new: str) -> int:
    """How many characters both begin with."""
    pairs = enumerate(zip(old, new, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(old), len(new)))


def _parted(old: str, new: str) -> tuple[str, str]:
    """Both texts in quotes, cut to the place where they part."""
    start = max(0, _common(old, new) - BEFORE) if max(len(old), len(new)) > SHOWN else 0
    return _quoted(old, start), _quoted(new, start)


def _quoted(text: str, start: int) -> str:
    shown = text[start : start + SHOWN]
    return f"{'…' * (start > 0)}{shown!r}{'…' * (start + SHOWN < len(text))}"
