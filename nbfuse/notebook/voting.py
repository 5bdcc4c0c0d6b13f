"""`%fuse vote`: on the last answers, on whether to ship a model, and on two answers unseen."""

from __future__ import annotations

import random
import typing
from collections.abc import Sequence
from typing import get_args

from IPython.display import display

from nbfuse.comparison.voting import (
    POOL,
    Blind,
    Choice,
    blind_pair,
    of_comparison,
    of_result,
    preferred,
    verdict,
)
from nbfuse.config import history, pools
from nbfuse.core.errors import ConfigError, did_you_mean
from nbfuse.core.types import FusionResult
from nbfuse.ledger.ballots import Ballots
from nbfuse.ledger.ledger import Ledger, is_vote

if typing.TYPE_CHECKING:
    from nbfuse.comparison.comparison import Comparison

_open: list[Blind] = []  # the pair that is shown, until it is voted on


def vote(
    words: Sequence[str], last: FusionResult | None, compared: Comparison | None = None
) -> None:
    """Keep a vote and say so; a blind pair is of what was `compared` last, else of the last result.

    Raises `ConfigError` or `LedgerError`.
    """
    match words:
        case ["ship" | "skip" as kind, name]:
            offered = [answer.spec for answer in last.answers] if last is not None else []
            offered += [*(compared.names if compared is not None else ())]
            offered += [f"{POOL}{pool}" for pool in pools()]
            ballots = _ballots()
            ballots.cast(verdict(ballots.voter(), kind, name, offered))
            print(f"Noted: {kind} {name}. See %fuse votes.")
        case ["blind"]:
            chance = random.Random()
            said = of_comparison(compared, chance) if compared else of_result(known(last))
            pair = blind_pair(said, _ballots().all(), chance)
            _open[:] = [pair]
            from nbfuse.render.blind import BlindAnswers

            display(BlindAnswers(pair.prompt, pair.a[1], pair.b[1]))
        case [word] if (choice := _choice(word)) is not None:
            _prefer(choice)
        case [word] | [word, _]:
            print(cast_vote(known(last), word, words[1] if len(words) > 1 else ""))
        case _:
            cast_vote(known(last), " ".join(words), "")


def cast_vote(result: FusionResult, vote: str, member: str) -> str:
    """Keep what the user thinks of an answer (no name: the fused one), and say so in a line.

    Raises `ConfigError` or `LedgerError`.
    """
    if not is_vote(vote):
        raise ConfigError(
            f"A vote can't be {vote!r}.", "Try: %fuse vote up, or %fuse vote best NAME"
        )
    names = [answer.member for answer in result.answers]
    if member and member not in names:
        raise ConfigError(f"{member!r} is no member of that run.", did_you_mean(member, names))
    _check_history()
    Ledger().vote(result.run, vote, member)
    return f"Noted: {member or 'the fused answer'} {vote}."


def _prefer(choice: Choice) -> None:
    if not _open:
        raise ConfigError("No two answers are shown.", "Begin with: %fuse vote blind")
    ballots, pair = _ballots(), _open[0]
    ballots.cast(preferred(ballots.voter(), pair, choice))
    _open.clear()
    said = "neither is better" if choice == "tie" else f"{choice} is better"
    print(f"Noted: {said}. A was {pair.a[0]}, B was {pair.b[0]}. See %fuse votes.")


def _choice(word: str) -> Choice | None:
    return next((one for one in get_args(Choice) if one.casefold() == word.casefold()), None)


def known(last: FusionResult | None) -> FusionResult:
    """The last result; raises `ConfigError` where there is none yet."""
    if last is None:
        raise ConfigError("There is no last result yet.", "Run a %%fuse cell first.")
    return last


def _ballots() -> Ballots:
    _check_history()
    return Ballots()


def _check_history() -> None:
    if not history().on:
        raise ConfigError("The history is switched off.", "Votes are kept in it.")
