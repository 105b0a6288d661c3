"""A novelty detector with a false-alarm rate."""

from __future__ import annotations

from math import ceil

import torch
from torch import Tensor

from lsc_continual.errors import LSCError
from lsc_continual.heads import TargetHead
from lsc_continual.novelty.scores import score_named


class NoveltyDetector:
    """Flags embeddings as unknown, at a chosen rate of false alarms on known inputs.

    The threshold is split-conformal: with m calibration scores of known inputs that the network
    was not trained on, an input's p-value is (1 + #{calibration scores ≥ its score}) / (m + 1),
    and inputs with p ≤ `fpr` are unknown. For known inputs exchangeable with the calibration
    data, the chance of an alarm is then at most `fpr`.

    Args:
        head: whose targets, scale and system the score uses.
        score: one of `lsc_continual.novelty.SCORES`.
        fpr: false-alarm rate, between 0 and 1.
    """

    def __init__(self, head: TargetHead, score: str = "mass", fpr: float = 0.05) -> None:
        if not 0 < fpr < 1:
            raise LSCError(f"a false-alarm rate lies between 0 and 1, not at {fpr}")
        self.head = head
        self.fpr = fpr
        self._score = score_named(score)
        self._calibration: Tensor | None = None

    @torch.no_grad()
    def score(self, z: Tensor) -> Tensor:
        """Novelty of embeddings, higher = more novel: FloatTensor[batch, dim] -> [batch]."""
        return self._score(self.head, z)

    def calibrate(self, z_known: Tensor) -> NoveltyDetector:
        """Set the threshold by embeddings of known inputs that were not trained on.

        Raises:
            LSCError: fewer inputs than the false-alarm rate can be told from.
        """
        needed = ceil(1 / self.fpr) - 1  # the least p-value is 1/(m + 1)
        if len(z_known) < needed:
            raise LSCError(
                f"a false-alarm rate of {self.fpr} needs {needed} or more known inputs to "
                f"calibrate on, got {len(z_known)}"
            )
        self._calibration = self.score(z_known).sort().values
        return self

    def p_value(self, z: Tensor) -> Tensor:
        """Chance that a known input is at least as novel: FloatTensor[batch, dim] -> [batch].

        Raises:
            LSCError: `calibrate` was not called.
        """
        if self._calibration is None:
            raise LSCError("the detector has no threshold yet: call calibrate() first")
        count = len(self._calibration)
        below = torch.searchsorted(self._calibration, self.score(z).contiguous())
        return (1 + count - below) / (count + 1)

    def predict(self, z: Tensor) -> Tensor:
        """Class label, or −1 for unknown: FloatTensor[batch, dim] -> LongTensor[batch]."""
        unknown = self.p_value(z) <= self.fpr
        return torch.where(unknown, -1, self.head.predict(z))
