"""A table of integers, against a dictionary."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lsc_continual.targets.table import Table, different

parts = st.lists(st.lists(st.integers(-50, 50), max_size=10), max_size=5)


@settings(max_examples=150, deadline=None)
@given(parts)
def test_each_integer_has_its_number_and_back(parts):
    table, model = Table.of(torch.empty(0, dtype=torch.int64)), dict[int, int]()
    for part in parts:
        new = [value for value in dict.fromkeys(part) if value not in model]
        table = table.extended(Table.of(torch.tensor(new, dtype=torch.int64)))
        model |= {value: len(model) + i for i, value in enumerate(new)}
    assert table.integer(torch.arange(len(model))).tolist() == list(model)
    probes = torch.arange(-60, 60)
    assert table.number(probes).tolist() == [model.get(value, -1) for value in range(-60, 60)]
    assert table.number(probes).dtype == torch.int64
    assert table.values.tolist() == sorted(model)
    assert table.owners.tolist() == [model[value] for value in sorted(model)]
    assert table.is_sound()


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
    assert Table(*parts).is_sound()
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
    assert not Table(*parts).is_sound()
