"""What a living classifier consists of, and how it is kept in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch

from lsc_continual.classifier.files import model_files, save_folder
from lsc_continual.classifier.folder import SavedModel
from lsc_continual.classifier.life import KnownClass, Life
from lsc_continual.classifier.spec import ModelSpec
from lsc_continual.encoders.cache import remember
from lsc_continual.encoders.random_features import RandomFeatures
from lsc_continual.errors import LSCError
from lsc_continual.inputs.preparation import Preparation
from lsc_continual.kernels.compiler import plain_torch
from lsc_continual.learners.analytic import AnalyticLearner
from lsc_continual.network.target_classifier import TargetClassifier
from lsc_continual.novelty import NoveltyDetector
from lsc_continual.settings.data import MAX_PIXELS
from lsc_continual.targets import Targets

_NOTHING = "the model has learned nothing yet: call learn first"


class Kept:
    """A network, what its learner remembers, and where the unknown begins.

    Args:
        spec: of the network; vectors of no width stand for those that come first.
        score, fpr: as of a `NoveltyDetector`.
        network: as `spec` describes it, in which it lives from now on; by default a new one.
    """

    def __init__(
        self, spec: ModelSpec, score: str, fpr: float, network: TargetClassifier | None = None
    ) -> None:
        self.spec = spec
        self.score = score
        self.fpr = fpr
        self.max_pixels = MAX_PIXELS
        """As the setting `data.max_pixels`."""
        self.life = Life()
        self._detector: NoveltyDetector | None = None  # as of now
        self._model: TargetClassifier | None = None
        self._learner: AnalyticLearner | None = None
        self._stale = False
        if network is not None or 0 not in spec.input_shape:
            self._take(network or spec.build())

    def _take(self, network: TargetClassifier) -> None:
        """Live in a network."""
        self._model = network.eval().requires_grad_(False)
        expansion = self._expansion
        width = expansion.directions.shape[1]
        features, dim = expansion.num_features, network.head.system.dim
        self._learner = AnalyticLearner(expansion.expand, width, features, dim)

    @property
    def model(self) -> TargetClassifier:
        """The network.

        Raises:
            LSCError: it has not seen any vectors yet.
        """
        if self._model is None:
            raise LSCError(_NOTHING)
        return self._model

    @property
    def detector(self) -> NoveltyDetector | None:
        """What says where the unknown begins; None where nothing does yet."""
        self.settle()  # after which the one before counts for nothing
        if self._detector is None and self.uncalibrated is None:
            self._detector = self.calibrated(self.score, self.fpr)
        return self._detector

    @property
    def uncalibrated(self) -> str | None:
        """Why nothing says where the unknown begins; None where something does."""
        if not self.life.known:
            return "the model knows no class"
        try:
            needed = NoveltyDetector(self.model.head, self.score, self.fpr)
            needed.require_enough(self.learner.known_samples)
        except LSCError as error:
            return str(error)
        return None

    @torch.no_grad()
    def calibrated(self, score: str, fpr: float) -> NoveltyDetector:
        """A detector for the model as it is now.

        Raises:
            LSCError: too few examples, or no such score.
        """
        self.settle()
        detector = NoveltyDetector(self.model.head, score, fpr)
        z, _ = self.learner.left_out(self.targets.vectors)
        with plain_torch():  # so few take less time than loading what compiles
            return detector.calibrate(z, among_themselves=True)

    @property
    def learner(self) -> AnalyticLearner:
        """What has been learned, in sums; LSCError as of `model`."""
        if self._learner is None:
            raise LSCError(_NOTHING)
        return self._learner

    @property
    def _expansion(self) -> RandomFeatures:
        expansion = self.model.encoder
        assert isinstance(expansion, RandomFeatures)
        return expansion

    @property
    def _preparation(self) -> Preparation:
        return self.spec.preparation(self.max_pixels)

    def cache_embeddings(self, folder: str | Path) -> None:
        """Keep what the encoder says of inputs in a folder, for this process and later ones.

        Raises:
            LSCError: as in `remember`; or of vectors, which have no encoder.
        """
        if self.spec.kind == "vectors":
            raise LSCError("vectors are not embedded, so that there is nothing to keep: no cache")
        remember(self._expansion, Path(folder))

    @property
    def targets(self) -> Targets:
        """Which name owns which address."""
        return self.model.head.targets

    @property
    def classes(self) -> dict[str, KnownClass]:
        """The classes that it knows, by name, in order of arrival."""
        return dict(self.life.known)

    @torch.no_grad()
    def settle(self) -> None:
        """Have the weights follow what was learned, if they do not yet."""
        if not self._stale:
            return
        self._detector = None
        if self.life.known:
            weight, bias = self.learner.projection(self.targets.vectors)
            self.model.projection.weight.copy_(weight)
            self.model.projection.bias.copy_(bias)
        self._stale = False

    def save(self, folder: str | Path) -> None:
        """Write the model in the place of what is there, whole or not at all.

        Raises:
            LSCError: it cannot be written, or nothing was learned yet.
        """
        self.settle()
        state = {
            "life": self.life.to_json(),
            "memory": self.learner.state(),
            "score": self.score,
            "fpr": self.fpr,
            "uncalibrated": self.uncalibrated,
        }
        files = model_files(self.model, self.spec, state=state)
        save_folder(Path(folder), files)

    @classmethod
    def load(cls, folder: str | Path, *, trust_code: bool = False) -> Self:
        """A model as it was saved.

        Args:
            trust_code: whether code that its files name ("module:attribute") may be run.

        Raises:
            LSCError: no model is there, it is damaged, another version's, or kept no sums.
        """
        return cls.restored(SavedModel.read(folder, trust_code=trust_code))

    @classmethod
    def restored(cls, saved: SavedModel) -> Self:
        """The same, of a folder that was read."""
        state = saved.state()
        network, spec = saved.model()
        with saved.damage_named():
            return cls._restored(network, spec, state)

    @classmethod
    def _restored(
        cls, network: TargetClassifier, spec: ModelSpec, state: Mapping[str, Any]
    ) -> Self:
        model = cls(spec, str(state["score"]), float(state["fpr"]), network)
        model.learner.load_state(state["memory"], len(model.targets))
        model.life = Life.from_json(state["life"])
        if set(model.life.known) != {str(label) for label in model.targets.labels}:
            raise ValueError("the classes that it knows are not those that own targets")
        return model
