"""Models behind an OpenAI-compatible server: OpenRouter, any other one, and our own engine."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec

from nbfuse.core import errors
from nbfuse.core.call import Call, Chunk
from nbfuse.providers import http, modellist
from nbfuse.providers.failures import Trouble, read_error, read_rejection, to_error
from nbfuse.providers.keys import Secret, scrub
from nbfuse.providers.protocol import ModelInfo
from nbfuse.providers.wire import Payload, read_payload, to_chunk, write_request

ATTEMPTS = 3
FIRST_PAUSE_S = 0.5
STREAM = (("content-type", "application/json"), ("accept", "text/event-stream"))


class _Failed(Exception):
    """One attempt failed; `retryable` tells whether another one is safe and may help.

    `stale` tells that it went into a kept connection which had been closed.
    """

    def __init__(
        self,
        error: errors.ModelError,
        retryable: bool,
        after_s: float | None = None,
        stale: bool = False,
    ) -> None:
        super().__init__(str(error))
        self.error, self.retryable = error, retryable
        self.after_s, self.stale = after_s, stale


class OpenAI:
    """A server that speaks OpenAI's chat completions at `base_url` (which ends in `/v1`).

    `place` is what errors call it, `key_name` where the user sets its key. `openrouter` turns on
    what only OpenRouter knows: the list of models with prices, attribution, `require_parameters`;
    `llama` what only llama.cpp's servers do.
    """

    def __init__(
        self,
        base_url: str,
        key: Secret | None = None,
        *,
        place: str,
        key_name: str = "",
        openrouter: bool = False,
        llama: bool = False,
        limits: http.Limits = http.Limits(),  # noqa: B008 - frozen
    ) -> None:
        self.base_url = base_url.rstrip("/")
        # attribution: a localhost URL counts only together with a title
        about = (("http-referer", "http://localhost"), ("x-openrouter-title", "nbfuse"))
        self._address = http.Address(self.base_url, key, about if openrouter else (), limits)
        # a gateway on loopback sends what it gets on to OpenRouter
        self.local = http.is_loopback(base_url) and not openrouter
        self._key, self._place, self._key_name = key, place, key_name
        self._openrouter, self._llama = openrouter, llama

    async def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        """Yield the answer as it arrives; ask again only while nothing has come and it is safe."""
        self._need_key(call.model)
        clock = asyncio.get_running_loop().time
        end = clock() + call.timeout_s if call.timeout_s is not None else float("inf")
        address = msgspec.structs.replace(self._address, headers=(*self._address.headers, *STREAM))
        for attempt in range(ATTEMPTS):
            started = False
            try:
                async with aclosing(self._attempt(address, call, end - clock())) as chunks:
                    async for chunk in chunks:
                        started = started or bool(chunk.text or chunk.reasoning)
                        yield chunk
                return
            except _Failed as failed:
                pause = failed.after_s
                if pause is None:
                    pause = FIRST_PAUSE_S * 2**attempt * random.uniform(0.5, 1.5)
                out_of_tries = attempt + 1 == ATTEMPTS or clock() + pause >= end
                if started or not failed.retryable or out_of_tries:
                    # no chain: an inner frame could hold what must not be shown
                    raise await self._with_near_names(failed.error, call.model) from None
                if failed.stale:  # another kept connection may be stale as well
                    fresh = msgspec.structs.replace(address.limits, keep_alive=False)
                    address = msgspec.structs.replace(address, limits=fresh)
            await asyncio.sleep(pause)

    def _need_key(self, model: str) -> None:
        if self._openrouter and self._key is None:
            raise errors.AuthError(
                f"There is no key for {self._place}, which {model} needs.",
                f"Set {self._key_name}, or store it with: keyring set nbfuse openrouter",
            )

    async def _attempt(
        self, address: http.Address, call: Call, left_s: float
    ) -> AsyncGenerator[Chunk]:
        body = write_request(call, require_parameters=self._openrouter, llama=self._llama)
        text: list[str] = []
        finished = False
        replies = http.post_events(address, "/chat/completions", body, left_s)
        try:
            async with aclosing(replies):
                generation_id: str | None = None
                async for reply in replies:
                    if isinstance(reply, http.Head):
                        generation_id = reply.headers.get("x-generation-id")
                        if generation_id:
                            yield Chunk(generation_id=generation_id)
                        continue
                    if reply == http.DONE:
                        finished = True
                        continue
                    payload = self._read(reply, call.model)
                    if (failure := payload.failure()) is not None:
                        raise self._failed(read_error(failure, 500), call.model, "".join(text))
                    chunk = to_chunk(payload, generation_id)
                    text.append(chunk.text)
                    finished = finished or chunk.finish is not None
                    yield chunk
                    if chunk.finish == "error":
                        why = "the provider reported an error"
                        raise self._broken(why, call.model, "".join(text))
        except http.Rejected as error:
            raise self._failed(read_rejection(error), call.model) from error
        except http.Unreachable as error:
            # nobody listens on this machine: waiting would only keep the user waiting
            again = error.safe and (error.stale or not http.is_loopback(self.base_url))
            pause = 0.0 if error.stale else None
            failed = self._unreachable(error, call.model)
            raise _Failed(failed, again, pause, error.stale) from error
        except http.TooSlow as error:
            slow = errors.DeadlineError(
                f"{self._place} on {call.model}: {error}.", "Give it more time, or leave it out."
            )
            raise _Failed(slow, retryable=False) from error
        except http.Broken as error:
            raise self._broken(str(error), call.model, "".join(text)) from error
        if not finished:
            raise self._broken("the connection closed too early", call.model, "".join(text))

    def _read(self, data: str, model: str) -> Payload:
        try:
            return read_payload(data)
        except msgspec.MsgspecError as error:
            words = scrub(" ".join(data.split())[:120], self._key)
            bad = errors.BadResponseError(
                f"{self._place} on {model} sent something that is not a completion: {words}",
                "Check that the address is that of an OpenAI-compatible API (it ends in /v1).",
            )
            raise _Failed(bad, retryable=False) from error

    def _failed(self, trouble: Trouble, model: str, text: str = "") -> _Failed:
        trouble = msgspec.structs.replace(trouble, message=scrub(trouble.message, self._key))
        if text:
            return self._broken(trouble.message, model, text)
        error = to_error(trouble, model, self._place, self._key_name)
        return _Failed(error, trouble.retryable, trouble.retry_after)

    def _broken(self, reason: str, model: str, text: str) -> _Failed:
        why = scrub(reason, self._key).rstrip(".")
        broken = errors.StreamBrokenError(
            f"{self._place} on {model}: the answer broke off: {why}.",
            "What had arrived is kept. Run the cell again for a whole answer.",
            partial_text=text,
        )
        return _Failed(broken, retryable=False)

    def _unreachable(self, error: http.Unreachable, model: str) -> errors.ModelError:
        reason = scrub(str(error), self._key)
        what = "Is the server running?" if self.local else "Is the network up?"
        return errors.ProviderUnavailableError(
            f"{self._place} can't be reached for {model} at {self.base_url}: {reason}.", what
        )

    async def _with_near_names(self, error: errors.ModelError, model: str) -> errors.ModelError:
        """An unknown model's error with the names that come near, where the list can be had."""
        if not isinstance(error, errors.ModelNotFoundError):
            return error
        try:
            known = [info.id for info in await self.models()]
        except errors.ModelError:
            return error
        return errors.ModelNotFoundError(error.message, errors.did_you_mean(model, known))

    async def models(self) -> list[ModelInfo]:
        """List what the server offers; OpenRouter's list comes from disk for a day."""
        kept = modellist.kept_models(self.base_url) if self._openrouter else None
        if kept is not None:
            return kept
        try:
            if self._openrouter:
                models = await modellist.fetch_openrouter(self._address)
            else:
                models = await modellist.fetch_models(self._address)
        except http.Rejected as error:
            raise self._failed(read_rejection(error), "its list of models").error from None
        except http.Unreachable as error:
            raise self._unreachable(error, "its list of models") from None
        except (http.TooSlow, http.Broken, msgspec.MsgspecError) as error:
            reason = scrub(str(error), self._key)
            raise errors.BadResponseError(
                f"{self._place} gave no list of models: {reason}", "Try again later."
            ) from None
        if self._openrouter:
            modellist.keep_models(self.base_url, models)
        return models

    async def describe(self, models: Sequence[str]) -> list[ModelInfo]:
        """What is known of each model; only OpenRouter's list is worth a request before a run."""
        known: dict[str, ModelInfo] = {}
        if self._openrouter:
            try:
                listed = await self.models()
            except errors.ModelError:  # an old list is better than none; without one, no price
                listed = modellist.kept_models(self.base_url, max_age_s=float("inf")) or []
            known = {info.id: info for info in listed}
        return [known.get(model) or ModelInfo(id=model, local=self.local) for model in models]

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await http.close_clients()
