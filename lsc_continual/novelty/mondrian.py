"""Mondrian conformal prediction: with which calibration inputs an input is compared."""

from __future__ import annotations

import torch
from torch import Tensor


def groups_of(counts: Tensor, needed: int) -> tuple[Tensor, list[Tensor]]:
    """The group that inputs of each class are compared with, and the classes in each group.

    A class that has enough calibration inputs is a group; the rare ones are one together. That is
    decided by counts in which the input itself is one of its class: a function of all m + 1 inputs
    that treats them alike, so that p-values within a group are valid whatever the scores (Vovk et
    al., 2005, "Algorithmic Learning in a Random World", 4.5).

    Args:
        counts: LongTensor[classes], calibration inputs of each.
        needed: the least number of them in a group; there are as many or more in all.

    Returns:
        group: LongTensor[classes].
        members: of each group, BoolTensor[classes]; a class may be in several.
    """
    own = (counts >= needed).nonzero()[:, 0]
    group = torch.zeros_like(counts)
    group[own] = torch.arange(1, len(own) + 1, device=counts.device)
    rare = (counts < needed).nonzero()[:1, 0]  # all of them are compared with the same
    members = [_members(counts, needed, tested) for tested in [*rare, *own]]
    return group if len(rare) else group - 1, members


def _members(counts: Tensor, needed: int, tested: Tensor) -> Tensor:
    """The classes that an input of class `tested` is compared with."""
    counts = counts.clone()
    counts[tested] += 1
    rare = counts <= needed
    if 0 < counts[rare].sum() <= needed and not rare.all():
        rare[counts.masked_fill(rare, torch.iinfo(counts.dtype).max).argmin()] = True
    if rare[tested]:
        return rare
    alone = torch.zeros_like(rare)
    alone[tested] = True
    return alone
