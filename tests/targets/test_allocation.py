"""What every allocation has to do."""

from __future__ import annotations

import pytest
import torch

from lsc_continual.catalog import ALLOCATIONS
from lsc_continual.errors import CapacityError, LSCError
from lsc_continual.systems import make_system
from lsc_continual.targets import Allocation, make_allocation
from lsc_continual.targets.allocation import _multiply_mod


def extend(allocation: Allocation, count: int) -> None:
    generator = torch.Generator().manual_seed(len(allocation))
    allocation.extend(count, torch.randn(count, allocation.system.dim, generator=generator))


@pytest.fixture(params=list(ALLOCATIONS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(
    ("system", "dim"), [("v21", 4), ("v22", 24), ("hypercube", 40), ("simplex", 30)]
)
def test_every_class_gets_an_address_of_its_own_for_ever(name, system, dim):
    allocation = make_allocation(name, make_system(system, dim), seed=3)
    extend(allocation, 5)
    first = allocation.addresses(torch.arange(5))
    extend(allocation, 7)
    addresses = allocation.addresses(torch.arange(12))
    assert torch.equal(addresses[:5], first)
    assert len(addresses.unique()) == 12
    assert ((addresses >= 0) & (addresses < allocation.system.size)).all()
    assert torch.equal(allocation.owner(addresses), torch.arange(12))
    others = torch.randint(
        allocation.system.size, (500,), generator=torch.Generator().manual_seed(1)
    )
    free = others[~torch.isin(others, addresses)]
    assert (allocation.owner(free) == -1).all()


def test_a_system_can_be_filled_to_the_last_vector_and_not_further(name):
    allocation = make_allocation(name, make_system("v21", 4))
    extend(allocation, 9)
    extend(allocation, 3)
    assert sorted(allocation.addresses(torch.arange(12)).tolist()) == list(range(12))
    with pytest.raises(CapacityError, match=r"13 classes do not fit 'v21' .* system.dim=5 or more"):
        extend(allocation, 1)
    assert len(allocation) == 12


def test_the_same_seed_gives_the_same_addresses_also_after_a_restart(name):
    system = make_system("v21", 30)
    straight = make_allocation(name, system, seed=1)
    extend(straight, 6)
    extend(straight, 6)
    stopped = make_allocation(name, system, seed=1)
    extend(stopped, 6)
    restored = make_allocation(name, system, seed=1)
    restored.load_state(stopped.state())
    extend(restored, 6)
    everyone = torch.arange(12)
    assert torch.equal(straight.addresses(everyone), restored.addresses(everyone))
    other = make_allocation(name, system, seed=2)
    extend(other, 12)
    if not other.needs_embeddings:
        assert not torch.equal(straight.addresses(everyone), other.addresses(everyone))


def test_affine_allocation_is_a_bijection_in_systems_of_billions():
    for system in (make_system("v22", 384), make_system("v44", 384), make_system("hypercube", 62)):
        rule = make_allocation("affine", system, seed=5)
        rule.extend(1_000_000)
        ordinals = torch.arange(0, 1_000_000, 997)
        addresses = rule.addresses(ordinals)
        assert torch.equal(rule.owner(addresses), ordinals)
        expected = [(rule._step * c + rule._offset) % system.size for c in ordinals[:50].tolist()]
        assert addresses[:50].tolist() == expected


def test_multiplication_modulo_never_wraps():
    size, factor = 2**63 - 25, 2**62 + 12345
    values = torch.tensor([0, 1, 2, 2**61 + 7, size - 1])
    assert _multiply_mod(values, factor, size).tolist() == [
        v * factor % size for v in values.tolist()
    ]


def test_spread_keeps_targets_further_apart_than_chance():
    system = make_system("v21", 24)
    worst = {}
    for name in ("random", "spread"):
        rule = make_allocation(name, system, seed=0)
        extend(rule, 24)
        vectors = system.vectors(rule.addresses(torch.arange(24)))
        worst[name] = float((vectors @ vectors.T).fill_diagonal_(-1).max())
    assert worst["spread"] < worst["random"] - 0.3


def test_affinity_takes_the_nearest_vector_that_is_no_neighbour_of_an_owned_one():
    system = make_system("v21", 24)
    rule = make_allocation("affinity", system)
    mean = torch.randn(1, 24, generator=torch.Generator().manual_seed(0))
    rule.extend(1, mean)
    assert torch.equal(rule.addresses(torch.tensor([0])), system.decode(mean).address)
    rule.extend(1, mean)  # a second class in the very same place
    first, second = system.vectors(rule.addresses(torch.arange(2)))
    assert float(first @ second) < system.max_cosine - 1e-3
    assert float(second @ mean[0]) > 0.3 * float(first @ mean[0])
    with pytest.raises(LSCError, match="needs one mean embedding"):
        rule.extend(1)


def test_an_unknown_rule_is_refused_with_the_nearest_name():
    with pytest.raises(LSCError, match="did you mean 'affine'"):
        make_allocation("afine", make_system("v21", 9))
