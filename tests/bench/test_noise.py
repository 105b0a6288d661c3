"""Noise that makes a stated share of decodes miss."""

from __future__ import annotations

import pytest
import torch

from lsc_continual import make_system
from lsc_continual.bench.noise import find_sigma, make_queries, miss_rate
from lsc_continual.targets import Targets

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def targets() -> Targets:
    targets = Targets(make_system("v21", 32))  # 14,880 vectors
    targets.add(range(1_000))
    return targets


@pytest.mark.parametrize("misses", [0.01, 0.1, 0.3])
def test_the_noise_hits_the_share_of_misses_on_other_embeddings(targets, misses):
    near = make_queries(targets, misses, 40_000, CPU)
    assert near.misses == pytest.approx(misses, rel=0.1)
    address = targets.system.decode(near.z).address
    owned = torch.isin(address, targets.addresses())
    assert near.misses == pytest.approx(1 - owned.double().mean().item())


def test_more_misses_take_more_noise(targets):
    sigmas = [find_sigma(targets, misses, CPU) for misses in (0.0, 0.01, 0.1, 0.3)]
    assert sigmas[0] == 0.0
    assert sigmas == sorted(set(sigmas))


def test_without_noise_nothing_misses(targets):
    near = make_queries(targets, 0.0, 100, CPU)
    assert near.misses == 0
    assert (targets.nearest(near.z).score > 1 - 1e-5).all()


def test_where_every_vector_is_owned_no_noise_misses():
    system = make_system("v21", 8)
    targets = Targets(system)
    targets.add(range(system.size))
    assert miss_rate(targets, torch.randn(50, 8)) == 0
    assert find_sigma(targets, 0.01, CPU) is None
    assert make_queries(targets, 0.01, 10, CPU) is None


def test_misses_are_embeddings_that_decode_to_a_free_vector():
    system = make_system("v21", 6)
    targets = Targets(system)
    targets.add(range(10))
    everything = system.vectors(torch.arange(system.size))
    assert miss_rate(targets, everything) == pytest.approx(1 - 10 / system.size)
    assert miss_rate(targets, targets.vectors()) == 0
