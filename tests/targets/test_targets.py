"""The map from labels to targets, and the nearest owned target."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lsc_continual.errors import CapacityError, LSCError, UnknownLabelError
from lsc_continual.systems import make_system
from lsc_continual.targets import Targets


def filled(name: str, dim: int, classes: int, allocation: str = "random") -> Targets:
    targets = Targets(make_system(name, dim), allocation, seed=1)
    targets.add(range(classes))
    return targets


@pytest.mark.parametrize("allocation", ["affine", "random"])
@pytest.mark.parametrize(
    ("name", "dim", "classes"),
    [
        ("v21", 384, 10),  # decode, then scan
        ("v21", 384, 100_000),  # walks
        ("v21", 20, 3_000),  # nearly full: decode mostly hits
        ("v21", 64, 300),
        ("v22", 30, 20_000),
        ("v11", 16, 239),
        ("hypercube", 20, 500),
        ("a-interpolated", 20, 500),
        ("dyadic1", 9, 100),
        ("permutohedron", 9, 1_000),
        ("simplex", 20, 7),
        ("orthogonal", 50, 20),
    ],
)
def test_nearest_is_the_exhaustive_search(name, dim, classes, allocation):
    targets = filled(name, dim, classes, allocation)
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(classes, (128,), generator=generator)
    noise = torch.randn(256, dim, generator=generator)
    z = torch.cat([targets.vectors(labels) + 0.15 * noise[:128], noise[128:]])
    nearest = targets.nearest(z)
    u, best = F.normalize(z, dim=-1), torch.full((256,), -torch.inf)
    for ordinals in torch.arange(classes).split(20_000):
        best = torch.maximum(best, (u @ targets.vectors(ordinals).T).amax(-1))
    picked = (u * targets.vectors(nearest.ordinal)).sum(-1)
    assert torch.allclose(picked, best, atol=1e-6)
    assert torch.allclose(nearest.score, best, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    classes=st.integers(1, 105),
    seed=st.integers(0, 2**31),
    values=st.lists(st.integers(-2, 2), min_size=7, max_size=7),
)
def test_nearest_takes_the_lowest_address_in_a_tie(classes, seed, values):
    targets = Targets(make_system("v21", 7), "random", seed)
    targets.add(range(classes))
    # Small integers make exact ties, also among the walk's and the scan's candidates.
    z = torch.tensor([values], dtype=torch.float32)
    owned = targets.addresses()
    scores = (z @ (targets.vectors() * 3**0.5).round().T)[0]
    expected = owned[scores == scores.max()].min()
    assert int(owned[targets.nearest(z).ordinal]) == int(expected)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    ("name", "dim"),
    [("v21", 24), ("v22", 14), ("permutohedron", 9), ("hypercube", 14), ("simplex", 5100)],
)
@pytest.mark.parametrize("classes", [range(7, 12), range(7, 5007)])
def test_rows_that_are_not_finite_are_nobody_s(name, dim, wrong, classes):
    targets = Targets(make_system(name, dim))
    targets.add(classes)
    z = targets.vectors()[:4].repeat(2, 1)
    z[2, 0] = z[5] = wrong
    expected = torch.tensor([0, 1, -1, 3, 0, -1, 2, 3])
    assert torch.equal(targets.nearest(z).ordinal, expected)
    assert torch.equal(targets.several_nearest(z, 3).ordinal[:, 0], expected)
    assert torch.equal(targets.decode(z), expected)
    assert torch.equal(
        targets.labels_of(targets.nearest(z).ordinal), torch.where(expected < 0, -1, expected + 7)
    )
    assert torch.equal(targets.nearest(z).score.isnan(), expected < 0)
    assert torch.equal(targets.several_nearest(z, 3).score[:, 0].isnan(), expected < 0)


def test_labels_can_be_anything_hashable_and_keep_their_targets():
    targets = Targets(make_system("v21", 16))
    targets.add(["cat", 7, ("a", 1), None])
    before = targets.vectors()
    targets.add([7, "dog", "dog"])
    assert targets.labels == ["cat", 7, ("a", 1), None, "dog"]
    assert torch.equal(targets.vectors()[:4], before)
    assert targets.ordinals([("a", 1), "eel"]).tolist() == [2, -1]
    assert "dog" in targets
    assert "eel" not in targets


def test_tensors_of_labels_are_looked_up_at_once():
    targets = Targets(make_system("v21", 16))
    assert targets.ordinals(torch.tensor([0, 5])).tolist() == [-1, -1]
    targets.add([5, 0, 9])
    labels = torch.tensor([[9, 5], [-3, 100]])
    assert targets.ordinals(labels).tolist() == [[2, 0], [-1, -1]]
    targets.add([100])
    assert targets.ordinals(labels).tolist() == [[2, 0], [-1, 3]]


def test_labels_that_own_nothing_are_refused_by_name():
    targets = filled("v21", 16, 3)
    with pytest.raises(UnknownLabelError, match="class 77 owns no target"):
        targets.require_ordinals(torch.tensor([1, 77]))
    with pytest.raises(UnknownLabelError, match="class 'eel' owns no target"):
        targets.require_ordinals(["eel"])
    with pytest.raises(LSCError, match="no class owns a target yet"):
        Targets(make_system("v21", 16)).nearest(torch.zeros(1, 16))


def test_too_many_classes_are_refused_and_nothing_is_added():
    targets = Targets(make_system("v21", 4))
    with pytest.raises(CapacityError, match=r"system\.dim=5 or more"):
        targets.add(range(13))
    assert len(targets) == len(targets.allocation) == 0


@pytest.mark.parametrize("allocation", ["affine", "random", "spread"])
def test_a_map_survives_json(allocation):
    targets = Targets(make_system("v21", 16), allocation, seed=4)
    targets.add(["ä", 3, True])
    restored = Targets.from_dict(json.loads(json.dumps(targets.to_dict())))
    assert restored.labels == targets.labels
    assert torch.equal(restored.addresses(), targets.addresses())
    restored.add(["new"])
    targets.add(["new"])
    assert torch.equal(restored.addresses(), targets.addresses())


def test_a_damaged_map_and_unsavable_labels_are_refused():
    targets = filled("v21", 16, 3)
    state = targets.to_dict()
    with pytest.raises(LSCError, match="damaged"):
        Targets.from_dict(state | {"labels": [0, 1]})
    targets.add([("tuple",)])
    with pytest.raises(LSCError, match="cannot be saved"):
        targets.to_dict()


def test_log_sum_is_the_sum_over_owned_targets_with_its_gradient():
    targets = filled("v21", 40, 20_000)
    x = (8 * F.normalize(torch.randn(4, 40), dim=-1)).requires_grad_()
    expected = (x @ targets.vectors().T).logsumexp(-1)
    got = targets.log_sum(x)
    assert torch.allclose(got, expected, atol=1e-4)
    (slope,) = torch.autograd.grad(got.sum(), x)
    (expected_slope,) = torch.autograd.grad(expected.sum(), x)
    assert torch.allclose(slope, expected_slope, atol=1e-4)


def test_tensors_and_arrays_of_labels_mean_their_numbers():
    targets = Targets(make_system("v21", 16))
    targets.add(torch.tensor([3, 3, 5]))
    targets.add(np.array([5, 7]))
    assert targets.labels == [3, 5, 7]
    assert targets.ordinals(list(np.array([7, 3]))).tolist() == [2, 0]
    with pytest.raises(LSCError, match="run from 0 to 2"):
        targets.vectors(targets.ordinals([99]))


def test_tensors_and_numpy_scalars_in_a_list_are_the_integers_in_them():
    targets = Targets(make_system("v21", 16))
    targets.add(list(torch.tensor([1, 1, 2])))
    targets.add([torch.tensor(2), np.int64(1), np.uint8(7)])
    assert targets.labels == [1, 2, 7]
    assert [type(label) for label in targets.labels] == [int] * 3
    assert targets.ordinals(list(torch.tensor([2, 1, 9]))).tolist() == [1, 0, -1]
    assert targets.new_labels(list(torch.tensor([9, 2, 9]))) == [9]
    assert torch.tensor(2) in targets
    assert torch.tensor(9) not in targets
    with pytest.raises(UnknownLabelError, match="class 9 owns no target"):
        targets.require_ordinals(list(torch.tensor([1, 9])))


def test_integers_beside_names_are_found():
    targets = Targets(make_system("v21", 16))
    targets.add(["cat", 3])
    targets.add([4, 5])
    for labels in ([4, 3, 6], np.array([4, 3, 6]), list(torch.tensor([4, 3, 6]))):
        assert targets.ordinals(labels).tolist() == [2, 1, -1]


def test_impossible_saved_addresses_are_refused():
    state = filled("v21", 16, 3).to_dict()
    for addresses in ([5, 5, 6], [0, 1, 10**9], [-1, 0, 1]):
        broken = state | {"allocation": state["allocation"] | {"addresses": addresses}}
        with pytest.raises(LSCError, match="impossible addresses"):
            Targets.from_dict(broken)


def test_millions_of_integers_are_added_at_once():
    targets = Targets(make_system("v22", 384))
    targets.add(range(5_000_000))
    targets.add(torch.arange(4_999_990, 5_000_010))
    targets.add(np.array([3, 5_000_020]))
    assert len(targets) == len(targets.allocation) == 5_000_011
    ordinals = torch.tensor([[7, 5_000_009], [5_000_010, 0]])
    labels = targets.labels_of(ordinals)
    assert labels.tolist() == [[7, 5_000_009], [5_000_020, 0]]
    assert torch.equal(targets.ordinals(labels), ordinals)
    restored = Targets.from_dict(json.loads(json.dumps(targets.to_dict())))
    assert len(json.dumps(targets.to_dict())) < 1000
    assert torch.equal(restored.addresses(ordinals), targets.addresses(ordinals))
