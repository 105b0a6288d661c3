"""Inputs read and prepared ahead of the network, in order, with bounded memory."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from torch import Tensor

from lsc_continual.errors import LSCError
from lsc_continual.streaming.inputs import Content, Input

_CHUNK = 16  # inputs that one thread prepares at a time
_AHEAD = 2  # batches that may wait, prepared or not


class Item(NamedTuple):
    """An input, and the image it became or what was wrong with it."""

    id: Any
    content: Content
    image: Tensor | LSCError


class _Chunk(NamedTuple):
    """Inputs that a thread prepares."""

    size: int
    items: Future[list[Item]]


def default_workers() -> int:
    """Threads that read and decode: as many as there are cores, 16 at most."""
    return min(16, len(os.sched_getaffinity(0)))


class ReadAhead:
    """Batches of prepared inputs, in the order of the inputs.

    One thread follows the source, `workers` threads prepare (Pillow and numpy let others run
    meanwhile), and the caller has the network run. At most `_AHEAD` batches wait; then the source
    is not read any further. A context manager: threads end when it is left.

    Args:
        source: inputs, some at a time; it may wait for them.
        prepare: an input's content -> an image, or LSCError.
        size: largest number of inputs in a batch.
        seconds: how long the first input of a batch waits for further ones; None: until the
            batch is full.
        workers: threads that prepare.
    """

    def __init__(
        self,
        source: Iterable[list[Input]],
        prepare: Callable[[Content], Tensor],
        size: int,
        seconds: float | None = None,
        workers: int | None = None,
    ) -> None:
        self._source = source
        self._prepare = prepare
        self._size = size
        self._seconds = seconds
        self._chunk = min(_CHUNK, size)
        self._queue: queue.SimpleQueue[_Chunk | BaseException | None] = queue.SimpleQueue()
        self._room = _AHEAD * size
        self._changed = threading.Condition()
        self._over = False
        self._pool = ThreadPoolExecutor(workers or default_workers(), "prepare")
        self._reader = threading.Thread(target=self._read, name="read", daemon=True)

    def __enter__(self) -> ReadAhead:
        self._reader.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._over = True
            self._changed.notify()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def batches(self) -> Iterator[list[Item]]:
        """The batches; an empty one where the next has to be waited for.

        Raises what the source raised.
        """
        batch: list[Item] = []
        due = float("inf")
        while True:
            if self._queue.empty():
                yield []
            try:
                entry = self._queue.get(timeout=self._patience(due) if batch else None)
            except queue.Empty:
                yield batch
                batch = []
                continue
            if entry is None:
                break
            if isinstance(entry, BaseException):
                raise entry
            self._make_room(entry.size)
            if not entry.items.done():
                yield []
            if not batch:
                due = time.monotonic() + (self._seconds or 0)
            batch = batch + entry.items.result()
            while len(batch) >= self._size:
                yield batch[: self._size]
                batch = batch[self._size :]
                due = time.monotonic() + (self._seconds or 0)
        if batch:
            yield batch

    def _patience(self, due: float) -> float | None:
        return None if self._seconds is None else max(0.0, due - time.monotonic())

    def _read(self) -> None:
        last: BaseException | None = None
        try:
            for some in self._source:
                for start in range(0, len(some), self._chunk):
                    chunk = some[start : start + self._chunk]
                    if not self._take_room(len(chunk)):
                        return
                    items = self._pool.submit(self._prepare_all, chunk)
                    self._queue.put(_Chunk(len(chunk), items))
        except BaseException as error:  # it belongs to whoever takes the batches
            last = error
        self._queue.put(last)

    def _take_room(self, count: int) -> bool:
        """Wait until so many further inputs may be under way; False when all is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._room >= count)
            self._room -= count
            return not self._over

    def _make_room(self, count: int) -> None:
        with self._changed:
            self._room += count
            self._changed.notify()

    def _prepare_all(self, chunk: list[Input]) -> list[Item]:
        items = []
        for name, content in chunk:
            try:
                image: Tensor | LSCError = self._prepare(content)
            except LSCError as error:
                image = error
            items.append(Item(name, content, image))
        return items
