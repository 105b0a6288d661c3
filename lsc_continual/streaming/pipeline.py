"""Inputs read and prepared ahead of the network, in order, with bounded memory."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from math import inf
from typing import Any, Generic, NamedTuple, TypeVar

from torch import Tensor

from lsc_continual.errors import LSCError
from lsc_continual.inputs.preparation import Content
from lsc_continual.streaming.inputs import Input

_CHUNK = 16  # inputs that one thread prepares at a time
_AHEAD = 2  # batches that may wait, prepared or not
_PAUSE = 0.1  # seconds between two looks at whether all is over

T = TypeVar("T")


class Item(NamedTuple):
    """An input, and the image it became or what was wrong with it."""

    id: Any
    content: Content
    image: Tensor | LSCError


def prepared(inputs: Iterable[Input], prepare: Callable[[Content], Tensor]) -> list[Item]:
    """The inputs, each with what `prepare` made of it."""
    items = []
    for name, content in inputs:
        try:
            image: Tensor | LSCError = prepare(content)
        except LSCError as error:
            image = LSCError(str(error))  # that one's frames hold what was read
        items.append(Item(name, content, image))
    return items


class NotYetError(Exception):
    """No value has come in time."""


class Background(Generic[T]):
    """An iterator over values that a thread of its own takes from an iterable, a little ahead.

    A context manager: the thread ends when it is left, as soon as it has its next value.

    Args:
        values: to go through.
        ahead: how many may wait; 0: any number.
    """

    def __init__(self, values: Iterable[T], ahead: int = 1) -> None:
        self._values = values
        # The one without a limit is much the faster.
        self._queue: queue.Queue[T | BaseException] | queue.SimpleQueue[T | BaseException]
        self._queue = queue.Queue(ahead) if ahead else queue.SimpleQueue()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="background", daemon=True)

    def __enter__(self) -> Background[T]:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        with suppress(queue.Empty):
            self._queue.get_nowait()  # the thread may wait for a place in it

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return self.take()

    def take(self, due: float = inf) -> T:
        """The next value; raises what the iterable raised, StopIteration at its end.

        Args:
            due: until when to wait, as `time.monotonic` counts.

        Raises:
            NotYetError: there was none until then.
        """
        while not self._over.is_set():
            # A wait without end would not notice a signal that came just before it.
            patience = min(_PAUSE, due - time.monotonic())
            try:
                value = self._queue.get(timeout=max(0.0, patience))
            except queue.Empty:
                if patience < _PAUSE:
                    raise NotYetError from None
                continue
            if isinstance(value, BaseException):
                raise value
            return value
        raise StopIteration

    def _run(self) -> None:
        last: BaseException = StopIteration()
        try:
            for value in self._values:
                self._queue.put(value)
                if self._over.is_set():
                    return
        except BaseException as error:  # it belongs to whoever takes the values
            last = error
        self._queue.put(last)


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
        workers: threads that prepare; by default as many as there are cores, 16 at most.

    Raises:
        LSCError: a number that makes no sense.
    """

    def __init__(
        self,
        source: Iterable[list[Input]],
        prepare: Callable[[Content], Tensor],
        size: int,
        seconds: float | None = None,
        workers: int | None = None,
    ) -> None:
        if size < 1:
            raise LSCError(f"the batch size is 1 or more, not {size}")
        if seconds is not None and not seconds >= 0:
            raise LSCError(f"the seconds that a batch waits are 0 or more, not {seconds}")
        if workers is not None and workers < 1:
            raise LSCError(f"the number of workers is 1 or more, not {workers}")
        self._source = source
        self._prepare = prepare
        self._size = size
        self._seconds = inf if seconds is None else seconds
        self._chunk = min(_CHUNK, size)
        self._room = threading.Semaphore(_AHEAD * size)
        self._pool = ThreadPoolExecutor(workers or min(16, len(os.sched_getaffinity(0))), "prepare")
        self._chunks = Background(self._begun(), ahead=0)  # `_room` is the limit

    def __enter__(self) -> ReadAhead:
        self._chunks.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._chunks.__exit__(*error)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._room.release(self._chunk)  # for the thread that waits for it, which then ends

    def batches(self) -> Iterator[list[Item]]:
        """The batches; raises what the source raised."""
        batch: list[Item] = []
        due = inf
        while True:
            try:
                chunk = self._chunks.take(due)
            except NotYetError:
                yield batch
                batch, due = [], inf
                continue
            except BaseException as error:
                if batch:
                    yield batch
                if isinstance(error, StopIteration):
                    return
                raise
            if not batch:
                due = time.monotonic() + self._seconds
            items = chunk.result()
            self._room.release(len(items))
            batch += items
            while len(batch) >= self._size:
                yield batch[: self._size]
                batch = batch[self._size :]
                due = time.monotonic() + self._seconds if batch else inf

    def _begun(self) -> Iterator[Future[list[Item]]]:
        """Chunks of the source that are being prepared, as far as there is room for them."""
        for some in self._source:
            for start in range(0, len(some), self._chunk):
                chunk = some[start : start + self._chunk]
                for _ in chunk:
                    self._room.acquire()
                yield self._pool.submit(prepared, chunk, self._prepare)
