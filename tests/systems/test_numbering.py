"""Numbers of addresses against Python's own integers."""

from __future__ import annotations

import pytest
import torch

from lsc_continual.systems.numbering import Numbering, multiply_mod

SIZES = [2, 3, 12, 28_090_752, 5_351_288_256, 2**62 - 1, 2**62 + 1, 2**63 - 1]


@pytest.mark.parametrize("bits", [1, 2, 20, 31, 32, 33, 42, 43, 60, 61, 62, 63])
def test_multiplication_modulo_never_wraps(bits):
    for size in (2**bits - 1, 2 ** (bits - 1) + 1):
        edges = {0, 1, 2, size // 3, size // 2, size - 2, size - 1}
        values = [value for value in sorted(edges) if 0 <= value < size]
        for factor in values:
            products = multiply_mod(torch.tensor(values), factor, size).tolist()
            assert products == [value * factor % size for value in values]


@pytest.mark.parametrize("size", SIZES)
def test_a_numbering_is_a_bijection_with_its_inverse(size):
    numbering = Numbering.drawn(size, seed=5)
    numbers = torch.randint(size, (50,), generator=torch.Generator().manual_seed(0))
    addresses = numbering.addresses(numbers)
    expected = [(numbering.step * c + numbering.offset) % size for c in numbers.tolist()]
    assert addresses.tolist() == expected
    assert torch.equal(numbering.numbers(addresses, size), numbers)
    few = torch.where(numbers < size // 2, numbers, -1)
    assert torch.equal(numbering.numbers(addresses, size // 2), few)
