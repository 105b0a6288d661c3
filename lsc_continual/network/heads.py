"""The head: from embeddings to class log-probabilities, without a parameter."""

from __future__ import annotations

from math import log, log1p
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lsc_continual.errors import LSCError
from lsc_continual.machine.precision import full_precision
from lsc_continual.network.priors import checked_frequencies, checked_unknown_prior, default_scale
from lsc_continual.systems import VectorSystem
from lsc_continual.systems.base import as_float
from lsc_continual.targets import AnyLabels, Labels, Targets

DENSE_CLASSES = 10_000
"""Up to this many classes the head's output has a column for each."""


class Origin(NamedTuple):
    """Where an output comes from; every output of a `TargetHead` carries it as `origin`."""

    head: TargetHead
    embedding: Tensor
    """FloatTensor[batch, dim], with its graph."""


def origin_of(output: Tensor) -> Origin:
    """The head and the embedding that an output was computed from.

    Raises:
        LSCError: `output` is not what a `TargetHead` returned (a slice of it, for example).
    """
    origin = getattr(output, "origin", None)
    if not isinstance(origin, Origin):
        raise LSCError(
            "this loss or score needs the untouched output of a TargetHead, which carries the "
            "embedding it was computed from: pass the model's output as it is"
        )
    return origin


class TargetHead(nn.Module):
    """Class log-probabilities from embeddings, by fixed targets instead of learned weights.

    With logits per coordinate x = s·z/‖z‖ (x = s·z with `normalize=False`), ℓ_c = ⟨x, t_c⟩ for the
    target t_c of class c, O = Σ_c e^{ℓ_c} over owned targets, and Z the sum of e^{⟨x, v⟩} over all
    vectors v of the system, the head returns

        log p(c) = ℓ_c − log(O + ω (Z − O)).

    The unowned vectors together are the class "unknown", of probability ω(Z − O)/(O + ω(Z − O)).
    ω = 1 is the softmax over the whole system, ω = 0 the softmax over the classes seen so far.

    These are probabilities where all classes are equally frequent. Where training shows some of
    them more often, `set_training_prior` says so, and in training mode the head answers for that
    prior; see there.

    It has neither parameters nor buffers, so the network's size does not depend on the number of
    classes. Classes that arrive get targets in training mode only (`arrive`; with an Avalanche
    strategy they do so by themselves, see `DynamicTargetHead`); in evaluation mode labels without a
    target are given the least log-probability that the geometry allows, as if their targets lay
    opposite the embedding.

    Output: FloatTensor[batch, columns], column c for class label c. Beyond `dense_classes`
    classes, predicted labels instead, LongTensor[batch]: by the nearest owned target in evaluation
    mode, by decoding alone (−1 where nobody owns the address) in training mode. Either carries
    its `Origin`, from which losses and novelty scores take the embedding.

    Args:
        system: where targets come from.
        allocation: the rule for fresh targets.
        seed: of the allocation.
        scale: s, the inverse temperature; by default `default_scale` of the classes so far.
        unknown_prior: ω, between 0 and 1; by default such that the unowned vectors together weigh
            about as much as `UNKNOWN_WEIGHT` classes.
        normalize: compare directions only.
        capacity: number of columns; by default as many as the labels met so far need. A fixed
            number is for plugins that store outputs and compare them later, such as DER.
        dense_classes: largest number of classes with a column each.
    """

    def __init__(
        self,
        system: VectorSystem,
        *,
        allocation: str = "affine",
        seed: int = 0,
        scale: float | None = None,
        unknown_prior: float | None = None,
        normalize: bool = True,
        capacity: int | None = None,
        dense_classes: int = DENSE_CLASSES,
    ) -> None:
        super().__init__()
        if scale is not None and not scale > 0:
            raise LSCError(f"the scale of a head is positive, not {scale}")
        self.targets = Targets(system, allocation, seed)
        self._scale = scale
        self.unknown_prior = checked_unknown_prior(unknown_prior, system)
        self.normalize = normalize
        if capacity is not None and capacity < 1:
            raise LSCError(f"the capacity of a head is 1 or more columns, not {capacity}")
        self.capacity = capacity
        self.dense_classes = dense_classes
        self._columns = 0
        self.frequencies: Tensor | None = None
        """How frequent training shows each class, in order of arrival; None: all equally."""

    @property
    def system(self) -> VectorSystem:
        return self.targets.system

    @property
    def scale(self) -> float:
        """s, the inverse temperature."""
        if self._scale is not None:
            return self._scale
        return default_scale(len(self.targets) if self.normalize else 1)

    def arrive(self, classes: AnyLabels) -> None:
        """Give targets to arriving classes in training mode; in evaluation mode, columns only."""
        labels = Labels.of(classes)
        if self.training:
            self.add_classes(labels)
        self._widen(labels)

    def add_classes(self, classes: AnyLabels, embeddings: Tensor | None = None) -> None:
        """Give a fresh target to each of the class labels that has none (see `Targets.add`).

        Raises:
            CapacityError: the system holds too few vectors.
            LSCError: a label that is negative or beyond a fixed `capacity`.
        """
        labels = Labels.of(classes)
        self._widen(labels)
        self.targets.add(labels, embeddings)
        if self.frequencies is not None:
            new = len(self.targets) - len(self.frequencies)
            self.frequencies = nn.functional.pad(self.frequencies, (0, new), value=1.0)

    def restore(self, targets: Targets) -> None:
        """Take over a saved target map of the same vector system."""
        if targets.system != self.system:
            raise LSCError(f"targets of {targets.system} do not fit a head of {self.system}")
        self._widen(targets.labels)
        targets.class_names, self.targets = self.targets.class_names, targets
        self.set_training_prior()

    def set_training_prior(self, labels: AnyLabels = (), frequencies: Tensor | float = 1.0) -> None:
        """Say how often training shows each class.

        In training mode the head then returns, with the frequency ρ_c of each class,

            log p(c) = ℓ_c + log ρ_c − log(Σ_c ρ_c e^{ℓ_c} + ω (Z − O)),

        the log-probability under that prior, so that the loss explains a class's frequency by the
        prior and not by the embedding; in evaluation mode all classes are equal again. This is
        logit adjustment (Menon et al., ICLR 2021, arXiv 2007.07314, eq. 10), also known as balanced
        softmax (Ren et al., NeurIPS 2020, arXiv 2007.10740), for arriving classes beside replayed
        ones. Without arguments, all classes are equally frequent.

        Args:
            labels: of classes that own targets.
            frequencies: ρ of each, FloatTensor[labels] or a number, above 0; the others have 1. One
                below ω counts as ω: a class is no rarer than a vector that nobody owns.

        Raises:
            UnknownLabelError: one of the classes owns no target.
            LSCError: a frequency that is not above 0.
        """
        ordinals = self.targets.require_ordinals(Labels.of(labels))
        listed = checked_frequencies(frequencies).clamp_min(self.unknown_prior)
        every = torch.ones(len(self.targets), dtype=torch.float64)
        every[ordinals] = listed
        self.frequencies = None if (every == 1).all() else every

    def _widen(self, classes: AnyLabels) -> None:
        """Make sure that every label has a column."""
        labels = Labels.of(classes)
        if not len(labels) or not labels.are_integers:  # names have no columns
            return
        lowest, highest = labels.extremes
        for label in (lowest, highest):
            if label < 0 or (self.capacity is not None and label >= self.capacity):
                raise LSCError(
                    f"class label {label} has no column: labels run from 0"
                    + (f" to {self.capacity - 1}; raise capacity" if self.capacity else "")
                )
        self._columns = max(self._columns, highest + 1)

    @property
    def is_dense(self) -> bool:
        """Whether the output has a column for each label up to the largest."""
        return max(len(self.targets), self._columns) <= self.dense_classes

    def logits_per_coordinate(self, z: Tensor, scale: float | None = None) -> Tensor:
        """x, the embedding as it enters every inner product: [batch, dim] -> [batch, dim]."""
        z, scale = as_float(z), self.scale if scale is None else scale
        if not self.normalize:
            return scale * z
        norm: Tensor = z.norm(dim=-1, keepdim=True)
        return z * (scale / norm.clamp_min(1e-12))  # as in `F.normalize`

    @full_precision
    def log_total(self, z: Tensor, scale: float | None = None) -> Tensor:
        """log Z over the whole system: [batch, dim] -> [batch]."""
        scale = self.scale if scale is None else scale
        return self.system.log_partition(z, scale, self.normalize)

    @full_precision
    def log_owned(self, z: Tensor, scale: float | None = None) -> Tensor:
        """log O over the owned targets: [batch, dim] -> [batch]."""
        return self.log_sum(self.logits_per_coordinate(z, scale))

    def log_sum(self, x: Tensor, ordinals: Tensor | None = None) -> Tensor:
        """log Σ e^{⟨x, t⟩} over all owned targets, or those of some: [batch, dim] -> [batch]."""
        if not self.is_dense:
            return self.targets.log_sum(x, ordinals)
        vectors = self.targets.matrix(x)
        if ordinals is not None:
            vectors = vectors[ordinals.to(x.device)]
        return (x @ vectors.T).logsumexp(-1)

    def _log_normalizer(self, x: Tensor, logits: Tensor | None = None) -> Tensor:
        """log(Σ ρ_c e^{ℓ_c} + ω (Z − O)), without subtraction: Σ (ρ_c − ω) e^{ℓ_c} + ω Z.

        Args:
            x: logits per coordinate.
            logits: ℓ of all classes, where they are known.
        """
        terms, prior = [], self.unknown_prior
        if prior > 0:
            terms.append(self.system.log_partition(x, normalize=False) + log(prior))
        if self.training and self.frequencies is not None:
            weights = (self.frequencies - prior).log().to(x)  # −∞ where the class counts in Z alone
            if logits is None:
                ordinals = weights.isfinite().nonzero()[:, 0]
                terms.append(self.targets.log_sum(x, ordinals, weights[ordinals]))
            else:
                terms.append((logits + weights).logsumexp(-1))
        elif prior < 1:
            log_owned = self.log_sum(x) if logits is None else logits.logsumexp(-1)
            terms.append(log_owned + log1p(-prior))
        return terms[0] if len(terms) == 1 else torch.stack(terms).logsumexp(0)

    def _log_frequencies(self, ordinals: Tensor, like: Tensor) -> Tensor | float:
        """log ρ_c of classes, LongTensor[...] -> [...]; 0.0 where all are equal."""
        if not self.training or self.frequencies is None:
            return 0.0
        return self.frequencies.log().to(like)[ordinals.to(like.device)]

    @full_precision
    def log_probs(self, z: Tensor, scale: float | None = None) -> Tensor:
        """log p(c) for every column c: FloatTensor[batch, dim] -> FloatTensor[batch, columns]."""
        x = self.logits_per_coordinate(z, scale)
        columns = self.capacity or self._columns
        least = self._opposite(x).unsqueeze(-1).expand(-1, columns)
        if not len(self.targets):  # Avalanche may evaluate before the first experience
            return least.clone()
        logits = x @ self.targets.matrix(x).T  # in order of arrival
        normalizer = self._log_normalizer(x, logits).unsqueeze(-1)
        labels = self.targets.label_tensor(z)
        logits = logits + self._log_frequencies(torch.arange(len(self.targets)), x)
        return least.index_copy(-1, labels, logits) - normalizer

    @full_precision
    def log_prob(self, z: Tensor, labels: Tensor) -> Tensor:
        """log p of one label each: [batch, dim], [batch] -> [batch]; at ω = 1 at constant cost."""
        x = self.logits_per_coordinate(z)
        ordinals = self.targets.ordinals(labels)
        owned, ordinals = ordinals >= 0, ordinals.clamp_min(0)
        targets = self.targets.vectors(ordinals).to(x)
        logit = (x * targets).sum(-1) + self._log_frequencies(ordinals, x)
        logit = logit if owned.all() else torch.where(owned, logit, self._opposite(x))
        return logit - self._log_normalizer(x)

    def _opposite(self, x: Tensor) -> Tensor:
        """Below every ⟨x, v⟩ with a unit vector v, so that no label without target ever wins."""
        norm: Tensor = x.norm(dim=-1)
        return -norm - 1

    def predict(self, z: Tensor) -> Tensor:
        """Label of the nearest owned target, −1 for what is not finite: [batch, dim] -> [batch]."""
        return self.targets.labels_of(self.targets.nearest(z).ordinal)

    @full_precision
    def forward(self, z: Tensor) -> Tensor:
        self.system.require_batch(z)
        z = as_float(z)
        if self.is_dense:
            output = self.log_probs(z)
        elif self.training:
            output = self.targets.labels_of(self.targets.decode(z.detach()))
        else:
            output = self.predict(z)
        output.origin = Origin(self, z)  # type: ignore[attr-defined]
        return output
