"""Novelty scores of others, for networks with a linear head, from the library pytorch-ood."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from pytorch_ood.detector import (
    KNN,
    ODIN,
    RMD,
    EnergyBased,
    Entropy,
    Mahalanobis,
    MaxLogit,
    MaxSoftmax,
    ViM,
)
from torch import Tensor, nn

from lsc_continual.encoders.ready.base import architecture_of
from lsc_continual.experiences.classes import classes_in_training
from lsc_continual.strategies.forward import passes
from lsc_continual.strategies.stages import Stage, Staged

_OF_LOGITS = {
    "msp": MaxSoftmax.score,
    "max-logit": MaxLogit.score,
    "energy": EnergyBased.score,
    "entropy": Entropy.score,
}
_NEIGHBOURS = 10  # the library's 50 are more than some classes have images


class OODScores(Staged, SupervisedPlugin, supports_distributed=False):  # type: ignore[call-arg]
    """msp, max-logit, energy, entropy, odin, knn, mahalanobis, relative-mahalanobis and vim.

    Give it to a strategy as a plugin, after its replay plugin, and to `OpenWorldEvaluation` as
    `scores`. Only the logits of classes seen so far count. Scores that have to be fitted are fitted
    anew after each experience: on the training data of the first, then on the replay buffer.

    Args:
        features: the part of the model whose output, flattened, enters `classifier`.
        classifier: the last layer; without (a classifier by class means, for example), there are
            no odin and vim.
        reference: a replay buffer (with an attribute `buffer`); without, the training data of
            the latest experience.
    """

    stage = Stage.SCORE

    def __init__(
        self, features: nn.Module, classifier: nn.Linear | None, reference: Any = None
    ) -> None:
        super().__init__()
        self.features = features
        self.classifier = classifier
        self.reference = reference
        self._features = torch.empty(0)
        features.register_forward_hook(self._keep)
        self._model: nn.Module = features
        self._names: dict[nn.Module, str] = {}
        self._seen = torch.empty(0, dtype=torch.long)
        self._fitted: dict[str, Any] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> OODScores:
        # Strategies copy their model, and with it the hook; one of them is enough.
        return self

    def _keep(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        self._features = output.detach().flatten(1)

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        arriving = torch.tensor(classes_in_training(strategy))
        first = not len(self._seen)
        self._seen = torch.cat([self._seen, arriving]).unique()
        self._model = strategy.model
        if first:
            self._names = {module: name for name, module in self._model.named_modules()}
        dataset = strategy.experience.dataset
        if self.reference is not None and not first:
            dataset = self.reference.buffer
        features, labels = self._of(dataset, strategy)
        self._fitted = {
            "knn": KNN(None, k=min(_NEIGHBOURS, len(features))),
            "mahalanobis": _AllAtOnce(None),
            "relative-mahalanobis": _RelativeAllAtOnce(None),
        }
        if self.classifier is not None:
            weight, bias = self._last_layer(self._now(self.classifier))
            self._fitted["vim"] = ViM(None, features.shape[1] // 2, weight, bias)
        for detector in self._fitted.values():
            detector.fit_features(features, labels)

    def _now(self, part: nn.Module) -> nn.Module:
        """A part of the model as it is now, which may be a copy of the one it was at first."""
        return self._model.get_submodule(self._names[part])

    def _last_layer(self, layer: Any) -> tuple[Tensor, Tensor]:
        """Weight and bias of the classes seen."""
        seen = self._seen.to(layer.weight.device)
        weight = layer.weight.detach()[seen]
        bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach()[seen]
        return weight, bias

    def _of(self, dataset: Any, strategy: Any) -> tuple[Tensor, Tensor]:
        """Features of a data set, and its labels counted from 0."""
        network = self._now(self.features)
        passed = list(passes(strategy, dataset, lambda images: network(images).flatten(1)))
        labels = torch.cat([batch.labels for batch in passed])
        features = torch.cat([batch.output for batch in passed])
        return features, labels.unique(return_inverse=True)[1]

    def __call__(self, images: Tensor, output: Tensor) -> dict[str, Tensor]:
        """Inputs and the model's output of the latest forward pass -> scores, each [batch]."""
        if not self._fitted:
            return {}
        features, logits = self._features, output[:, self._seen.to(output.device)]
        scores = {name: score(logits) for name, score in _OF_LOGITS.items()}
        scores |= {name: part.predict_features(features) for name, part in self._fitted.items()}
        if self.classifier is not None and not self._takes_texts():
            with torch.enable_grad():
                scores["odin"] = ODIN(self._seen_logits).predict(images)
        return scores

    def _takes_texts(self) -> bool:
        """Whether inputs are texts, by which nothing can be differentiated."""
        return architecture_of(self._model).get("tokenizer") is not None

    def _seen_logits(self, images: Tensor) -> Tensor:
        output: Tensor = self._model(images)
        return output[:, self._seen.to(output.device)]


class _AllAtOnce(Mahalanobis):
    """The library's, with the distances to all classes in one product.

    Its own loop multiplies by the inverse covariance once for each class: with a thousand classes
    and as many features, that takes longer than training.
    """

    def fit_features(self, z: Tensor, y: Tensor) -> Any:
        super().fit_features(z, y)
        self._distances = _Distances(self.precision, self.mu)
        return self

    def _calc_gaussian_scores(self, z: Tensor) -> Tensor:
        return -0.5 * self._distances(z)


class _RelativeAllAtOnce(RMD):
    """The library's, likewise."""

    def fit_features(self, z: Tensor, y: Tensor) -> Any:
        super().fit_features(z, y)
        self._distances = _Distances(self.precision, self.mu)
        return self

    def _calc_gaussian_scores(self, z: Tensor) -> Tensor:
        return self._distances(z)


class _Distances:
    """(z − μ_c)ᵀ P (z − μ_c) for the means of all classes: [batch, features] -> [batch, classes].

    In float64, as P is huge along directions in which few samples do not vary.
    """

    def __init__(self, precision: Tensor, means: Tensor) -> None:
        self._precision = (precision.double() + precision.double().T) / 2
        self._along = 2 * self._precision @ means.double().T
        self._own = (means.double().T * self._along).sum(0) / 2

    def __call__(self, z: Tensor) -> Tensor:
        x = z.double()
        squared = ((x @ self._precision) * x).sum(1, keepdim=True)
        return (squared - x @ self._along + self._own).to(z)
