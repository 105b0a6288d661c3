"""The detector with the interface of the library pytorch-ood."""

from __future__ import annotations

import torch
from pytorch_ood.api import FeaturesDetector, RequiresFittingException
from pytorch_ood.utils import extract_features, is_known
from torch import Tensor
from torch.utils.data import DataLoader

from lsc_continual.network.target_classifier import TargetClassifier
from lsc_continual.novelty.detector import NoveltyDetector


class OODDetector(FeaturesDetector):
    """A `NoveltyDetector` for pytorch-ood: high scores mean outlier; features are embeddings.

    Args:
        model: the classifier.
        score: a name in `lsc-cl ls scores`.
        fpr: false-alarm rate of `p_value` and `detector.predict`.
    """

    requires_fit = True

    def __init__(self, model: TargetClassifier, score: str = "auto", fpr: float = 0.05) -> None:
        super().__init__()
        self.model = model
        self.detector = NoveltyDetector(model.head, score, fpr)

    def fit(self, data_loader: DataLoader[tuple[Tensor, Tensor]]) -> OODDetector:
        """Calibrate on known inputs that were not trained on; labels below 0 are left out."""
        self.model.eval()
        device = next(self.model.parameters()).device
        z, y = extract_features(data_loader, self.model.embed, device)
        return self.fit_features(z.to(device), y.to(device))

    def fit_features(self, x: Tensor, y: Tensor) -> OODDetector:
        """The same, from embeddings [count, dim] and labels [count]."""
        self.detector.calibrate(x[is_known(y)])
        return self

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """Inputs -> outlier scores, [batch]."""
        return self.predict_features(self.model.eval().embed(x))

    def predict_features(self, x: Tensor) -> Tensor:
        """Embeddings [batch, dim] -> outlier scores, [batch]."""
        if self.detector.known is None:
            raise RequiresFittingException
        return self.detector.score(x)
