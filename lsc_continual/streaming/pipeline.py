"""Inputs read and prepared ahead of the network, in order, with bounded memory."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, NamedTuple, TypeVar

from torch import Tensor

from lsc_continual.errors import LSCError
from lsc_continual.streaming.inputs import Content, Input

_CHUNK = 16  # inputs that one thread prepares at a time
_AHEAD = 2  # batches that may wait, prepared or not
_PAUSE = 0.1  # seconds between two looks at whether all is over

T = TypeVar("T")


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
        self._queue.put(None)  # for whoever waits for a batch
        self._pool.shutdown(wait=False, cancel_futures=True)

    def batches(self) -> Iterator[list[Item]]:
        """The batches; raises what the source raised."""
        batch: list[Item] = []
        due = float("inf")
        while True:
            try:
                entry = self._queue.get(timeout=self._patience(due) if batch else None)
            except queue.Empty:
                yield batch
                batch = []
                continue
            if entry is None or self._over:
                break
            if isinstance(entry, BaseException):
                if batch:
                    yield batch
                raise entry
            self._make_room(entry.size)
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


class Background(Generic[T]):
    """Has a thread of its own go through an iterable, a little ahead of who takes the values.

    A context manager: the thread ends when it is left, as soon as it has its next value.

    Args:
        values: to go through.
        ahead: how many may wait.
    """

    def __init__(self, values: Iterable[T], ahead: int = 1) -> None:
        self._values = values
        self._queue: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(ahead)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="background", daemon=True)

    def __enter__(self) -> Background[T]:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()

    def __iter__(self) -> Iterator[T]:
        """The values; raises what they raised."""
        while True:
            try:
                # A wait without end would not notice a signal that came just before it.
                value, error = self._queue.get(timeout=_PAUSE)
            except queue.Empty:
                continue
            if error is not None:
                raise error
            if value is None:
                return
            yield value

    def _run(self) -> None:
        try:
            for value in self._values:
                if not self._put(value, None):
                    return
        except BaseException as error:  # it belongs to whoever takes the values
            self._put(None, error)
        else:
            self._put(None, None)

    def _put(self, value: T | None, error: BaseException | None) -> bool:
        """Wait for a place in the queue; False when all is over."""
        while not self._over.is_set():
            try:
                self._queue.put((value, error), timeout=_PAUSE)
            except queue.Full:
                continue
            return True
        return False
