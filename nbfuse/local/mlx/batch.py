"""Decodes all requests to one model together, in the one thread to which MLX's streams belong.

The work is mlx-lm's `BatchGenerator`; here stand who is in it, who leaves it, what is remembered of
prompts, and the end of a context.
"""

from __future__ import annotations

import ctypes
import gc
import math
import queue
import secrets
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx_lm import load
from mlx_lm.generate import BatchGenerator
from mlx_lm.models.cache import LRUPromptCache

from nbfuse.local.mlx.job import Job, Told
from nbfuse.local.mlx.sampling import Obey, sampler

# Tokens of a prompt between two looks at who has left: a third of a second on the slowest of
# Apple's processors with a 3B. Always the same, since the last digits of results depend on it.
STEP = 128
ROOM = 16  # tokens of an answer for which there must be room before it is let in
REMEMBERED = 16  # prompts at most; together with what runs they have the tokens of the context


class _Sample:
    """A sample: its job, its number there, its tokens, and what draws and bounds the next one."""

    def __init__(self, job: Job, index: int) -> None:
        self.job, self.index = job, index
        self.tokens = list(job.prompt)
        self.sampler = sampler(job.wish, job.seed, index)
        self.bounds = [] if job.matcher is None else [Obey(job.matcher, len(job.prompt))]

    @property
    def left(self) -> bool:
        return self.job.left or self.index in self.job.enough

    @property
    def waits(self) -> bool:
        """Whether the prompt is about to be known from the first sample of its job."""
        return self.index > 0 and not self.job.read

    def limit(self, context: int) -> int:
        """How many tokens it may still become."""
        most = self.job.wish.max_tokens or context
        written = len(self.tokens) - len(self.job.prompt)
        return max(1, min(most - written, context - len(self.tokens)))


class Batch:
    """The model in `folder` and its thread; `context` is in tokens, for all slots together.

    After `idle_s` seconds without work (never, where that is negative) the model is let go, and
    loaded again for the next job. Raises whatever mlx-lm raises where it can't be loaded.
    """

    def __init__(self, folder: Path, context: int, slots: int, idle_s: float) -> None:
        self.tokenizer: Any = None
        self.context = context
        self._folder, self._slots = folder, slots
        self._idle_s = idle_s if idle_s >= 0 else None
        self._jobs: queue.Queue[Job] = queue.Queue()
        self._waiting: deque[_Sample] = deque()
        self._running: dict[int, _Sample] = {}  # by mlx-lm's number
        self._model: Any = None
        self._generator: Any = None
        self._known: Any = None
        self._token_bytes = 0.0  # that a token takes in the cache, once one has been seen
        loaded: queue.Queue[Exception | None] = queue.Queue()
        threading.Thread(target=self._work, args=(loaded,), name="mlx", daemon=True).start()
        if (error := loaded.get()) is not None:
            raise error

    def submit(self, job: Job) -> None:
        """Take the job in as soon as there is room."""
        self._jobs.put(job)

    def _work(self, loaded: queue.Queue[Exception | None]) -> None:
        try:
            self._load()
        except Exception as error:
            loaded.put(error)
            return
        loaded.put(None)
        while True:
            try:
                self._take()
                self._step()
            except Exception as error:  # of MLX, for instance no memory: it costs these jobs alone
                for sample in (*self._running.values(), *self._waiting):
                    sample.job.told.put(error)
                self._begin()

    def _load(self) -> None:
        self._model, self.tokenizer = load(str(self._folder))[:2]
        self._begin()

    def _begin(self) -> None:
        """Start with nobody in the batch, and nothing remembered."""
        self._running.clear()
        self._waiting.clear()
        self._known = LRUPromptCache(REMEMBERED)
        self._generator = BatchGenerator(
            self._model,
            stop_tokens=[(token,) for token in self.tokenizer.eos_token_ids],
            completion_batch_size=self._slots,
            prefill_batch_size=self._slots,
            prefill_step_size=STEP,
            stream=mx.default_stream(mx.default_device()),
        )

    def _sleep(self) -> None:
        self._model = self._generator = self._known = None
        gc.collect()
        mx.clear_cache()
        if sys.platform == "linux":  # whose allocator keeps what it gets back
            ctypes.CDLL(None).malloc_trim(0)

    def _take(self) -> None:
        """Hear of new jobs; waits for one where there is nothing else to do."""
        while True:
            busy = bool(self._running or self._waiting)
            try:
                idle_s = None if self._model is None else self._idle_s
                job = self._jobs.get(block=not busy, timeout=idle_s)
            except queue.Empty:
                if busy:
                    return
                self._sleep()
                continue
            if job.left:
                continue
            try:
                if self._model is None:
                    self._load()
                job.seed = secrets.randbits(31) if job.wish.seed is None else job.wish.seed
                self._waiting += [_Sample(job, index) for index in range(job.wish.n)]
            except Exception as error:  # it alone could not be let in
                job.told.put(error)

    def _fill(self) -> None:
        """Let in who waits, in turn, as long as there is room; one alone there always is."""
        for sample in list(self._waiting):
            if sample.left:
                self._waiting.remove(sample)
                continue
            full = self._used + len(sample.tokens) + ROOM > self.context
            if sample.waits:
                continue
            if (self._running and full) or len(self._running) == self._slots:
                return
            self._waiting.remove(sample)
            self._insert(sample)

    @property
    def _used(self) -> int:
        return sum(len(sample.tokens) for sample in self._running.values())

    def _insert(self, sample: _Sample) -> None:
        """Begin with what is not remembered of its tokens."""
        job, cache = sample.job, None
        *rest, last = sample.tokens
        if job.wish.cache_prompt or job.read:
            cache, rest = self._known.fetch_nearest_cache(None, rest)
        known = len(sample.tokens) - 1 - len(rest)
        if not job.read and sample.index == 0:
            job.cached = known
        self._forget(len(sample.tokens))
        (number,) = self._generator.insert(
            [[*rest, last]],
            max_tokens=[sample.limit(self.context)],
            caches=[cache],
            all_tokens=[sample.tokens[:known]],
            samplers=[sample.sampler],
            logits_processors=[sample.bounds],
        )
        self._running[number] = sample
        job.read = job.read or not rest

    def _step(self) -> None:
        """One token of each sample, and the next piece of each prompt."""
        self._fill()
        read, generated = self._generator.next()
        for one in read:
            sample = self._running[one.uid]
            if one.end_of_segment and not one.end_of_prompt and not sample.job.read:
                sample.job.read = True
                if sample.job.wish.n > 1:  # the others go on from here
                    cache, before = self._generator.extract_cache([one.uid])[one.uid]
                    self._remember(before, cache)
        for one in generated:
            sample = self._running[one.uid]
            sample.tokens.append(one.token)
            top = sample.job.wish.top_logprobs
            sample.job.told.put(
                Told(
                    sample.index,
                    one.token,
                    one.finish_reason != "stop",
                    one.logprobs[one.token].item() if top is not None else 0.0,
                    _likeliest(one.logprobs, top or 0),
                    one.finish_reason,
                )
            )
            if one.finish_reason is not None:
                del self._running[one.uid]
                if sample.index == 0:
                    self._remember(one.all_tokens, one.prompt_cache)
        self._dismiss()

    def _dismiss(self) -> None:
        """Take out whom nobody hears any more; where it is too full, who came last waits again."""
        gone = [number for number, sample in self._running.items() if sample.left]
        for number in gone:
            del self._running[number]
        while len(self._running) > 1 and self._used > self.context:
            newest = max(self._running)
            self._waiting.appendleft(self._running.pop(newest))
            gone.append(newest)
        if gone:
            self._generator.remove(gone)

    def _remember(self, tokens: list[int], cache: Any) -> None:
        self._token_bytes = sum(layer.nbytes for layer in cache) / len(tokens)
        self._known.insert_cache(None, tokens[:], cache)
        self._forget(0)

    def _forget(self, more: int) -> None:
        """Keep of earlier prompts what the context has room for, besides `more` tokens."""
        room = self.context - more - self._used
        self._known.trim_to(n_bytes=int(max(0, room) * self._token_bytes))


def _likeliest(logprobs: Any, count: int) -> tuple[tuple[int, float], ...]:
    count = min(count, logprobs.shape[-1] - 1)
    if count <= 0:
        return ()
    places = mx.argpartition(-logprobs, kth=count - 1)[:count]
    found = zip(places.tolist(), logprobs[places].tolist(), strict=True)
    possible = [pair for pair in found if pair[1] > -math.inf]  # a grammar forbids the others
    return tuple(sorted(possible, key=lambda pair: -pair[1]))
