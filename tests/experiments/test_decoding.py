"""Decoding, the nearest owned target and an exhaustive search, on embeddings anywhere."""

from __future__ import annotations

import pytest
import torch

from experiments.claims.decoding import answers
from experiments.claims.occupancy import (
    PAPERS_LOSS,
    Options,
    in_words,
    series,
    systems,
    trained,
)
from experiments.data import Data, Part
from experiments.outcome import averaged
from lsc_continual import Targets, make_system


@pytest.mark.parametrize(("system", "dim"), [("v11", 5), ("v21", 6), ("v22", 6)])
@pytest.mark.parametrize("allocation", ["affine", "random"])
def test_answers_are_those_of_brute_force(system, dim, allocation):
    targets = Targets(make_system(system, dim), allocation)
    targets.add(range(12))
    z = torch.randn(500, dim, generator=torch.Generator().manual_seed(0))
    everything = targets.system.vectors(torch.arange(targets.system.size)).double()
    owner = {address: ordinal for ordinal, address in enumerate(targets.addresses().tolist())}
    scores = z.double() @ everything.T
    nearest_of_all = [owner.get(address, -1) for address in scores.argmax(1).tolist()]
    nearest_owned = scores[:, targets.addresses()].argmax(1)
    found = answers(targets, z)
    assert found.decoded.tolist() == nearest_of_all
    assert found.nearest.tolist() == found.exhaustive.tolist() == nearest_owned.tolist()


def test_nobody_is_missed_where_every_vector_is_owned():
    targets = Targets(make_system("v21", 5))
    targets.add(range(targets.system.size))
    found = answers(targets, torch.randn(200, 5, generator=torch.Generator().manual_seed(1)))
    assert torch.equal(found.decoded, found.nearest)
    assert (found.decoded >= 0).all()


@pytest.mark.parametrize("classes", [100, 1000])
def test_systems_range_from_nearly_full_to_nearly_empty(classes):
    shares = [classes / system.size for system in systems(classes)]
    assert shares == sorted(shares, reverse=True)
    assert 0.9 < shares[0] <= 1
    assert shares[-1] < 1e-6


def test_occupancies_are_readable():
    assert [in_words(share) for share in (1.0, 0.2, 1e-4)] == ["100 %", "20 %", "1 in 10,000"]


def test_a_network_places_images_in_every_system_of_its_group():
    draw = torch.Generator().manual_seed(0)
    part = Part(torch.rand(18, 1, 8, 8, generator=draw), torch.arange(6).repeat(3))
    group = [make_system("v11", 5), make_system("v21", 6)]
    found = trained(Data(part, part), group, PAPERS_LOSS, 0, Options(classes=4))
    assert [placement.head.system for placement in found] == group
    for placement in found:
        sizes = [len(each.z) for each in (placement.train, placement.test, placement.unknown)]
        assert sizes == [12, 12, 6]
        assert placement.train.z.shape[1] == placement.head.system.dim
        assert set(placement.unknown.labels.tolist()) == {4, 5}
        owner = answers(placement.head.targets, placement.train.z).nearest
        assert torch.equal(owner, placement.train.labels)  # few images are learned by heart


def test_rows_of_several_seeds_become_one():
    rows = [{"system": name, "score": float(i)} for i, name in enumerate(["a", "b", "a"])]
    assert averaged(rows, ["system"]) == [
        {"system": "a", "score": 1.0},
        {"system": "b", "score": 1.0},
    ]


def test_a_series_changes_one_thing():
    names = ["v21, n = 7", "v11, n = 64", "v21, n = 64", "v21, n = 384"]
    rows = [{"loss": PAPERS_LOSS, "system": name} for name in names]
    found = [[row["system"] for row in own] for own in series(rows).values()]
    assert found == [[names[0], names[2], names[3]], [names[1], names[2]]]
