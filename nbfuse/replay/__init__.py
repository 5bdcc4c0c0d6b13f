"""Runs recorded in a file, and tables of answers, fused as if live: no key, no network, no wait.

nbfuse.fuse("…", pool, record="run.jsonl")       # asks, and writes down all that is said
nbfuse.fuse("…", pool, replay="run.jsonl")       # the same again, from the file alone
table = nbfuse.replay.from_table("answers.csv", question="question")
nbfuse.fuse("…", table.pool, replay=table)       # published answers, fused
"""

from __future__ import annotations

from nbfuse.replay.host import replayed
from nbfuse.replay.recorder import recorded_into
from nbfuse.replay.recording import Recording, source_of
from nbfuse.replay.source import Source
from nbfuse.replay.table import Table, from_table

__all__ = [
    "Recording",
    "Source",
    "Table",
    "from_table",
    "recorded_into",
    "replayed",
    "source_of",
]
