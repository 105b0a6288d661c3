"""Dyadic scatterings by brute force: angles, search, and what is kept when they are extended."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from experiments.claims.extension import (
    exhaustive,
    extended,
    kept,
    largest_permutation_system,
    moved,
    neighbour_cosines,
    scattering,
)
from lsc_continual import Targets, make_system


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_largest_cosine_is_that_of_brute_force(level):
    system = scattering(level, 5)
    nearest = neighbour_cosines(system.vectors(torch.arange(system.size)).double())
    assert nearest.max().item() == pytest.approx(system.max_cosine, abs=1e-6)


def test_neighbours_are_other_vectors():
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    assert torch.allclose(neighbour_cosines(vectors), torch.tensor([0.6, 0.8, 0.8]))


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_decoding_is_an_exhaustive_search(level):
    system = scattering(level, 5)
    z = torch.randn(200, 5, generator=torch.Generator().manual_seed(level)).double()
    assert torch.equal(
        system.decode(z).address, exhaustive(z, system.vectors(torch.arange(system.size)).double())
    )


def test_every_vector_of_a_level_is_one_of_the_next_with_its_address():
    for coarse, fine in pairwise(scattering(level, 6) for level in range(4)):
        same, addresses = kept(coarse, fine)
        assert same.all()
        assert torch.equal(addresses, torch.arange(coarse.size))


def test_more_dimensions_keep_every_vector_too():
    same, addresses = kept(scattering(2, 5), scattering(2, 7))
    assert same.all()
    assert len(addresses.unique()) == len(addresses)


def test_vectors_that_another_system_lacks_are_not_kept():
    same, _ = kept(make_system("v21", 6), make_system("v11", 6))
    assert not same.any()


def test_classes_keep_their_targets_if_their_addresses_are_remembered():
    coarse, fine = scattering(0, 6), scattering(1, 6)
    targets = Targets(coarse, "random")
    targets.add(["ant", "bee"])
    larger = extended(targets, fine)
    assert larger.system == fine
    assert larger.labels == targets.labels
    assert torch.equal(larger.vectors(), targets.vectors())
    assert moved("random", coarse, fine) == 0
    assert moved("affine", coarse, fine) > 0


def test_a_scattering_without_addresses_is_none():
    assert scattering(3, 384) is None


def test_the_largest_permutation_system_is_that_of_all():
    systems = [make_system(name, 7) for name in ("v11", "v21", "v22", "v31", "v30", "v32")]
    for cosine in (0.51, 0.7, 0.76, 0.81):
        fitting = [system for system in systems if system.max_cosine <= cosine]
        m, k, size = largest_permutation_system(7, cosine)
        assert size == max(system.size for system in fitting)
        assert make_system(f"v{m}{k}", 7).size == size
