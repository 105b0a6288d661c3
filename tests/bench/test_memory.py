"""Memory is counted where it is taken."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import torch

from lsc_continual import make_system
from lsc_continual.bench.memory import (
    available_bytes,
    held_bytes,
    peak_of_process,
    peak_resident_bytes,
    resident_bytes,
)
from lsc_continual.targets import Targets
from tests.processes import environment

MIB = 2**20


PEAK = """
import torch
from lsc_continual.bench.memory import Peak
before = torch.ones(64 * 2**20, dtype=torch.uint8)
peak = Peak()
print(peak.bytes())
torch.ones(32 * 2**20, dtype=torch.uint8)
print(peak.bytes())
"""


def test_the_peak_counts_what_was_freed_again_but_not_what_was_there():
    # In a process of its own: memory that others freed would be used again, and not counted.
    command = [sys.executable, "-c", PEAK]
    out = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    at_first, later = map(int, out.stdout.split())
    assert at_first < 8 * MIB
    assert 28 * MIB < later < 48 * MIB


def test_a_head_in_a_process_of_its_own_takes_its_parameters_and_gradients():
    arguments = ("linear head", "v21", 64, 50_000, 1)
    peak = peak_of_process("lsc_continual.bench.heads", arguments)
    table = 4 * 50_000 * 64
    assert 2 * table < peak < 2 * table + 4 * 4 * 50_000 * 256


def test_the_structured_softmax_takes_no_table_of_vectors():
    arguments = ("structured softmax", "v21", 64, 100_000, 1)
    assert peak_of_process("lsc_continual.bench.heads", arguments) < 2 * 4 * 100_000 * 64


def test_a_process_that_fails_gives_no_figure():
    assert peak_of_process("lsc_continual.bench.heads", ("no head", "v21", 64, 10, 1)) is None


def test_held_bytes_follow_containers_and_count_storage_once():
    tensor = torch.zeros(1000)
    assert 4000 < held_bytes(tensor) < 5000
    assert held_bytes([tensor, tensor[:10], {"a": (tensor,)}]) < 6000
    assert held_bytes(np.zeros(1000)) >= 8000


def test_a_table_of_addresses_is_counted():
    system, classes = make_system("v21", 64), 1000
    sizes = {}
    for allocation in ("affine", "random"):
        targets = Targets(system, allocation)
        targets.add(range(classes))
        sizes[allocation] = held_bytes(targets) / classes
    assert sizes["random"] >= sizes["affine"] + 8


def test_some_memory_is_available():
    assert available_bytes(torch.device("cpu")) > 2**28


def test_resident_memory_grows_by_what_is_touched_and_the_peak_is_above():
    before = resident_bytes()
    kept = torch.ones(64 * MIB, dtype=torch.uint8)
    now = resident_bytes()
    assert now - before > 60 * MIB
    assert peak_resident_bytes() >= now >= len(kept)
