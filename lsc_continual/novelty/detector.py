"""A novelty detector with a false-alarm rate."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

import torch
from torch import Tensor

from lsc_continual.errors import LSCError
from lsc_continual.machine.precision import full_precision
from lsc_continual.network.heads import TargetHead
from lsc_continual.novelty.base import Placed, make_score
from lsc_continual.novelty.mondrian import groups_of
from lsc_continual.novelty.rate import checked_rate
from lsc_continual.systems.base import as_float

_NOT_CALIBRATED = "the detector has no threshold yet: call calibrate() first"


class NoveltyDetector:
    """Flags embeddings as unknown, at a chosen rate of false alarms on known inputs.

    The threshold is split-conformal: with m calibration scores of known inputs that the network
    was not trained on, an input's p-value is (1 + #{calibration scores ≥ its score}) / (m + 1), and
    inputs with p ≤ `fpr` are unknown. For known inputs exchangeable with the calibration data, the
    chance of an alarm is `fpr`, up to 1/(m + 1) (Vovk et al., 2005); with scores that often tie,
    such as "unowned" and "walk", it is less. No score looks at the calibration data before that.

    The threshold stays what it was calibrated as when classes arrive: the head's default scale,
    which grows with them, counts as it was then. Calibrate anew whenever the network has learned,
    as old thresholds do not fit it any more.
    Until `calibrate` was called, whatever needs a threshold raises an LSCError. Embeddings that are
    not finite are unknown, with the least p-value there is.

    Args:
        head: whose targets, scale and system the score uses.
        score: a name in `lsc-cl ls scores`.
        fpr: false-alarm rate, between 0 and 1.
        per_class: keep the rate within the inputs of every predicted class (Mondrian conformal
            prediction), not only over all. Classes with too few calibration inputs share a
            threshold; where even together they have too few, with the next rarest class.

    Raises:
        LSCError: an unknown score, one that the system does not have, or a rate out of range.
    """

    def __init__(
        self, head: TargetHead, score: str = "auto", fpr: float = 0.05, per_class: bool = False
    ) -> None:
        self.head = head
        self.score_name = score
        self.fpr = checked_rate(fpr)
        self.per_class = per_class
        self._score = make_score(score, head)
        self.known: Tensor | None = None
        """The embeddings it is calibrated on."""
        self.reference: Tensor | None = None
        """The embeddings that it compares with; None where the score needs none."""
        self.scale: float | None = None
        """The head's inverse temperature that it is calibrated at."""
        self.among_themselves = False
        """Whether these are what it compares with, too."""
        self._calibration = _Tail([torch.empty(0)])
        self._groups = torch.empty(0, dtype=torch.long)
        """Of calibration scores, for each ordinal; the last is for all that come later."""

    @property
    def needed(self) -> int:
        """The least number of known inputs from which the false-alarm rate can be told."""
        return max(ceil(1 / self.fpr) - 1, 2)  # the least p-value is 1/(m + 1)

    def require_enough(self, count: int, share: int = 1) -> None:
        """Make sure that known inputs are enough to tell the false-alarm rate from.

        Args:
            count: of those that set the threshold, one in `share`.

        Raises:
            LSCError: they are fewer.
        """
        if count < self.needed:
            raise LSCError(
                f"a false-alarm rate of {self.fpr} needs {self.needed * share} or more known "
                f"inputs to calibrate on, got {count * share}: bring more, or raise the rate"
            )

    @full_precision
    @torch.no_grad()
    def calibrate(
        self,
        z_known: Tensor,
        reference: Tensor | None = None,
        scale: float | None = None,
        *,
        among_themselves: bool = False,
    ) -> NoveltyDetector:
        """Fit the score and set the threshold.

        Args:
            z_known: FloatTensor[count, dim], embeddings of known inputs that were not trained on,
                by the network as it is now.
            reference: FloatTensor[1 or more, dim], embeddings that fitted scores compare with,
                such as those of the replay buffer. By default every other row of `z_known`, which
                then does not count towards the threshold.
            scale: inverse temperature of the scores from now on; by default the head's as it is.
            among_themselves: whether `z_known` is the reference as well, each scored as if it were
                not in it (the jackknife). Nothing is set aside then; the chance of an alarm is
                `fpr` where leaving one out changes little (Barber et al., 2021), and not by
                construction.

        Raises:
            LSCError: fewer inputs than the false-alarm rate can be told from, or numbers that are
                not finite.
        """
        self.known = self.reference = self.scale = None
        halve = reference is None and self._score.needs_fit and not among_themselves
        self.require_enough(len(z_known) // (1 + halve), 1 + halve)
        self.head.system.require_batch(z_known)
        if reference is not None:
            self.head.system.require_batch(reference)
            reference = reference.to(as_float(z_known).dtype)
        if halve:
            z_known, reference = z_known[1::2].contiguous(), z_known[::2].contiguous()
        for z in (z_known, z_known if reference is None else reference):
            if not len(z) or not torch.isfinite(z).all():
                raise LSCError(
                    "the embeddings to calibrate on are none or hold numbers that are not finite: "
                    "leave those out"
                )
        scale = self.head.scale if scale is None else scale
        known = Placed(self.head, z_known.detach(), scale)
        if among_themselves:
            scores = self._score.fit_among(known)
        else:
            if reference is not None:
                self._score.fit(Placed(self.head, reference.detach(), scale))
            scores = self._score.of(known)
        if scores is None:
            raise LSCError(
                f"the score {self.score_name!r} cannot tell what it would say of an input that it "
                "compares with: pass a reference"
            )
        grouped = [scores]
        if self.per_class:
            nearest = known.nearest.ordinal
            # One more, without calibration inputs, stands for classes that are yet to arrive.
            counts = nearest.bincount(minlength=len(self.head.targets) + 1)
            self._groups, members = groups_of(counts, self.needed)
            grouped = [scores[classes[nearest]] for classes in members]
        self._calibration = _Tail(grouped)
        # p = (1 + #{calibration scores ≥ score})/(m + 1) ≤ fpr beyond this place from above.
        p_values = torch.arange(1, len(scores) + 2, dtype=torch.float64) / (len(scores) + 1)
        place = int((p_values <= self.fpr).sum())
        self._threshold = float(scores.topk(place).values[-1])
        self.known, self.scale = known.z, scale
        self.among_themselves = among_themselves
        self.reference = None if reference is None else reference.detach()
        return self

    def to(self, device: str | torch.device) -> NoveltyDetector:
        """Itself, calibrated anew for embeddings on another device."""
        if self.known is None or self.known.device == torch.device(device):
            return self
        reference = None if self.reference is None else self.reference.to(device)
        known, among = self.known.to(device), self.among_themselves
        return self.calibrate(known, reference, self.scale, among_themselves=among)

    @property
    def threshold(self) -> float:
        """The largest score that passes for known, over all classes together."""
        if self.known is None:
            raise LSCError(_NOT_CALIBRATED)
        return self._threshold

    @full_precision
    @torch.no_grad()
    def score(self, z: Tensor) -> Tensor:
        """Novelty of embeddings, higher = more novel: FloatTensor[batch, dim] -> [batch].

        Raises:
            LSCError: the score has to be fitted, and `calibrate` was not called.
        """
        if self._score.needs_fit and self.known is None:
            raise LSCError(_NOT_CALIBRATED)
        placed = self.placed(z)
        return self._score.of(placed).masked_fill(~placed.finite, torch.inf)

    def p_value(self, z: Tensor) -> Tensor:
        """Chance that a known input is at least as novel: FloatTensor[batch, dim] -> [batch]."""
        return self.judge(z).p_value

    def predict(self, z: Tensor) -> Tensor:
        """Class label, or −1 for unknown: FloatTensor[batch, dim] -> LongTensor[batch]."""
        verdict = self.judge(z)
        labels = self.head.targets.labels_of(verdict.ordinal)
        return torch.where(verdict.known, labels, -1)

    def judge(self, z: Tensor) -> Verdict:
        """Everything at once: FloatTensor[batch, dim] -> tensors [batch]."""
        return self.judge_placed(self.placed(z))

    def placed(self, z: Tensor) -> Placed:
        """Embeddings as this detector looks at them, for `judge_placed`."""
        self.head.system.require_batch(z)
        return Placed(self.head, z if self.known is None else z.to(self.known.dtype), self.scale)

    @full_precision
    @torch.no_grad()
    def judge_placed(self, placed: Placed) -> Verdict:
        """As `judge`, sharing with the caller what both look at."""
        if self.known is None:
            raise LSCError(_NOT_CALIBRATED)
        novelty = self._score.of(placed).masked_fill(~placed.finite, torch.inf)
        ordinal = placed.nearest.ordinal.masked_fill(~placed.finite, -1)
        groups = torch.zeros_like(ordinal)
        if self.per_class:
            groups = self._groups[ordinal.clamp(0, len(self._groups) - 1)]
        p_value = self._calibration.p_value(novelty, groups)
        return Verdict(ordinal, novelty, p_value, p_value > self.fpr)


class Verdict(NamedTuple):
    """What a detector says of a batch."""

    ordinal: Tensor
    """LongTensor[batch]: the class of the nearest owned target, in order of arrival; −1 for what is
    not finite."""
    novelty: Tensor
    p_value: Tensor
    known: Tensor
    """BoolTensor[batch]: p-value above the false-alarm rate."""


class _Tail:
    """Calibration scores in groups, and how many of a group are at least as high as another.

    Args:
        grouped: the scores of each group, FloatTensor[count].
    """

    def __init__(self, grouped: Sequence[Tensor]) -> None:
        scores = torch.cat(list(grouped))
        self._sizes = torch.tensor([len(group) for group in grouped], device=scores.device)
        groups = torch.arange(len(grouped), device=scores.device).repeat_interleave(self._sizes)
        self._ordered = scores.sort().values
        # One sorted list serves all groups: it is sorted by group, then by rank among all scores.
        self._keys = (groups * (len(scores) + 1) + self._rank(scores)).sort().values

    def _rank(self, scores: Tensor) -> Tensor:
        return torch.searchsorted(self._ordered, scores.contiguous())

    def p_value(self, scores: Tensor, groups: Tensor) -> Tensor:
        """(1 + #{scores of the group ≥ score}) / (1 + its size): [batch] twice -> [batch]."""
        keys = groups * (len(self._ordered) + 1) + self._rank(scores)
        ends = self._sizes.cumsum(0)[groups]
        above = ends - torch.searchsorted(self._keys, keys)
        # In float64, so that it compares exactly with rates such as 0.3.
        return (1 + above).double() / (1 + self._sizes[groups])
