"""What `%fuse votes` and `nbfuse votes` say: one's own votes, their file, and everybody's."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from nbfuse.comparison.ballots import export, merge
from nbfuse.comparison.tally import Count, scales, tally
from nbfuse.core.clean import clean
from nbfuse.ledger.ballots import Ballots


class Told(NamedTuple):
    """The votes on each contender, and in lines what one has to know of them."""

    counts: list[Count]
    lines: list[str]


def own_votes() -> Told:
    """This user's own votes; raises `LedgerError`, or `ConfigError` without the extra."""
    cast = Ballots().all()
    lines = [] if cast else ["No votes yet: %fuse vote ship MODEL, or %fuse vote blind."]
    counts = tally(cast)
    return Told(counts, lines + scales(counts))


def exported(folder: str, prompts: bool) -> str:
    """Write this user's votes into a folder, and say so in a line; raises `ConfigError`."""
    own = Ballots()
    cast = own.all()
    path = export(cast, Path(folder).expanduser(), own.voter(), prompts)
    with_them = "with" if prompts else "without"
    return f"{len(cast)} vote{'s' * (len(cast) != 1)} {with_them} prompts in {path}"


def merged(folder: str) -> Told:
    """Everybody's votes in a folder; raises `ConfigError`."""
    found = merge(Path(folder).expanduser())
    voters = len({ballot.voter for ballot in found.ballots})
    lines = [
        f"{len(found.ballots)} votes of {voters} voter{'s' * (voters != 1)} in {found.files} "
        f"file{'s' * (found.files != 1)}; {found.repeated} were there twice, {found.replaced} were "
        "changed by their voter."
    ]
    lines += [f"Left out: {clean(name)}: {why}" for name, why in found.skipped]
    counts = tally(found.ballots)
    return Told(counts, lines + scales(counts))
