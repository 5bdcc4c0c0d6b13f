"""What marks a run or a vote: a name that no other has, and when it was made."""

from __future__ import annotations

import datetime
import os


def new_name() -> str:
    """A run's name: twelve hexadecimal digits, drawn at random."""
    return os.urandom(6).hex()


def now() -> str:
    """The time in UTC, to the second, as ISO 8601 writes it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
