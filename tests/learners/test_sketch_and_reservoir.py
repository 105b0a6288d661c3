"""What is kept of samples adds up, subtracts and does not depend on their order."""

from __future__ import annotations

import numpy as np
import torch

from lsc_continual.learners.reservoir import Kept, Reservoir, counted
from lsc_continual.learners.sketch import Sketch


def digests(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**63, count, dtype=np.uint64)


def test_a_sketch_knows_what_it_took_in_and_hardly_ever_something_else():
    sketch = Sketch()
    learned, others = digests(20_000), digests(200_000, seed=1)
    sketch.add(learned)
    assert not sketch.missing(learned).any()
    passed = int((~sketch.missing(others)).sum())
    assert sketch.error < 1e-6
    assert passed <= 3
    crowded = Sketch()
    crowded.add(digests(2_000_000, seed=2))
    passed = float((~crowded.missing(others)).mean())
    assert abs(passed - crowded.error) < 0.1 * crowded.error


def test_a_sketch_counts_subtracts_and_merges():
    sketch, some = Sketch(), digests(100)
    sketch.add(np.concatenate([some, some[:10]]))
    assert not sketch.missing(np.concatenate([some[:10], some[:10]])).any()
    assert sketch.missing(np.concatenate([some[20:30], some[20:30]])).all()
    sketch.subtract(some)
    assert not sketch.missing(some[:10]).any()
    assert sketch.missing(some[10:]).all()
    other = Sketch()
    other.add(some[50:])
    sketch.merge(other)
    assert sketch.missing(some).tolist() == [False] * 10 + [True] * 40 + [False] * 50


def test_a_counter_that_is_full_stays_so():
    sketch, one = Sketch(), digests(1)
    sketch.add(np.repeat(one, 300))
    sketch.subtract(np.repeat(one, 300))
    assert not sketch.missing(np.repeat(one, 300)).any()  # it no longer knows better


def kept(names: np.ndarray) -> Kept:
    ordinals = torch.from_numpy((names % 7).astype(np.int64))
    return counted(torch.from_numpy((names % 1000).astype(np.float32))[:, None], ordinals, names)


def same(one: Kept, other: Kept) -> bool:
    return (
        torch.equal(one.embeddings, other.embeddings)
        and torch.equal(one.ordinals, other.ordinals)
        and np.array_equal(one.digests, other.digests)
        and torch.equal(one.times, other.times)
    )


def test_a_sample_that_is_learned_again_counts_and_takes_no_place():
    every = digests(30)
    once, twice = Reservoir(1, 20, 25), Reservoir(1, 20, 25)
    once.add(kept(every))
    for _ in range(2):
        twice.add(kept(every))
    assert np.array_equal(twice.kept.digests, once.kept.digests)
    assert twice.kept.times.tolist() == [2] * 25
    twice.remove(every)
    assert same(twice.kept, once.kept)
    twice.remove(np.concatenate([every[:10], every[:10]]))
    assert len(twice) == 25 - np.isin(every[:10], once.kept.digests).sum()


def test_a_class_that_came_again_has_a_number_again():
    reservoir, every = Reservoir(1, 20, 25), digests(7)
    reservoir.add(kept(every))
    reservoir.renumber(torch.full((7,), -1))
    reservoir.add(kept(every[:3]))
    assert (reservoir.kept.ordinals >= 0).sum() == 3


def test_a_reservoir_is_the_same_in_any_order_and_merged():
    every = digests(500)
    whole = Reservoir(1, 40, 60)
    whole.add(kept(every))
    assert len(whole) == 60
    assert len(whole.used.digests) == 40
    assert np.array_equal(whole.used.digests, np.sort(every)[:40])
    parts = Reservoir(1, 40, 60)
    for some in np.array_split(np.random.default_rng(3).permutation(every), 9):
        parts.add(kept(some))
    assert same(parts.kept, whole.kept)


def test_what_leaves_is_replaced_by_what_would_have_been_there():
    every = digests(500)
    gone = np.sort(every)[:30:2]
    reservoir = Reservoir(1, 40, 60)
    reservoir.add(kept(every))
    reservoir.remove(gone)
    without = Reservoir(1, 40, 60)
    without.add(kept(np.setdiff1d(every, gone)))
    assert same(reservoir.used, without.used)


def test_classes_are_renumbered_and_those_that_are_gone_have_no_number():
    reservoir = Reservoir(1, 40, 60)
    names = np.arange(14, dtype=np.uint64)
    reservoir.add(kept(names))
    reservoir.renumber(torch.tensor([0, -1, 1, 2, 3, 4, 5]))
    assert reservoir.kept.ordinals.tolist() == [0, -1, 1, 2, 3, 4, 5] * 2
    reservoir.renumber(torch.tensor([5, 4, 3, 2, 1, 0]))
    assert reservoir.kept.ordinals.tolist() == [5, -1, 4, 3, 2, 1, 0] * 2
    other = Reservoir(1, 40, 60)
    other.add(reservoir.kept.renumbered(torch.tensor([6, 5, 4, 3, 2, 1])))
    assert other.kept.ordinals.tolist() == [1, -1, 2, 3, 4, 5, 6] * 2
