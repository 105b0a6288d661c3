"""What all novelty scores have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from functools import cached_property
from typing import ClassVar

from torch import Tensor

from lsc_continual.errors import LSCError, NotTractableError
from lsc_continual.machine.precision import full_precision
from lsc_continual.network.heads import TargetHead
from lsc_continual.novelty.names import SCORES
from lsc_continual.systems.base import Decoded, as_float, finite_rows
from lsc_continual.targets.nearest import Nearest


class Placed:
    """Embeddings among the targets of a head. What several scores look at is computed once.

    Args:
        head: whose targets, scale and system count.
        z: FloatTensor[batch, dim].
        scale: inverse temperature that counts in place of the head's own, which may grow with the
            classes.
    """

    def __init__(self, head: TargetHead, z: Tensor, scale: float | None = None) -> None:
        head.system.require_batch(z)
        self.head = head
        self.scale = scale
        self.z = as_float(z)
        self.finite = finite_rows(self.z)
        """BoolTensor[batch]; rows that are not finite are replaced by zeros."""
        if not self.finite.all():
            self.z = self.z.masked_fill(~self.finite.unsqueeze(-1), 0)

    @cached_property
    def decoded(self) -> Decoded:
        """The nearest vector of the whole system."""
        return self.head.system.decode(self.z)

    @cached_property
    def nearest(self) -> Nearest:
        """The nearest owned target."""
        return self.head.targets.nearest(self.z)

    @cached_property
    def target(self) -> Tensor:
        """Its vector: [batch, dim]."""
        return self.head.targets.vectors(self.nearest.ordinal).to(self.z)

    @cached_property
    def logits_per_coordinate(self) -> Tensor:
        """x, the embeddings as they enter every inner product: [batch, dim]."""
        return self.head.logits_per_coordinate(self.z, self.scale)

    @cached_property
    def log_total(self) -> Tensor:
        """log Z over the whole system: [batch]."""
        return self.head.log_total(self.z, self.scale)

    @cached_property
    def log_owned(self) -> Tensor:
        """log O over the owned targets: [batch]. The one quantity whose cost grows with them."""
        return self.head.log_owned(self.z, self.scale)

    @cached_property
    def log_probs(self) -> Tensor:
        """log p(c) for every column of the head: [batch, columns]."""
        return self.head.log_probs(self.z, self.scale)


class NoveltyScore(ABC):
    """A number for each embedding. Higher = more novel, always.

    Args:
        head: whose targets, scale and system the score looks at.

    Raises:
        LSCError: the score cannot be computed for this head.
    """

    needs_fit: ClassVar[bool] = False
    """Whether `fit` has to be called first."""

    def __init__(self, head: TargetHead) -> None:
        self.head = head

    def fit(self, reference: Placed) -> None:  # noqa: B027 (most have no need)
        """Learn what known inputs look like.

        The inputs that set a threshold are not among them: a score that had looked at them would
        be lower for them than for any other known input, and alarms more frequent than promised.

        Args:
            reference: embeddings to compare with; of inputs that were trained on, as a rule.
        """

    @full_precision
    def __call__(self, z: Tensor) -> Tensor:
        """FloatTensor[batch, dim] -> FloatTensor[batch]."""
        return self.of(Placed(self.head, z))

    @abstractmethod
    def of(self, placed: Placed) -> Tensor:
        """The same, sharing with other scores what several of them look at."""

    def fit_among(self, reference: Placed) -> Tensor | None:
        """`fit`, and what each of the embeddings would score if it were not among them.

        None where the score cannot tell; then other inputs have to set a threshold.
        """
        self.fit(reference)
        return None if self.needs_fit else self.of(reference)


def make_score(name: str, head: TargetHead) -> NoveltyScore:
    """The score `name` of `lsc-cl ls scores`, or "module:attribute", a class of your own.

    Raises:
        LSCError: an unknown name, or a score that the head's vector system does not have.
    """
    if not isinstance(name, str):
        raise LSCError(f"a novelty score is called by text, such as 'auto', and not by {name!r}")
    return SCORES.make(name, head, of=NoveltyScore)


def uncalibrated_score(head: TargetHead) -> str:
    """The score that is told where none was fitted to known inputs.

    "mass", one minus the probability of the owned targets; where the system has no partition sum,
    or the classes are too many to add up, "maxcos".
    """
    return "mass" if head.system.has_log_partition and head.is_dense else "maxcos"


def available_scores(head: TargetHead) -> dict[str, NoveltyScore]:
    """All scores that the head's vector system has, by name."""
    scores = {}
    for name in SCORES:
        with suppress(NotTractableError):
            scores[name] = make_score(name, head)
    return scores
