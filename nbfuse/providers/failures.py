"""From what a server says went wrong to the error that says what to do about it."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping

import msgspec

from nbfuse.core import errors
from nbfuse.providers.http import Rejected
from nbfuse.providers.wire import WireError, read_payload

RETRYABLE = frozenset({408, 429, 500, 502, 503, 504, 524, 529})

_ERROR_TYPES = {  # OpenRouter's metadata.error_type and llama.cpp's type, to the nearest status
    "context_length_exceeded": 413,
    "token_limit_exceeded": 413,
    "string_too_long": 413,
    "exceed_context_size_error": 413,
    "authentication": 401,
    "authentication_error": 401,
    "permission_denied": 401,
    "payment_required": 402,
    "rate_limit_exceeded": 429,
    "provider_overloaded": 503,
    "provider_unavailable": 503,
    "unavailable_error": 503,
    "server": 500,
    "timeout": 504,
    "not_found": 404,
    "not_found_error": 404,
    "privacy_restricted": 404,
    "content_policy_violation": 403,
    "refusal": 403,
    "invalid_request": 400,
    "invalid_request_error": 400,
    "invalid_prompt": 400,
    "max_tokens_exceeded": 400,
}

# A refusal of the content quotes it in its reasons: these are never shown.
_CONTENT = ("content_policy_violation", "refusal", "moderation", "guardrail")
_TOO_LONG = ("context length", "context size", "maximum context", "too many tokens")


class Trouble(msgspec.Struct, frozen=True):
    """A failure read from a reply: an HTTP-like status, the server's words, whether to retry."""

    status: int
    message: str
    retryable: bool
    retry_after: float | None = None
    code: str = ""


def read_rejection(rejected: Rejected) -> Trouble:
    """What an HTTP error reply says; a body that is not JSON is quoted in short."""
    retry_after = retry_after_seconds(rejected.headers)
    body = rejected.body.decode("utf-8", errors="replace")
    try:
        wire = read_payload(body).failure()
    except msgspec.MsgspecError:
        wire = None
    if wire is None:
        words = " ".join(body.split())[:200]
        if rejected.status in range(300, 400):
            words = f"it redirects to {rejected.headers.get('location', 'another address')}"
        wire = WireError(message=words or f"HTTP {rejected.status}")
    return read_error(wire, rejected.status, retry_after)


def read_error(wire: WireError, status: int, retry_after: float | None = None) -> Trouble:
    """What an error object says, in a reply or in the middle of a stream."""
    metadata, availability = wire.metadata or {}, wire.availability or {}
    kind = str(metadata.get("error_type") or wire.type or "")
    message = wire.message or kind or f"HTTP {status}"
    try:
        status = int(wire.code) if wire.code is not None else status
    except ValueError:
        kind = kind or str(wire.code)
    status = _ERROR_TYPES.get(kind, status)
    if status == 400 and any(words in message.lower() for words in _TOO_LONG):
        status = 413  # servers other than OpenRouter say it in words only
    if status == 403 and metadata.keys() & {"reasons", "flagged_input", "patterns"}:
        kind = "moderation"
    wait = availability.get("retry_after")
    return Trouble(
        status=status,
        message=" ".join(message.split())[:400],
        retryable=bool(availability.get("retryable", status in RETRYABLE)),
        retry_after=float(wait) if isinstance(wait, int | float) else retry_after,
        code=str(availability.get("code") or kind),
    )


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` in seconds, from a number or an HTTP date (RFC 9110, section 10.2.3)."""
    value = headers.get("retry-after", "").strip()
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, when.timestamp() - time.time())


def to_error(trouble: Trouble, model: str, place: str, key_name: str) -> errors.ModelError:
    """The error for the user: what `place` said about `model`, and the remedy."""
    words = trouble.message
    words = words if words.endswith((".", "!", "?", "…")) else f"{words}."
    said = f"{place} on {model}: {words}"
    match trouble.status:
        case 401:
            return errors.AuthError(
                f"{place} refused the key: {words}",
                f"Set {key_name} to a valid key." if key_name else "This server wants a key.",
            )
        case 402:
            return errors.CreditsError(
                f"{place} has no credits left for {model}: {words}",
                "Add credits at the provider, or choose a free or local model.",
            )
        case 403 if trouble.code not in _CONTENT:
            return errors.AuthError(
                f"{place} does not allow {model}: {words}",
                "Look at this key's limits and rights, or take another model.",
            )
        case 403:
            return errors.ModerationError(
                f"{place} refused the content for {model}.",
                "Rephrase the prompt, or leave this member out.",
            )
        case 404 if trouble.code == "privacy_restricted":
            return errors.ModelNotFoundError(
                said,
                "Your privacy settings exclude every endpoint of it: relax them, or take another.",
            )
        case 404:
            return errors.ModelNotFoundError(said, "Check the name with `%fuse models`.")
        case 413:
            return errors.ContextTooLongError(
                f"The prompt is too long for {model}: {words}",
                "Shorten it, or choose a model with a longer context.",
            )
        case 429:
            return errors.RateLimitError(
                said, "Wait a moment, or use another model.", trouble.retry_after
            )
        case 408 | 500 | 502 | 503 | 504 | 524 | 529:
            return errors.ProviderUnavailableError(
                said, "Run the cell again, or use another model."
            )
        case status if 300 <= status < 400:
            return errors.ProviderUnavailableError(
                said, "nbfuse follows no redirect: put the final address into the base URL."
            )
        case _:
            return errors.BadRequestError(said, "Check the settings of this member.")
