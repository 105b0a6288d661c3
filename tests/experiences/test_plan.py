"""Plans: which samples make up each batch."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lsc_continual.experiences.plan import Plan, batch_seed, share

plans = st.builds(
    Plan,
    new=st.integers(1, 300),
    batch_size=st.integers(1, 64),
    stored=st.integers(0, 80),
    stored_batch=st.integers(0, 40),
    seed=st.integers(0, 2**62),
)


def of(plan: Plan, epoch: int) -> list[list[int]]:
    return [batch.tolist() for batch in plan.epoch(epoch)]


@settings(deadline=None)
@given(plans, st.integers(0, 50))
def test_an_epoch_has_every_new_sample_once_in_batches_of_nearly_one_size(plan, epoch):
    batches = [[sample for sample in batch if sample < plan.new] for batch in of(plan, epoch)]
    assert len(batches) == len(plan)
    assert sorted(itertools.chain(*batches)) == list(range(plan.new))
    sizes = [len(batch) for batch in batches]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= plan.batch_size


@settings(deadline=None)
@given(plans, st.integers(0, 50))
def test_the_memory_is_dealt_out_evenly(plan, epoch):
    batches = [[sample for sample in batch if sample >= plan.new] for batch in of(plan, epoch)]
    assert {len(batch) for batch in batches} == {min(plan.stored_batch, plan.stored)}
    uses = torch.tensor([*itertools.chain(*batches)], dtype=torch.long) - plan.new
    counts = uses.bincount(minlength=plan.stored)
    assert len(counts) == plan.stored
    if plan.stored:
        assert counts.max() - counts.min() <= 1


@settings(deadline=None)
@given(plans, st.integers(0, 50), st.integers(1, 9))
def test_processes_share_each_batch_among_them(plan, epoch, processes):
    for batch in plan.epoch(epoch):
        parts = [share(batch, rank, processes) for rank in range(processes)]
        assert torch.equal(torch.cat([part for _, part in parts]), batch)
        sizes = [len(part) for _, part in parts]
        assert max(sizes) - min(sizes) <= 1
        assert [start for start, _ in parts] == [sum(sizes[:rank]) for rank in range(processes)]


def test_a_plan_is_a_pure_function_of_seed_and_epoch():
    first, second = (Plan(100, 16, stored=30, stored_batch=7, seed=5) for _ in range(2))
    before = of(first, 3)
    torch.rand(3)
    state = torch.get_rng_state()
    for epoch in (9, 0):
        first.epoch(epoch)
    assert of(first, 3) == of(second, 3) == before
    assert torch.equal(torch.get_rng_state(), state)


def test_epochs_and_seeds_differ():
    seeds = [Plan(100, 16, stored=30, stored_batch=7, seed=seed) for seed in (0, 1, 2**62)]
    orders = [str(of(plan, epoch)) for plan in seeds for epoch in range(20)]
    assert len(set(orders)) == len(orders)


def test_new_and_replayed_samples_mix_within_a_batch():
    plan = Plan(400, 40, stored=100, stored_batch=40)
    places = [
        place
        for batch in of(plan, 0)
        for place, sample in enumerate(batch)
        if sample >= 400  # a replayed one
    ]
    assert 36 < sum(places) / len(places) < 43  # 39.5, were they spread perfectly


def test_without_shuffling_samples_keep_their_order_in_every_epoch():
    plan = Plan(10, 4, stored=5, stored_batch=2, shuffle=False)
    assert of(plan, 0) == of(plan, 8) == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]


@pytest.mark.parametrize("seed", [0, 1, 2**62, 2**63 - 1])
def test_every_batch_has_a_seed_of_its_own_that_generators_accept(seed):
    seeds = {batch_seed(seed, epoch, batch) for epoch in range(60) for batch in range(-1, 60)}
    assert len(seeds) == 60 * 61
    assert all(0 <= value < 2**63 for value in seeds)
    torch.Generator().manual_seed(max(seeds))


def test_seeds_of_neighbours_have_nothing_in_common():
    """Half of the 63 bits change, on average, from one batch, epoch or seed to the next."""
    for other in ((7, 3, 5), (7, 4, 4), (8, 3, 4)):
        flips = [
            (batch_seed(7 + i, 3, 4) ^ batch_seed(other[0] + i, *other[1:])).bit_count()
            for i in range(200)
        ]
        assert 29 < sum(flips) / len(flips) < 34
