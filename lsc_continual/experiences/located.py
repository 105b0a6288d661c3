"""From an Avalanche dataset back to the images it is made of."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.benchmarks.utils.flat_data import ConstantSequence, FlatData
from torch import Tensor

from lsc_continual.inputs.base import Images


def located(dataset: AvalancheDataset) -> tuple[Images, Tensor] | None:
    """The `Images` behind a dataset, and which row of them each of its samples is.

    Knowing this, batches can be cut out of a tensor instead of being put together sample by
    sample. None where the samples are something else: data of another kind, of several sources,
    or changed by transforms of its inputs. (Avalanche has no public way to ask; this walks through
    its nested views.)
    """
    return _walk(dataset._flat_data, torch.arange(len(dataset)))


def _walk(view: Any, rows: Tensor) -> tuple[Images, Tensor] | None:
    """The `Images` that all of `rows` of a view lie in, and which of its rows they are."""
    if isinstance(view, Images):
        return view, rows
    if not isinstance(view, FlatData) or _transforms(view):
        return None
    if view._indices is not None:
        rows = torch.tensor(list(view._indices), dtype=torch.long)[rows]
    if len(view._datasets) == 1:
        return _walk(view._datasets[0], rows)
    ends = view._cumulative_sizes
    for part, start, end in zip(view._datasets, [0, *ends[:-1]], ends, strict=True):
        inside = (rows >= start) & (rows < end)
        if inside.all():
            return _walk(part, rows - start)
    return None


def _transforms(view: FlatData[Any]) -> bool:
    """Whether a view changes its inputs. (Labels are read from the data set, not from samples.)"""
    for name in ("_transform_groups", "_frozen_transform_groups"):
        group = getattr(view, name, None)
        transform = None if group is None else group[group.current_group]
        # Avalanche wraps "nothing to do" as a transform of inputs and labels whose first is None.
        if transform is not None and getattr(transform, "transforms", [transform])[0] is not None:
            return True
    return False


def integers(values: Any) -> Tensor:
    """An attribute of a data set, such as its targets, as LongTensor[count].

    Reading it item by item is a good part of an epoch of a small network.
    """
    view = getattr(values, "data", values)
    if isinstance(view, FlatData) and len(view._datasets) == 1:
        inner = integers(view._datasets[0])
        rows = None if view._indices is None else torch.tensor(list(view._indices)).long()
        return inner if rows is None else inner[rows]
    if isinstance(view, ConstantSequence):
        return torch.full((len(view),), int(view._constant_value))
    return torch.tensor([int(value) for value in view])
