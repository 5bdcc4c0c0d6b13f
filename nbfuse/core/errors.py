"""What can go wrong, in the words of the person at the keyboard.

    NbfuseError
    ├── ConfigError              a pool, an option or a file is wrong
    │   └── ReplayError          a recording does not hold what is asked of it
    ├── PromptError              the cell's text can't be sent as it is
    ├── PrivacyError             a model is outside the fence of a local-only pool
    ├── BudgetError              the estimate is above the budget
    ├── NoAnswerError            every member failed
    ├── LedgerError              the history can't be read or written
    └── ModelError               one model failed
        ├── AuthError            no key, or a wrong one
        ├── CreditsError         no money left
        ├── ModerationError      the provider refused the content
        ├── RateLimitError       too many requests; `retry_after` in seconds
        ├── ContextTooLongError  the prompt does not fit
        ├── ModelNotFoundError   no such model, or no such file
        ├── ModelFileError       a model file is broken or of an unknown kind
        ├── ProviderUnavailableError  the server can't be reached or is down
        ├── BadRequestError      the server refuses a setting of the request
        ├── BadResponseError     the server answered with something unusable
        ├── StreamBrokenError    the answer stopped in the middle; `partial_text` is kept
        ├── DeadlineError        the answer took too long
        ├── OutOfMemoryError     a local model does not fit; `needed`, `available` in bytes
        └── DownloadError        weights could not be fetched; what has come is kept

    KeyboardInterrupt
    └── Stopped                  the run was interrupted; no `except Exception` swallows it

Every error carries a `hint`: what to do next. One model failing is data (`Failure`); all failing is
an exception. Nothing here, nor any message, ever holds a key.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from nbfuse.core.clean import clean
from nbfuse.core.types import Answer, Failure, FusionResult


class NbfuseError(Exception):
    """An error with a sentence for the user and a hint what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = clean(message)  # it may quote a server or a file
        self.hint = clean(hint)

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def failure(self) -> Failure:
        """This error as data."""
        return Failure(type(self).__name__, self.message, self.hint)

    def _render_traceback_(self) -> list[str]:  # IPython's hook: the user's code is not at fault
        return [f"{type(self).__name__}: {self.message}", *self.hint.splitlines()]


class ConfigError(NbfuseError):
    """A pool, an option or a configuration file is wrong."""


class ReplayError(ConfigError):
    """A recording does not hold what is asked of it; the message names what has changed."""


class PromptError(NbfuseError):
    """The prompt is empty, or a {{name}} in it can't be filled in."""


class PrivacyError(NbfuseError):
    """A model lies outside of a pool that allows local models only."""


class BudgetError(NbfuseError):
    """The estimated price is above the pool's budget."""


class NoAnswerError(NbfuseError):
    """Every member failed; `result` holds each reason and what had arrived."""

    def __init__(self, message: str, hint: str, result: FusionResult) -> None:
        super().__init__(message, hint)
        self.result = result

    def __reduce__(self) -> tuple[type[NoAnswerError], tuple[str, str, FusionResult]]:
        return type(self), (self.message, self.hint, self.result)  # a process pool pickles it


class LedgerError(NbfuseError):
    """The history can't be read or written; a run itself goes on without it."""


class ModelError(NbfuseError):
    """One model failed."""


class AuthError(ModelError):
    """The key is missing or was refused."""


class CreditsError(ModelError):
    """The account has no credits left."""


class ModerationError(ModelError):
    """The provider's content policy refused the request."""


class RateLimitError(ModelError):
    """Too many requests; `retry_after` is in seconds, None when the server did not say."""

    def __init__(self, message: str, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after


class ContextTooLongError(ModelError):
    """The prompt is longer than the model's context."""


class ModelNotFoundError(ModelError):
    """The model, or its file, does not exist."""


class ModelFileError(ModelError):
    """A model file is broken, or of a kind that the engine does not know."""


class ProviderUnavailableError(ModelError):
    """The server can't be reached, or says that it can't answer now."""


class BadRequestError(ModelError):
    """The server refuses the request as it was put."""


class BadResponseError(ModelError):
    """The server's answer can't be used."""


class StreamBrokenError(ModelError):
    """The answer ended in the middle; `partial_text` is what had arrived."""

    def __init__(self, message: str, hint: str = "", partial_text: str = "") -> None:
        super().__init__(message, hint)
        self.partial_text = partial_text


class DeadlineError(ModelError):
    """The model took longer than the limit."""


class OutOfMemoryError(ModelError):
    """A local model needs more memory than there is; figures in bytes where known."""

    def __init__(
        self, message: str, hint: str = "", needed: int | None = None, available: int | None = None
    ) -> None:
        super().__init__(message, hint)
        self.needed = needed
        self.available = available


class DownloadError(ModelError):
    """Weights could not be fetched whole; what has come is kept, and goes on from there."""


class Stopped(KeyboardInterrupt):
    """It was interrupted; `result` holds what had arrived of a run, if it had begun.

    `kept` says what has become of something else than a run.
    """

    def __init__(self, result: FusionResult | None, kept: str = "") -> None:
        super().__init__("Stopped.")
        self.result, self.kept = result, kept

    def _render_traceback_(self) -> list[str]:  # a full traceback costs IPython 100 ms
        if self.kept:
            return [f"Stopped. {self.kept}"]
        if self.result is None:
            return ["Stopped before anything had arrived."]
        kept = sum(answer.usable for answer in self.result.answers)
        return [f"Stopped. {kept} answer{'s' * (kept != 1)} kept, whole or in part, in `_`."]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest of `known`, or all of them when none is near."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=3, cutoff=0.5)
    if near:
        named = (f"“{name}”" if " " in name else name for name in near)  # questions, for instance
        return f"Did you mean {' or '.join(named)}?"
    return f"Known: {', '.join(names)}." if names else ""


def no_answer(answers: Sequence[Answer], result: FusionResult) -> NoAnswerError:
    """The error for a run in which nobody answered, with each member's reason."""
    lines = []
    for answer in answers:
        what = "it was stopped" if answer.status == "stopped" else "the answer was empty"
        failure = answer.failure or Failure("BadResponseError", what)
        line = f"  {answer.member}: {failure.message}"
        lines.append(f"{line} {failure.hint}".rstrip())
    return NoAnswerError("No member answered.", "\n".join(lines), result)
