"""The map of labels, against a list and a dictionary."""

from __future__ import annotations

import copy
import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lsc_continual.bench.memory import held_bytes
from lsc_continual.errors import LSCError
from lsc_continual.targets import Labels

LEAST, MOST = -(2**63), 2**63 - 1

near = st.integers(-6, 12)
extreme = st.integers(LEAST, LEAST + 4) | st.integers(MOST - 4, MOST) | st.integers(2**63, 2**70)
anything = (
    near
    | extreme
    | st.booleans()
    | st.sampled_from([0.5, 1.0, -2.0, float("inf"), Fraction(3), Fraction(1, 3), "a", "b", None])
    | st.tuples(near)
    | near.map(np.int64)
    | near.map(np.float32)
    | near.map(torch.tensor)
    | st.sampled_from([torch.tensor(True), torch.tensor(0.5), torch.tensor([4])])
)
ranges = st.builds(range, near, near, st.sampled_from([1, 1, 1, 2, -1, -3]))
integer_lists = st.lists(near | st.integers(LEAST, MOST), max_size=12)
arrays = integer_lists.map(lambda values: np.array(values, dtype=np.int64))
small_arrays = st.lists(st.integers(0, 100), max_size=12).map(np.uint8)
batches = (
    st.lists(anything, max_size=8)
    | st.lists(near, max_size=8)
    | st.lists(near, max_size=8).map(lambda values: list(torch.tensor(values)))
    | ranges
    | arrays
    | small_arrays
    | arrays.map(torch.tensor)
    | st.lists(st.booleans(), max_size=3).map(torch.tensor)
    | st.lists(near, max_size=5).map(lambda values: torch.tensor(values, dtype=torch.float32))
)


def one_by_one(batch: Any) -> list[Any]:
    if isinstance(batch, torch.Tensor | np.ndarray):
        return list(batch.tolist())
    return [
        label.item() if isinstance(label, np.generic | torch.Tensor) else label for label in batch
    ]


@settings(max_examples=300, deadline=None)
@given(st.lists(batches, max_size=6), st.lists(anything, max_size=8))
def test_it_is_a_list_and_a_dictionary(added, others):
    labels, model = Labels(), dict[Any, int]()
    for batch in added:
        before = copy.deepcopy(labels)
        assert Labels.of(batch) == list(dict.fromkeys(one_by_one(batch)))
        new = Labels.of(batch).without(labels)
        expected = [label for label in dict.fromkeys(one_by_one(batch)) if label not in model]
        assert new == expected
        assert [type(label) for label in new] == [type(label) for label in expected]
        labels.extend(new)
        assert before == list(model)  # a copy is one
        model |= {label: len(model) + i for i, label in enumerate(expected)}
    everything = list(model)
    assert labels == everything
    assert list(map(type, labels)) == list(map(type, everything))
    assert repr(labels) == repr(everything)
    assert [labels[i] for i in range(-len(model), len(model))] == everything * 2
    assert labels[1:] == everything[1:]
    assert labels[::-2] == everything[::-2]
    assert [label in labels for label in others] == [label in model for label in one_by_one(others)]
    probes = [*one_by_one(others), *everything, *range(-8, 14)]
    assert labels.ordinals(probes).tolist() == [model.get(label, -1) for label in probes]
    assert [label in labels for label in probes] == [label in model for label in probes]
    integers = range(-8, 14)
    assert labels.ordinals(integers).tolist() == [model.get(label, -1) for label in integers]
    whole = [label for label in probes if type(label) is int and LEAST <= label <= MOST]
    if all(type(label) is int and LEAST <= label <= MOST for label in everything):
        found = labels.ordinals(torch.tensor(whole, dtype=torch.int64))
        assert found.tolist() == [model.get(label, -1) for label in whole]
        assert labels.at(torch.arange(len(model))).tolist() == everything
        if everything:
            assert labels.extremes == (min(everything), max(everything))
    else:
        with pytest.raises(LSCError, match="needs classes named by integers"):
            labels.ordinals(torch.tensor(whole, dtype=torch.int64))


@settings(max_examples=100, deadline=None)
@given(st.lists(integer_lists | ranges, max_size=5))
def test_integers_survive_json(added):
    labels = Labels()
    for batch in added:
        labels.extend(Labels.of(batch).without(labels))
    restored = Labels.restored(json.loads(json.dumps(labels.state())))
    assert restored == list(labels)
    restored.extend(Labels.of(range(20)).without(restored))
    labels.extend(Labels.of(range(20)).without(labels))
    assert restored == labels


def test_ten_million_consecutive_labels_take_no_memory():
    labels = Labels.of(range(5, 5_000_005))
    labels.extend(Labels.of(torch.arange(4_000_000, 6_000_000)).without(labels))
    labels.extend(Labels.of(range(6_000_000, 10_000_005)).without(labels))
    assert len(labels) == 10**7
    assert held_bytes(labels) < 1000
    assert labels.state() == {"starts": [5], "lengths": [10**7]}
    probes = torch.tensor([5, 4, 10_000_004, 10_000_005])
    assert labels.ordinals(probes).tolist() == [0, -1, 9_999_999, -1]
    labels.extend(Labels.of(["cat", 3]))
    assert labels[-3:] == [10_000_004, "cat", 3]
    assert held_bytes(labels) < 2000


def test_scattered_labels_take_two_words_each():
    values = torch.randperm(300_000, generator=torch.Generator().manual_seed(0))[:100_000] * 7
    labels = Labels.of(values)
    assert held_bytes(labels) <= 16 * 100_000 + 2000
    assert torch.equal(labels.at(torch.arange(100_000)), values)
    assert torch.equal(labels.ordinals(values + 1), torch.full((100_000,), -1))
    state = labels.state()
    assert all(isinstance(state[name], torch.Tensor) for name in ("starts", "lengths"))
    assert torch.equal(Labels.restored(state).ordinals(values), torch.arange(100_000))


def test_labels_that_earlier_versions_saved_are_read():
    state = {"starts": [5, 0, 9], "lengths": [3, 2, 1]}
    tables = {name: torch.tensor(numbers) for name, numbers in state.items()}
    for saved in (state, tables, [5, 6, 7, 0, 1, 9]):
        assert Labels.restored(saved) == [5, 6, 7, 0, 1, 9]
    assert Labels.restored({"starts": [], "lengths": []}) == []
    assert Labels.restored(["a", 1, None, 0.5]) == ["a", 1, None, 0.5]


@pytest.mark.parametrize(
    "state",
    [
        {"starts": [0, 3], "lengths": [4, 1]},
        {"starts": [3, 0], "lengths": [1, 4]},
        {"starts": [0], "lengths": [0]},
        {"starts": [0, 9], "lengths": [1]},
        {"starts": [[0]], "lengths": [[1]]},
        {"starts": [MOST - 1], "lengths": [3]},
        {"starts": [0, MOST - 1], "lengths": [1, 3]},
        {"starts": [0, LEAST], "lengths": [1, 0]},
        {"starts": [5, 5], "lengths": [1, 1]},
        ["a", "b", "a"],
        [1, True],
    ],
)
def test_damaged_labels_are_refused(state):
    with pytest.raises(LSCError, match="damaged"):
        Labels.restored(state)


def test_a_tensor_of_other_numbers_is_refused():
    with pytest.raises(LSCError, match=r"are integers, not torch\.float32"):
        Labels.of(range(3)).ordinals(torch.tensor([0.5]))


def test_it_equals_lists_and_maps_and_nothing_else():
    assert Labels.of(["a", 1]) == ["a", 1]
    assert Labels.of([0, 1]) == Labels.of(range(2))
    assert Labels.of([0, 1]) != [1, 0]
    assert Labels.of([0, 1]) != (0, 1)
    assert Labels.of([0, 1]) == [0, 1]
