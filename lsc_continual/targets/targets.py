"""The append-only map from class labels to targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lsc_continual.errors import LSCError, UnknownLabelError
from lsc_continual.machine.precision import full_precision
from lsc_continual.systems import VectorSystem, make_system
from lsc_continual.systems.base import as_float, finite_rows
from lsc_continual.targets.allocation import make_allocation
from lsc_continual.targets.labels import AnyLabels, Labels, called, plain, scalar
from lsc_continual.targets.nearest import Nearest, Search
from lsc_continual.targets.sums import log_sum

_LISTED = 128  # of the nearest vectors of the system, where several owned ones are looked for
_FEW = 4096  # classes that cost no more to compare with than a list of near vectors to make


class Targets:
    """Which class owns which vector of a system. Classes are added, and never moved.

    A class has a label (any hashable), an ordinal (the order of its arrival) and an address (the
    vector it owns).

    >>> from lsc_continual.systems import make_system
    >>> targets = Targets(make_system("v21", dim=64))
    >>> targets.add(["cat", "dog"])
    >>> targets.add(["dog", "eel"])  # a class that is known keeps its target
    >>> targets.labels
    ['cat', 'dog', 'eel']
    >>> targets.nearest(targets.vectors()).ordinal
    tensor([0, 1, 2])
    """

    def __init__(self, system: VectorSystem, allocation: str = "affine", seed: int = 0) -> None:
        if not isinstance(system, VectorSystem):
            raise LSCError(f"targets are vectors of make_system(name, dim), and not of {system!r}")
        self.system = system
        self.allocation = make_allocation(allocation, system, seed)
        self.search = Search(system, self.allocation)
        self.labels = Labels()
        """In order of arrival."""
        self.class_names: Sequence[str] = ()  # of labels that are numbers
        self._cache: dict[str, Tensor] = {}  # derived tensors, made anew when classes arrive

    def __len__(self) -> int:
        return len(self.labels)

    def __contains__(self, label: object) -> bool:
        return label in self.labels

    @full_precision
    def add(self, labels: AnyLabels, embeddings: Tensor | None = None) -> None:
        """Give a fresh target to each label that has none, in the order given.

        Millions of integers at once, as a range, a tensor or an array, take no loop in Python.

        Args:
            embeddings: FloatTensor[new labels, dim], where the encoder puts the new classes on
                average; only the allocation "affinity" looks at it.

        Raises:
            CapacityError: the system holds too few vectors; nothing is added then.
        """
        new, named = Labels.of(labels).without(self.labels), self.allocation.needs_names
        names = called(new, self.class_names) if named else None
        self.allocation.extend(len(new), embeddings, names)
        self.labels.extend(new)
        if len(new):
            self._cache.clear()

    def retire(self, labels: AnyLabels, *, reserve: bool = True) -> None:
        """Take classes out, so that they are no longer answered; those behind them move up.

        Args:
            reserve: whether their addresses are kept for them, should they come again.

        Raises:
            UnknownLabelError: some label owns no target.
            LSCError: the allocation goes by the order of arrival.
        """
        gone = list(Labels.of(labels))
        ordinals = self.require_ordinals(gone)
        self.allocation.retire(ordinals, called(gone, self.class_names), reserve=reserve)
        out = set(gone)
        self.labels = Labels.of([name for name in self.labels if name not in out])
        self.search = Search(self.system, self.allocation)
        self._cache.clear()

    def new_labels(self, labels: AnyLabels) -> list[Any]:
        """Those of `labels` that own no target yet, each once, in the order given."""
        return list(Labels.of(labels).without(self.labels))

    def ordinals(self, labels: AnyLabels) -> Tensor:
        """Ordinal of each label, −1 for a label that owns no target.

        A LongTensor[...] of integer labels is looked up on its device; any other sequence of
        labels gives LongTensor[count].

        Raises:
            LSCError: a tensor, and not of integers or some class has another label than an integer.
        """
        return self.labels.ordinals(labels)

    def labels_of(self, ordinals: Tensor) -> Tensor:
        """Integer labels of ordinals, −1 for −1: LongTensor[...] -> LongTensor[...].

        Raises:
            LSCError: some class has another label than an integer.
        """
        if not len(self):
            return torch.full_like(ordinals, -1)
        return self.labels.at(ordinals.clamp_min(0)).masked_fill(ordinals < 0, -1)

    def label_tensor(self, like: Tensor) -> Tensor:
        """All integer labels in order of arrival, on the device of `like`: LongTensor[classes].

        Cached, at 8 bytes a class, for outputs that have a column for each.
        """
        return self._cached("labels", like, lambda: self.labels_of(torch.arange(len(self))))

    def _cached(self, name: str, like: Tensor, make: Callable[[], Tensor]) -> Tensor:
        """A tensor that depends on the owned classes only, on the device of `like`."""
        tensor = self._cache.get(name)
        if tensor is None or tensor.device != like.device:
            # Whatever mode the caller is in: what is kept has to serve training too.
            with torch.inference_mode(False), torch.no_grad():
                tensor = self._cache[name] = make().to(like.device)
        return tensor

    def require_ordinals(self, labels: AnyLabels) -> Tensor:
        """As `ordinals`, for labels that must own a target.

        Raises:
            UnknownLabelError: some label owns none.
        """
        ordinals = self.ordinals(labels)
        if (ordinals < 0).any():
            place = int((ordinals.reshape(-1) < 0).nonzero()[0])
            raise UnknownLabelError(
                f"class {scalar(plain(labels)[place])!r} owns no target: it was never trained on; "
                "train on it or leave it out"
            )
        return ordinals

    def addresses(self, ordinals: Tensor | None = None) -> Tensor:
        """Address of each ordinal, of all classes by default. LongTensor[...] -> LongTensor[...]

        Raises:
            LSCError: no class has such an ordinal.
        """
        if ordinals is None:
            ordinals = torch.arange(len(self))
        if ordinals.numel() and (ordinals.min() < 0 or ordinals.max() >= len(self)):
            raise LSCError(f"ordinals of {len(self)} classes run from 0 to {len(self) - 1}")
        return self.allocation.addresses(ordinals)

    def vectors(self, ordinals: Tensor | None = None) -> Tensor:
        """Target vectors of ordinals, of all classes by default. [...] -> FloatTensor[..., dim]"""
        return self.system.vectors(self.addresses(ordinals))

    def matrix(self, like: Tensor) -> Tensor:
        """All target vectors on the device and in the dtype of `like`, cached: [classes, dim]."""
        return self._cached("vectors", like, self.vectors).to(like.dtype)

    def of_labels(self, labels: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Target vectors of labels, and which of the labels own one (the others' vectors are void).

        LongTensor[batch] -> [batch, dim] in the dtype of `like`, BoolTensor[batch].
        """
        ordinals = self.ordinals(labels)
        return self.vectors(ordinals.clamp_min(0)).to(like), ordinals >= 0

    @full_precision
    def log_sum(
        self, x: Tensor, ordinals: Tensor | None = None, log_weights: Tensor | None = None
    ) -> Tensor:
        """log Σ w exp⟨x, t⟩ over targets: [batch, dim] -> [batch]; see `targets.sums`.

        Args:
            x: FloatTensor[batch, dim].
            ordinals: of the targets, LongTensor[count]; by default of all owned ones.
            log_weights: log w of each, FloatTensor[count]; by default 0.
        """
        summed = torch.arange(len(self)) if ordinals is None else ordinals
        return log_sum(self.vectors, x, summed.to(x.device), log_weights)

    @full_precision
    def decode(self, z: Tensor) -> Tensor:
        """The ordinal that owns the nearest vector of the whole system, −1 where nobody does.

        FloatTensor[batch, dim] -> LongTensor[batch]; −1 for rows that are not finite, too.
        """
        owner: Tensor = self.allocation.decode(z)[1]
        return owner.masked_fill(~finite_rows(z), -1)

    @full_precision
    def nearest(self, z: Tensor) -> Nearest:
        """The nearest owned target of each embedding, exactly (see `targets.nearest`).

        Args:
            z: FloatTensor[batch, dim]. Rows that are not finite have ordinal −1 and a score that
                is not a number.

        Raises:
            LSCError: no class owns a target yet.
        """
        self._require_classes()
        self.system.require_batch(z)
        finite = finite_rows(z)
        if finite.all():
            return self.search.nearest(z)
        ordinal, score = self.search.nearest(z.masked_fill(~finite.unsqueeze(-1), 0))
        return Nearest(ordinal.masked_fill(~finite, -1), score.masked_fill(~finite, torch.nan))

    @full_precision
    def several_nearest(self, z: Tensor, count: int) -> Nearest:
        """The nearest owned target, exactly, and in bounded time up to `count` − 1 of the next.

        Up to 4,096 classes it compares with all of them. Beyond, it looks for owned ones among the
        nearest 128 vectors of the system, and may find only one.

        Args:
            z: FloatTensor[batch, dim].
            count: 1 or more.

        Returns:
            Ordinals and cosines, [batch, at most count], nearest first; −1 and −inf where no
            further one was found, −1 and not a number for rows that are not finite.

        Raises:
            LSCError: no class owns a target yet.
        """
        self._require_classes()
        self.system.require_batch(z)
        finite = finite_rows(z).unsqueeze(-1)
        if not finite.all():
            ordinal, cosine = self.several_nearest(z.masked_fill(~finite, 0), count)
            return Nearest(ordinal.masked_fill(~finite, -1), cosine.masked_fill(~finite, torch.nan))
        if len(self) <= _FEW:
            u = F.normalize(as_float(z), dim=-1)
            cosine, ordinal = (u @ self.matrix(u).T).topk(min(count, len(self)), dim=-1)
            return Nearest(ordinal, cosine)
        if not self.system.rank_limit():
            return Nearest(*(part.unsqueeze(-1) for part in self.nearest(z)))
        ordinal, cosine = self.search.several(z, count, _LISTED)
        missed = (ordinal[:, 0] < 0).nonzero().squeeze(-1)
        if len(missed):
            ordinal[missed, 0], cosine[missed, 0] = self.nearest(z[missed])
        return Nearest(ordinal, cosine)

    def _require_classes(self) -> None:
        if not len(self):
            raise LSCError("no class owns a target yet: train on an experience or add classes")

    def to_dict(self) -> dict[str, Any]:
        """The whole map in JSON types; of more than 65,536 classes, partly in tensors.

        Raises:
            LSCError: a label is not a string, number, boolean or None.
        """
        made = {"name": self.allocation.name, "seed": self.allocation.seed}
        return {
            "system": {"name": self.system.name, "dim": self.system.dim},
            "allocation": made | self.allocation.state(),
            "labels": self.labels.state(),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any], most: int | None = None) -> Targets:
        """The inverse of `to_dict`.

        Args:
            most: how many classes there can be, if that is known.

        Raises:
            LSCError: it is damaged.
        """
        system, allocation = state["system"], state["allocation"]
        targets = cls(make_system(**system), allocation["name"], allocation["seed"])
        targets.allocation.load_state(allocation)
        count = len(targets.allocation)
        if most is not None and count > most:
            raise LSCError(f"a saved target map has {count:,} classes, of {most:,}: it is damaged")
        targets.labels = Labels.restored(state["labels"], count)
        if len(targets.allocation) != len(targets.labels):
            raise LSCError(
                f"a saved target map has {len(targets.labels)} different labels but "
                f"{len(targets.allocation)} addresses: it is damaged; use another copy"
            )
        return targets

    def __repr__(self) -> str:
        return f"Targets({self.system!r}, {self.allocation.name!r}, {len(self)} classes)"
