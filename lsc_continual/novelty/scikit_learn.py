"""The detector with scikit-learn's conventions for outliers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_array, check_is_fitted

from lsc_continual.network.heads import TargetHead
from lsc_continual.novelty.detector import NoveltyDetector


class OutlierDetector(OutlierMixin, BaseEstimator):
    """A `NoveltyDetector` as an outlier detector of scikit-learn, on embeddings.

    Here high scores mean normal, and `predict` says +1 for known and −1 for unknown.

    Args:
        head: whose targets the embeddings were trained on.
        score: a name in `lsc-cl ls scores`.
        contamination: false-alarm rate, the detector's `fpr`.
    """

    def __init__(self, head: TargetHead, score: str = "auto", contamination: float = 0.05) -> None:
        self.head = head
        self.score = score
        self.contamination = contamination

    def fit(self, X: ArrayLike, y: Any = None) -> OutlierDetector:  # noqa: N803
        """Calibrate on embeddings of known inputs that were not trained on, [count, dim]."""
        z = self._tensor(X)
        self.n_features_in_ = z.shape[1]
        self.detector_ = NoveltyDetector(self.head, self.score, self.contamination).calibrate(z)
        self.offset_ = -self.detector_.threshold
        return self

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """Normality, −novelty: [count, dim] -> [count]."""
        check_is_fitted(self)
        return -self.detector_.score(self._tensor(X)).double().numpy()

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """Normality less that of the threshold; negative for unknown: [count, dim] -> [count]."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:  # noqa: N803
        """+1 for known, −1 for unknown: [count, dim] -> [count]."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _tensor(self, X: ArrayLike) -> torch.Tensor:  # noqa: N803
        return torch.from_numpy(check_array(X, dtype=np.float32))
