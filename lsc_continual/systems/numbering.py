"""The addresses of a system in another order, by a formula either way."""

from __future__ import annotations

from math import gcd
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor


def add_mod(a: Tensor, b: Tensor, size: int) -> Tensor:
    """(a + b) mod size for 0 ≤ a, b < size ≤ 2⁶³ − 1, without overflow."""
    return torch.where(a >= size - b, a - (size - b), a + b)


def multiply_mod(a: Tensor, factor: int, size: int) -> Tensor:
    """(a · factor) mod size for 0 ≤ a, factor < size ≤ 2⁶³ − 1, without overflow.

    Digit by digit of the factor, the highest first; a digit has as many bits as a product with it
    leaves room for. Most systems need one or two.
    """
    bits = max(1, 63 - size.bit_length())
    last = (max(factor, 1).bit_length() - 1) // bits
    product = a * (factor >> last * bits) % size
    for place in reversed(range(last)):
        digit = (factor >> place * bits) % 2**bits
        # Where one bit is too many, twice the product is a sum.
        product = add_mod(product, product, size) if bits == 1 else product * 2**bits % size
        if digit:
            product = add_mod(product, a * digit % size, size)
    return product


class Numbering(NamedTuple):
    """address = (step · number + offset) mod size, a bijection of 0 … size − 1."""

    size: int
    offset: int
    step: int
    inverse: int
    """The inverse of the step, modulo `size`."""

    @classmethod
    def drawn(cls, size: int, seed: int) -> Numbering:
        """A numbering drawn at random."""
        draw = Random(seed)
        offset = draw.randrange(size)
        step = draw.randrange(1, size)
        while gcd(step, size) != 1:
            step = draw.randrange(1, size)
        return cls(size, offset, step, pow(step, -1, size))

    def addresses(self, numbers: Tensor) -> Tensor:
        """LongTensor[...] -> LongTensor[...]."""
        product = multiply_mod(numbers, self.step, self.size)
        return add_mod(product, torch.full_like(product, self.offset), self.size)

    def numbers(self, addresses: Tensor, count: int) -> Tensor:
        """Number of each address, −1 if that is `count` or more: LongTensor[...] -> [...]."""
        back = torch.full_like(addresses, -self.offset % self.size)
        shifted = add_mod(addresses, back, self.size)
        numbers = multiply_mod(shifted, self.inverse, self.size)
        return torch.where(numbers < count, numbers, -1)
