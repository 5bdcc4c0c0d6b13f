"""Decodes all requests to one model together, in the one thread to which MLX's streams belong.

The work is mlx-lm's `BatchGenerator`; here stand who is in it, who leaves it, what is remembered of
prompts, and the end of a context.
"""

from __future__ import annotations

import copy
import ctypes
import gc
import queue
import secrets
import sys
import threading
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
REMEMBERED = 16  # prompts at most; together with what runs they have the tokens of the context


class _Sample:
    """A sample in the batch: its job, its number there, and the tokens that it holds."""

    def __init__(self, job: Job, index: int) -> None:
        self.job, self.index, self.size = job, index, len(job.prompt)

    @property
    def left(self) -> bool:
        return self.job.left or self.index in self.job.enough


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
                for sample in self._running.values():
                    sample.job.told.put(error)
                self._begin()

    def _load(self) -> None:
        self._model, self.tokenizer = load(str(self._folder))[:2]
        self._begin()

    def _begin(self) -> None:
        """Start with nobody in the batch, and nothing remembered."""
        self._running.clear()
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
        """Let new jobs in; waits for one where there is nothing else to do."""
        while True:
            try:
                job = self._jobs.get(block=not self._running, timeout=self._idle_s)
            except queue.Empty:
                if self._running:
                    return
                self._sleep()
                job = self._jobs.get()
                self._load()
            if job.left:
                continue
            try:
                self._admit(job)
            except Exception as error:  # it alone could not be let in
                job.told.put(error)

    def _admit(self, job: Job) -> None:
        """Begin with what is not remembered of the prompt; its samples part where it ends."""
        cache, rest = None, job.prompt[:-1]
        if job.wish.cache_prompt:
            cache, rest = self._known.fetch_nearest_cache(None, rest)
        job.cached = len(job.prompt) - 1 - len(rest)
        self._forget(len(job.prompt))
        job.seed = secrets.randbits(31) if job.wish.seed is None else job.wish.seed
        if rest:
            self._insert(job, [0], [*rest, job.prompt[-1]], cache, job.prompt[: job.cached])
        else:
            self._insert(job, range(job.wish.n), job.prompt[-1:], cache, job.prompt[:-1])

    def _insert(
        self, job: Job, indices: Any, rest: list[int], cache: Any, before: list[int]
    ) -> None:
        limit = max(1, min(job.wish.max_tokens or self.context, self.context - len(job.prompt)))
        numbers = self._generator.insert(
            [list(rest) for _ in indices],
            max_tokens=[limit for _ in indices],
            caches=[copy.deepcopy(cache) for _ in indices],
            all_tokens=[list(before) for _ in indices],
            samplers=[sampler(job.wish, job.seed, index) for index in indices],
            logits_processors=[
                [Obey(job.matcher, len(job.prompt))] if job.matcher is not None else []
                for _ in indices
            ],
        )
        for number, index in zip(numbers, indices, strict=True):
            self._running[number] = _Sample(job, index)

    def _step(self) -> None:
        """One token of each sample, and the next piece of each prompt."""
        read, generated = self._generator.next()
        for one in read:
            sample = self._running[one.uid]
            if one.end_of_segment and not one.end_of_prompt and sample.job.wish.n > 1:
                cache, before = self._generator.extract_cache([one.uid])[one.uid]
                others = range(1, sample.job.wish.n)
                self._insert(sample.job, others, sample.job.prompt[-1:], cache, before)
        for one in generated:
            sample = self._running[one.uid]
            sample.size += 1
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

    def _remember(self, tokens: list[int], cache: Any) -> None:
        self._token_bytes = sum(layer.nbytes for layer in cache) / len(tokens)
        self._known.insert_cache(None, tokens[:], cache)
        self._forget(0)

    def _forget(self, more: int) -> None:
        """Keep of earlier prompts what the context has room for, besides `more` tokens."""
        room = self.context - more - sum(sample.size for sample in self._running.values())
        self._known.trim_to(n_bytes=int(max(0, room) * self._token_bytes))

    def _dismiss(self) -> None:
        """Take out whom nobody hears any more, and where the context is full the longest one."""
        gone = [number for number, sample in self._running.items() if sample.left]
        for number in gone:
            del self._running[number]
        while sum(sample.size for sample in self._running.values()) > self.context:
            longest = max(self._running, key=lambda number: self._running[number].size)
            sample = self._running.pop(longest)
            gone.append(longest)
            sample.job.told.put(Told(sample.index, 0, seen=False, finish="length"))
        if gone:
            self._generator.remove(gone)


def _likeliest(logprobs: Any, count: int) -> tuple[tuple[int, float], ...]:
    count = min(count, logprobs.shape[-1] - 1)
    if count <= 0:
        return ()
    places = mx.argpartition(-logprobs, kth=count - 1)[:count]
    found = zip(places.tolist(), logprobs[places].tolist(), strict=True)
    return tuple(sorted(found, key=lambda pair: -pair[1]))
