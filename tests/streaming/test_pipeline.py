"""Reading ahead: in order, never too far, never waiting too long."""

from __future__ import annotations

import itertools
import queue
import random
import signal
import threading
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lsc_continual.errors import LSCError
from lsc_continual.streaming.inputs import Input
from lsc_continual.streaming.pipeline import Background, ReadAhead

IMAGE = torch.zeros(1)


def prepare(content):
    if isinstance(content, LSCError):
        raise content
    return IMAGE


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), max_size=12),
    batch_size=st.integers(1, 50),
    workers=st.integers(1, 4),
)
def test_every_input_comes_out_once_and_in_order(sizes, batch_size, workers):
    numbers = itertools.count()
    source = [[Input(next(numbers), None) for _ in range(size)] for size in sizes]
    draw = random.Random(0)

    def slowly(content):
        time.sleep(draw.random() * 1e-4)
        return IMAGE

    with ReadAhead(source, slowly, batch_size, workers=workers) as ahead:
        batches = list(ahead.batches())
    assert [item.id for batch in batches for item in batch] == list(range(sum(sizes)))
    assert all(len(batch) == batch_size for batch in batches[:-1])


def test_the_source_is_not_read_further_than_two_batches_ahead():
    taken = itertools.count()
    latest = 0

    def endless():
        nonlocal latest
        while True:
            latest = next(taken)
            yield [Input(latest, None)]

    with ReadAhead(endless(), prepare, 32, workers=2) as ahead:
        batches = ahead.batches()
        for number in range(1, 6):
            next(batches)
            time.sleep(0.05)  # enough to read a thousand more
            assert latest == (number + 2) * 32  # the one that has to wait


def test_whole_chunks_do_not_get_further_ahead_either():
    prepared = itertools.count()

    def counted(content):
        next(prepared)
        return IMAGE

    source = ([Input(0, None)] * 1000 for _ in itertools.count())
    with ReadAhead(source, counted, 64, workers=2) as ahead:
        next(ahead.batches())
        time.sleep(0.1)
        assert next(prepared) == (1 + 2) * 64


def test_a_slow_source_is_answered_in_time():
    arriving: queue.Queue[list[Input]] = queue.Queue()
    with ReadAhead(iter(arriving.get, []), prepare, 100, seconds=0.05) as ahead:
        batches = ahead.batches()
        for number in range(3):  # the source waits meanwhile
            arriving.put([Input(number, None)])
            assert [item.id for item in next(batches)] == [number]
        arriving.put([])
        assert list(batches) == []


def test_without_a_limit_in_time_batches_are_full():
    arriving: queue.Queue[list[Input]] = queue.Queue()
    got = []

    def take():
        with ReadAhead(iter(arriving.get, []), prepare, 2) as ahead:
            got.extend(ahead.batches())

    thread = threading.Thread(target=take)
    thread.start()
    arriving.put([Input(0, None)])
    time.sleep(0.05)
    assert got == []
    arriving.put([Input(1, None)])
    arriving.put([])
    thread.join(10)
    assert [[item.id for item in batch] for batch in got] == [[0, 1]]


def test_a_background_goes_one_value_ahead_and_ends_when_it_is_left():
    taken = []

    def values():
        for number in itertools.count():
            taken.append(number)
            yield number

    before = threading.active_count()
    with Background(values()) as background:
        for number in itertools.islice(background, 5):
            time.sleep(0.02)
            assert taken[-1] == number + 2  # one waits, and one waits for its place
    end = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_a_background_passes_on_all_values_and_the_error():
    def values():
        yield from range(20)
        raise RuntimeError("no more")

    got: list[int] = []
    with Background(values()) as background, pytest.raises(RuntimeError, match="no more"):
        got.extend(background)
    assert got == list(range(20))
    with Background(range(20)) as background:
        assert list(background) == list(range(20))


def test_bad_inputs_stay_in_their_places():
    wrong = LSCError("wrong")
    source = [[Input(i, wrong if i % 3 else None) for i in range(40)]]
    with ReadAhead(source, prepare, 7) as ahead:
        items = [item for batch in ahead.batches() for item in batch]
    assert [str(item.image) == "wrong" for item in items] == [bool(i % 3) for i in range(40)]


def test_errors_keep_nothing_of_what_was_read():
    def fail(content):
        read = bytearray(10**6)
        raise LSCError(f"{len(read)} bytes of nothing")

    with ReadAhead([[Input(0, None)]], fail, 1) as ahead:
        ((item,),) = ahead.batches()
    assert str(item.image) == "1000000 bytes of nothing"
    assert (item.image.__traceback__, item.image.__context__) == (None, None)


def test_what_the_source_raises_reaches_the_caller():
    def source():
        yield [Input(0, None)]
        raise RuntimeError("no more")

    with ReadAhead(source(), prepare, 1) as ahead, pytest.raises(RuntimeError, match="no more"):
        list(ahead.batches())


def test_a_signal_that_wakes_nobody_is_noticed():
    came = threading.Event()

    def values():
        # To this thread, as if it came just before the main thread begins to wait.
        time.sleep(0.2)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        yield came.wait(10)

    before = signal.signal(signal.SIGUSR1, lambda *_: came.set())
    try:
        with Background(values()) as background:
            assert list(background) == [True]
    finally:
        signal.signal(signal.SIGUSR1, before)
