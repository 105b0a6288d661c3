"""Competitors take turns."""

from __future__ import annotations

import itertools
import time

import torch

from lsc_continual.bench.timing import ratio, take_turns

CPU = torch.device("cpu")


def test_ratios_are_taken_within_a_turn():
    # A machine that is ten times slower in the second turn does not change the ratio.
    assert ratio([2.0, 20.0, 2.0], [1.0, 10.0, 1.0]) == 2.0


def test_each_way_has_its_time_in_each_turn():
    calls = []
    ways = {
        name: lambda name=name, wait=wait: (calls.append(name), time.sleep(wait))
        for name, wait in (("slow", 0.03), ("fast", 0.01))
    }
    times = take_turns(ways, 4, CPU)
    assert [len(column) for column in times.values()] == [4, 4]
    assert 2 < ratio(times["slow"], times["fast"]) < 4.5
    turns = [name for name, _ in itertools.groupby(calls)]
    assert turns == ["slow", "fast"] * 5


def test_after_some_time_three_turns_are_enough():
    times = take_turns({"way": lambda: time.sleep(0.02)}, 50, CPU, patience=0.05)
    assert len(times["way"]) == 3
