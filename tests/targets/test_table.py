"""A table of integers, against a dictionary."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lsc_continual.targets.table import (
    Interval,
    Table,
    all_of,
    different,
    intervals,
    joined,
    numbered,
    of_intervals,
)

parts = st.lists(st.lists(st.integers(-50, 50), max_size=10), max_size=5)


@settings(max_examples=150, deadline=None)
@given(parts)
def test_each_integer_has_its_number_and_back(parts):
    table, model = Table.of(torch.empty(0, dtype=torch.int64)), dict[int, int]()
    for part in parts:
        new = [value for value in dict.fromkeys(part) if value not in model]
        table = table.extended(torch.tensor(new, dtype=torch.int64))
        model |= {value: len(model) + i for i, value in enumerate(new)}
    assert table.integer(torch.arange(len(model))).tolist() == list(model)
    probes = torch.arange(-60, 60)
    assert table.number(probes).tolist() == [model.get(value, -1) for value in range(-60, 60)]
    assert table.number(probes).dtype == torch.int64
    assert table.values.tolist() == sorted(model)
    assert table.owners.tolist() == [model[value] for value in sorted(model)]
    assert table.is_sound(-50, 50)
    assert not model or not table.is_sound(min(model) + 1, 50)
    assert not model or not table.is_sound(-50, max(model) - 1)


LEAST, MOST = -(2**63), 2**63 - 1
near = st.integers(-6, 12) | st.integers(LEAST, LEAST + 3) | st.integers(MOST - 3, MOST)
rows = st.lists(near, max_size=8) | st.builds(range, st.integers(-6, 3), st.integers(-6, 12))


@settings(max_examples=300, deadline=None)
@given(st.lists(rows, max_size=5))
def test_rows_of_integers_joined_are_a_list(added):
    """Whatever they are kept as: consecutive ones in no memory, others in a table."""
    integers, model = numbered(torch.tensor([], dtype=torch.int64)), list[int]()
    for row in added:
        new = [value for value in dict.fromkeys(row) if value not in model]
        assert all_of(numbered(torch.tensor(list(row), dtype=torch.int64))).tolist() == list(
            dict.fromkeys(row)
        )
        integers = joined(integers, numbered(torch.tensor(new, dtype=torch.int64)))
        model += new
    assert len(integers) == len(model)
    assert all_of(integers).tolist() == model
    probes = [*range(-8, 14), *model, LEAST, LEAST + 1, MOST - 1, MOST]
    places = {value: place for place, value in enumerate(model)}
    assert integers.number(torch.tensor(probes)).tolist() == [places.get(v, -1) for v in probes]
    if model:
        assert integers.extremes == (min(model), max(model))
        starts, lengths = intervals(integers)
        listed = [
            start + i for start, n in zip(starts.tolist(), lengths.tolist()) for i in range(n)
        ]
        assert listed == model
        assert all(a + 1 != b for a, b in zip((starts + lengths - 1).tolist(), starts[1:].tolist()))
        assert all_of(of_intervals(starts, lengths)).tolist() == model


@pytest.mark.parametrize("first", [LEAST, 0, MOST - 9])
def test_consecutive_integers_take_no_table(first):
    values = first + torch.arange(10)
    assert numbered(values) == Interval(first, 10)
    assert joined(numbered(values[:4]), numbered(values[4:])) == Interval(first, 10)
    assert isinstance(numbered(values.flip(0)), Table)


@given(st.lists(st.integers(0, 9)))
def test_different_ones_are_in_order_of_first_appearance(values):
    found = different(torch.tensor(values, dtype=torch.int64))
    assert found.tolist() == list(dict.fromkeys(values))


def test_sixteen_bytes_each_and_copies_share_them():
    table = Table.of(torch.randperm(1000))
    assert sum(part.nbytes for part in (table.values, table.owners, table.ranks)) == 16 * 1000
    assert copy.deepcopy(table) is table


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("kind", ["swap", "high", "low", "type", "short"])
def test_what_is_no_table_is_seen(part, kind):
    made = Table.of(torch.randperm(500) * 3)
    parts = [made.values.clone(), made.owners.clone(), made.ranks.clone()]
    assert Table(*parts).is_sound(0, 1497)
    changed = parts[part]
    if kind == "swap":
        changed[[3, 7]] = changed[[7, 3]]
    elif kind == "high":
        changed[3] = 10_000
    elif kind == "low":
        changed[3] = -1
    elif kind == "type":
        parts[part] = changed.to(torch.int16)
    else:
        parts[part] = changed[:-1]
    assert not Table(*parts).is_sound(0, 20_000)
