"""Every way of searching, compiled and plain, against a search through all owned vectors."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from lsc_continual.kernels import compiler
from lsc_continual.systems import make_system
from lsc_continual.targets import Targets, nearest

CASES = [  # name, dim, classes, allocation
    ("v21", 8, 150, "random"),
    ("v21", 24, 20, "affine"),  # scanned
    ("v21", 24, 3_000, "random"),  # walked, of 6,072
    ("v21", 96, 5_000, "affine"),
    ("v22", 40, 100_000, "random"),  # of 548,340
    ("v11", 150, 9_000, "affine"),
    ("v10", 70, 40, "random"),
    ("v31", 20, 10_000, "affine"),
    ("v21", 384, 70_000, "random"),  # the scan's table is not kept
]


@pytest.fixture(params=["compiled", "plain"])
def way(request, monkeypatch):
    if request.param == "compiled":
        assert compiler.available()
    else:
        monkeypatch.setattr(compiler, "available", lambda: False)
    return request.param


def embeddings(targets: Targets) -> torch.Tensor:
    """Near targets, anywhere, and such that many targets are exactly as near as others."""
    generator = torch.Generator().manual_seed(0)
    n = targets.system.dim
    owned = targets.vectors(torch.randint(len(targets), (60,), generator=generator))
    noise = torch.randn(80, n, generator=generator)
    coarse = torch.randint(-3, 4, (30, n), generator=generator).float()
    few = torch.zeros(30, n)
    few[:, : n // 2] = torch.randint(-1, 2, (30, n // 2), generator=generator).float()
    return torch.cat([owned + 0.1 * noise[:60], noise[60:], coarse, few, torch.zeros(2, n)])


@pytest.mark.parametrize(("name", "dim", "classes", "allocation"), CASES)
def test_it_is_the_exhaustive_search_lowest_address_first(name, dim, classes, allocation, way):
    targets = Targets(make_system(name, dim), allocation)
    targets.add(range(classes))
    z = embeddings(targets)
    owned = targets.addresses().sort().values
    best = torch.full((len(z),), -torch.inf, dtype=torch.float64)
    expected = torch.zeros(len(z), dtype=torch.int64)
    for some in owned.split(20_000):  # whole numbers, so that equal scores are equal
        score, place = (z.double() @ targets.system.vectors(some).sign().double().T).max(-1)
        expected = torch.where(score > best, some[place], expected)
        best = torch.maximum(score, best)
    found = targets.nearest(z)
    assert torch.equal(targets.addresses(found.ordinal), expected)
    length = z.norm(dim=-1).double().clamp_min(1e-9) * targets.system.norm
    assert torch.allclose(found.score.double(), best / length, atol=1e-6)


@pytest.mark.parametrize(("name", "dim", "classes", "allocation"), CASES[:5])
def test_several_and_the_length_of_the_walk(name, dim, classes, allocation, way):
    targets = Targets(make_system(name, dim), allocation)
    targets.add(range(classes))
    z = embeddings(targets)[:80]  # without ties
    ranked = targets.system.ranked(z, 100)
    owner = targets.allocation.owner(ranked.address)
    before = targets.search.vectors_before(z, 100)
    found = targets.search.several(z, 3, 100)
    for row in range(len(z)):
        here = (owner[row] >= 0).nonzero().squeeze(-1)
        assert int(before[row]) == (int(here[0]) if len(here) else 100)
        wanted = owner[row, here[:3]].tolist()
        assert found.ordinal[row].tolist() == wanted + [-1] * (3 - len(wanted))
        assert torch.allclose(found.score[row, : len(wanted)], ranked.score[row, here[:3]])


@pytest.mark.parametrize("classes", [20, 24, 500, 5_000])
def test_of_nested_systems_it_is_the_best_in_any_of_them(classes, way):
    targets = Targets(make_system("frame-v21", 24))
    targets.add(range(classes))
    generator = torch.Generator().manual_seed(0)
    owned = targets.vectors(torch.randint(classes, (200,), generator=generator))
    z = owned + 0.3 * torch.randn(200, 24, generator=generator)
    z[100:] += torch.randn(100, 24, generator=generator)
    cosines = F.normalize(z.double(), dim=1) @ targets.vectors().double().T
    found = targets.nearest(z)
    assert torch.equal(found.ordinal, cosines.argmax(1))
    torch.testing.assert_close(found.score.double(), cosines.amax(1), atol=1e-6, rtol=0)


def test_a_system_can_be_walked_through_to_its_end():
    for name, dim in (("v21", 5), ("v22", 6), ("v31", 5), ("v10", 9)):
        targets = Targets(make_system(name, dim), "random")
        targets.add(range(1))
        z = torch.randn(200, dim)
        everything = targets.system.ranked(z, targets.system.size).address
        own = (everything == targets.addresses()).byte().argmax(-1)
        assert torch.equal(targets.search.vectors_before(z, targets.system.size), own)


def test_a_walk_that_is_cut_short_ends_in_a_scan(monkeypatch):
    targets = Targets(make_system("v21", 48), "random")
    targets.add(range(2_000))
    z = embeddings(targets)
    expected = targets.nearest(z)
    for steps in (8, 9, 40):
        monkeypatch.setattr(nearest, "_LONGEST_WALK", steps)
        found = targets.nearest(z)
        assert torch.equal(found.ordinal, expected.ordinal)
        assert torch.equal(found.score, expected.score)


def test_classes_that_arrive_are_found_at_once(way):
    targets = Targets(make_system("v21", 64))
    for count in (1, 5, 400, 30_000):
        targets.add(range(count))
        vectors = targets.vectors()
        assert torch.equal(targets.nearest(vectors).ordinal, torch.arange(count))
