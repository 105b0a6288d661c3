"""Several nearest owned targets, against a search through all of them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from lsc_continual.errors import LSCError
from lsc_continual.systems import make_system
from lsc_continual.targets import Targets


def owned(name: str, dim: int, classes: int, allocation: str = "affine") -> Targets:
    targets = Targets(make_system(name, dim=dim), allocation)
    targets.add(range(classes))
    return targets


@pytest.mark.parametrize(
    ("name", "dim", "classes", "allocation"),
    [
        ("v21", 32, 7, "random"),
        ("v22", 32, 900, "affine"),
        ("hypercube", 12, 50, "affine"),
        ("v21", 32, 6_000, "affine"),  # of 14,880: looked for in a list
        ("a-interpolated", 32, 10_000, "affine"),
    ],
)
def test_they_are_those_that_an_exhaustive_search_finds(name, dim, classes, allocation):
    torch.manual_seed(0)
    targets = owned(name, dim, classes, allocation)
    z = torch.randn(40, dim)
    found = targets.several_nearest(z, 4)
    everything = F.normalize(z, dim=-1) @ targets.vectors().T
    if targets.system.rank_limit() or classes <= 4096:
        assert found.ordinal.shape == (40, 4)
    torch.testing.assert_close(found.score, everything.topk(found.score.shape[-1]).values)
    torch.testing.assert_close(everything.gather(-1, found.ordinal), found.score)


def test_what_is_not_in_the_list_is_marked():
    targets = owned("v21", 384, 5_000)  # of 28 million
    torch.manual_seed(0)
    z = torch.cat([targets.vectors(torch.tensor([17, 4_999])), torch.randn(6, 384)])
    found = targets.several_nearest(z, 3)
    assert found.ordinal[:2, 0].tolist() == [17, 4_999]
    everything = F.normalize(z, dim=-1) @ targets.vectors().T
    torch.testing.assert_close(found.score[:, 0], everything.amax(-1))  # that one is exact
    assert ((found.ordinal < 0) == found.score.isinf()).all()
    assert (found.ordinal[:, 1:] < 0).any()


def test_fewer_classes_than_asked_for_are_all_there_are():
    assert owned("v21", 32, 2).several_nearest(torch.randn(5, 32), 4).ordinal.shape == (5, 2)


def test_without_classes_it_says_what_to_do():
    with pytest.raises(LSCError, match="train on an experience or add classes"):
        owned("v21", 32, 0).several_nearest(torch.randn(1, 32), 1)
