"""What every allocation has to do."""

from __future__ import annotations

from random import Random

import pytest
import torch

from lsc_continual.errors import CapacityError, LSCError
from lsc_continual.systems import VectorSystem, make_system
from lsc_continual.targets import Allocation, RandomAllocation, Targets, make_allocation
from lsc_continual.targets.names import ALLOCATIONS


def extend(allocation: Allocation, count: int) -> None:
    generator = torch.Generator().manual_seed(len(allocation))
    allocation.extend(count, torch.randn(count, allocation.system.dim, generator=generator))


@pytest.fixture(params=list(ALLOCATIONS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(
    ("system", "dim"),
    [
        ("v21", 4),
        ("v22", 24),
        ("hypercube", 40),
        ("simplex", 30),
        ("frame-v21", 4),
        ("frame-v21", 8),
    ],
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


EARLIER = {
    ("affine", "v22", 16): [5305, 854, 7323, 2872],
    ("affine", "v22", 384): [647892279, 3443634568, 888088601, 3683830890],
    ("affine", "hypercube", 40): [868231286071, 922566635912, 976901985753, 1031237335594],
    ("random", "v22", 16): [10872, 5012, 3939, 7588],
    ("random", "v22", 384): [1699010270, 625810403, 5024102150, 4142695735],
    ("random", "hypercube", 40): [588204995742, 233833944355, 839525335046, 1015049082103],
    ("spread", "v22", 16): [10872, 8007, 6702, 10549],
    ("spread", "v22", 384): [1699010270, 2661559834, 247527155, 5024102150],
    ("spread", "hypercube", 16): [34440, 26999, 30627, 61892],
    ("affinity", "v22", 16): [9507, 7746, 6469, 10557],
    ("affinity", "v22", 384): [4124302740, 166447470, 881814712, 669466722],
    ("affinity", "hypercube", 40): [645277743416, 897352074795, 446642549298, 985751693571],
}
"""Rule, system, dimension -> addresses of four classes that arrive two by two, for seed 7.

Where `spread` compares vectors, their coordinates are powers of two, so its sums are exact on every
machine.
"""


@pytest.mark.parametrize(("name", "system", "dim"), EARLIER)
def test_addresses_are_those_of_earlier_versions(name, system, dim):
    allocation = make_allocation(name, make_system(system, dim), seed=7)
    extend(allocation, 2)
    extend(allocation, 2)
    assert allocation.addresses(torch.arange(4)).tolist() == EARLIER[name, system, dim]


def test_affine_allocation_is_a_bijection_in_systems_of_billions():
    for system in (make_system("v22", 384), make_system("v44", 384), make_system("hypercube", 62)):
        rule = make_allocation("affine", system, seed=5)
        rule.extend(1_000_000)
        ordinals = torch.arange(0, 1_000_000, 997)
        addresses = rule.addresses(ordinals)
        assert torch.equal(rule.owner(addresses), ordinals)


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


def drawn_one_by_one(system: VectorSystem, seed: int, counts: list[int]) -> list[int]:
    """The random rule as its definition says it: the first free ones of a row of random numbers."""
    owned: dict[int, None] = {}
    for count in counts:
        wanted = len(owned) + count
        draw = torch.Generator().manual_seed(Random(f"{seed}/{len(owned)}").getrandbits(63))
        while len(owned) < wanted:
            for address in torch.randint(system.size, (10_000,), generator=draw).tolist():
                if len(owned) < wanted:
                    owned.setdefault(address)
    return list(owned)


@pytest.mark.parametrize(
    ("name", "dim", "counts"),
    [
        ("v22", 384, [1, 5_000, 0, 20]),
        ("hypercube", 62, [3_000]),
        ("v11", 1_100, [900_000, 200_000, 1]),  # nearly full: most of what is drawn is owned
    ],
)
def test_random_addresses_are_the_first_free_ones_of_a_seeded_row(name, dim, counts):
    system = make_system(name, dim)
    rule = make_allocation("random", system, seed=3)
    for count in counts:
        rule.extend(count)
    owned = rule.addresses(torch.arange(len(rule)))
    assert owned.tolist() == drawn_one_by_one(system, 3, counts)


def test_a_table_shows_its_addresses_in_order():
    rule = make_allocation("random", make_system("v22", 64))
    rule.extend(50)
    rule.extend(30)
    owners = rule.owners
    assert torch.equal(owners.addresses, rule.addresses(torch.arange(80)).sort().values)
    assert torch.equal(rule.addresses(owners.ordinals.long()), owners.addresses)


def test_a_large_table_is_saved_as_tensors_that_are_taken_over():
    system = make_system("v22", 384)
    rule = make_allocation("random", system)
    rule.extend(70_000)
    restored = make_allocation("random", system)
    restored.load_state(rule.state())
    assert restored.owners.addresses.data_ptr() == rule.state()["addresses"].data_ptr()
    rule.extend(5)
    restored.extend(5)
    everyone = torch.arange(70_005)
    assert torch.equal(rule.addresses(everyone), restored.addresses(everyone))
    state = rule.state()
    for change in (
        {"addresses": state["addresses"].flip(0)},
        {"addresses": state["addresses"] + system.size},
        {"ranks": state["ranks"] + 1},
        {"owners": state["owners"][1:]},
    ):
        with pytest.raises(LSCError, match="impossible addresses"):
            restored.load_state(state | change)


def test_vectors_of_the_frame_are_given_first_and_never_again():
    allocation = make_allocation("affine", make_system("frame-v21", 50), seed=5)
    extend(allocation, 30)
    extend(allocation, 100)
    addresses = allocation.addresses(torch.arange(130))
    assert sorted(addresses[:50].tolist()) == list(range(50))
    assert addresses[50:].min() >= 50
    assert torch.equal(allocation.owner(addresses), torch.arange(130))
    everything = allocation.owner(torch.arange(allocation.system.size))
    assert int((everything >= 0).sum()) == 130


@pytest.mark.parametrize("count", [-1, 13])
def test_more_classes_than_the_system_holds_are_not_restored(count):
    with pytest.raises(LSCError, match="damaged"):
        make_allocation("affine", make_system("v21", 4)).load_state({"count": count})


def test_an_unknown_rule_is_refused_with_the_nearest_name():
    with pytest.raises(LSCError, match="did you mean 'affine'"):
        make_allocation("afine", make_system("v21", 9))


def test_an_allocation_of_ones_own_is_saved_by_the_name_it_was_made_by(monkeypatch):
    class Backwards(RandomAllocation):
        """The last addresses first."""

        def choose(self, count: int, embeddings: torch.Tensor | None) -> torch.Tensor:
            return self.system.size - 1 - len(self) - torch.arange(count)

    monkeypatch.setattr(ALLOCATIONS, "load", {"mine:Backwards": Backwards}.__getitem__)
    targets = Targets(make_system("v21", 16), "mine:Backwards", seed=2)
    targets.add(range(3))
    saved = targets.to_dict()["allocation"]
    size = targets.system.size
    assert (saved["name"], saved["seed"]) == ("mine:Backwards", 2)
    assert targets.addresses().tolist() == [size - 1, size - 2, size - 3]
    restored = Targets.from_dict(targets.to_dict())
    assert isinstance(restored.allocation, Backwards)
    assert RandomAllocation(targets.system).name == "random"
