"""A classifier that lives: it learns a class today, another tomorrow, and forgets when it is told.

Nothing of Avalanche is here, and nothing that depends on the order in which classes come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lsc_continual.classifier.answering import Answering, Names
from lsc_continual.classifier.creating import VECTORS, frozen_encoder
from lsc_continual.classifier.examples import (
    Data,
    Embedded,
    checked_names,
    contents_of,
    embedded,
    normal_name,
    prepared,
    stacked,
)
from lsc_continual.classifier.folder import SavedModel, write_living
from lsc_continual.classifier.life import KnownClass, Learned, Life
from lsc_continual.classifier.merging import (
    require_alike,
    require_same_targets,
    require_same_weights,
)
from lsc_continual.classifier.prediction import Prediction
from lsc_continual.classifier.spec import ModelSpec
from lsc_continual.encoders.random_features import RandomFeatures
from lsc_continual.errors import LSCError
from lsc_continual.inputs.decoding import Decoding
from lsc_continual.inputs.preparation import Preparation
from lsc_continual.inputs.stored import as_unit_range
from lsc_continual.learners.analytic import AnalyticLearner, Batch
from lsc_continual.network.target_classifier import TargetClassifier
from lsc_continual.novelty import NoveltyDetector, make_score
from lsc_continual.settings.data import MAX_PIXELS
from lsc_continual.targets import Targets

SYSTEM, DIM = "v22", 384
"""5,351,288,256 vectors: of 100,000 names, 0.9 pairs on average meet at an address."""
FEATURES = 3000
"""Random features beside the encoder's; chosen by measurement (docs/living.md)."""
_UNCALIBRATED = "maxcos"  # the score that is told where nothing was calibrated


class Classifier:
    """A classifier that people keep: `create` or `load` one.

    A class is its name. What is learned does not depend on order or grouping: targets follow from
    names, and weights from sums over all examples (`AnalyticLearner`). No example is kept, but for
    a bounded sample of embeddings. Every example teaches, and those of the sample calibrate as
    well: each lands where it would if it had not been learned (leave-one-out in closed form).

    Methods raise `LSCError` where the user can mend it, and leave the model as it was then.
    """

    def __init__(
        self, spec: ModelSpec, score: str = "auto", fpr: float = 0.05, *, build: bool = True
    ) -> None:
        self.spec = spec
        self.score = score
        self.fpr = fpr
        self.max_pixels = MAX_PIXELS
        """As the setting `data.max_pixels`."""
        self.life = Life()
        self.detector: NoveltyDetector | None = None
        self.uncalibrated: str | None = None
        """Why nothing says where the unknown begins; None where something does."""
        self._model: TargetClassifier | None = None
        self._learner: AnalyticLearner | None = None
        self._stale = False
        if build and 0 not in spec.input_shape:
            self._take(spec.build())

    @classmethod
    def create(
        cls,
        encoder: str = VECTORS,
        *,
        input_shape: tuple[int, int, int] | None = None,
        weights: str | None = None,
        options: Mapping[str, Any] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        system: str = SYSTEM,
        dim: int = DIM,
        features: int = FEATURES,
        seed: int = 0,
        score: str = "auto",
        fpr: float = 0.05,
        trust_code: bool = False,
    ) -> Classifier:
        """A model that knows nothing yet.

        Args:
            encoder: "vectors" for embeddings of your own; the folder of a run, whose encoder is
                taken; or what `make_encoder` takes, with `weights`. It stays as it is.
            input_shape: channels, height, width of images; of vectors, those that come first tell.
            weights, options, mean, std: as in `make_encoder`.
            system, dim: of the targets.
            features: random features beside the encoder's.
            seed: of these, and of the map from names to targets; two models merge with the same.
            score, fpr: as of a `NoveltyDetector`.
            trust_code: as in `load`, of a run's folder.
        """
        expansion = {"features": features, "seed": seed, "beside": True}
        base = frozen_encoder(
            encoder, input_shape, weights, options, mean, std, trust_code=trust_code
        )
        spec = replace(
            base.spec,
            class_names=[],
            system=system,
            dim=dim,
            head={"allocation": "named", "seed": seed},
            random_features=expansion,
            standardize=False,
            hidden=0,
        )
        model = cls(spec, score, fpr, build=weights is None)
        if weights is not None:
            model._take(spec.build(weights))
        if base.module is not None:
            model._expansion.encoder.load_state_dict(base.module.state_dict())
        return model

    def _take(self, model: TargetClassifier) -> None:
        """Live in a network."""
        self._model = model.eval().requires_grad_(False)
        expansion = self._expansion
        width = expansion.directions.shape[1]
        features, dim = expansion.num_features, model.head.system.dim
        self._learner = AnalyticLearner(expansion.expand, width, features, dim)

    @property
    def model(self) -> TargetClassifier:
        """The network.

        Raises:
            LSCError: it has not seen any vectors yet.
        """
        if self._model is None:
            raise LSCError("the model has learned nothing yet: call learn first")
        return self._model

    @property
    def learner(self) -> AnalyticLearner:
        """What has been learned, in sums; LSCError as of `model`."""
        if self._learner is None:
            raise LSCError("the model has learned nothing yet: call learn first")
        return self._learner

    @property
    def _expansion(self) -> RandomFeatures:
        expansion = self.model.encoder
        assert isinstance(expansion, RandomFeatures)
        return expansion

    @property
    def targets(self) -> Targets:
        """Which name owns which address."""
        return self.model.head.targets

    @property
    def classes(self) -> dict[str, KnownClass]:
        """The classes that it knows, by name, in order of arrival."""
        return dict(self.life.known)

    def learn(
        self,
        data: Data,
        labels: Iterable[str],
        source: str | None = None,
        *,
        on_error: str = "raise",
    ) -> Learned:
        """Take in examples, of new classes and of known ones.

        Args:
            data: vectors, images or paths.
            labels: the name of each one's class.
            source: what to call the data in the history.
            on_error: "skip" leaves out inputs that cannot be read.

        Raises:
            LSCError: data of another shape, not finite, not readable, or labels that do not fit;
                nothing is learned then.
        """
        names = checked_names(data, labels)
        if self._model is None:  # the first vectors say how wide they are
            width = np.shape(data)[1:] if isinstance(data, Tensor | np.ndarray) else ()
            if len(width) != 1 or not width[0]:
                raise LSCError("the first data of a model of vectors are an array [count, width]")
            self.spec = replace(self.spec, input_shape=(int(width[0]), 1, 1))
            self._take(self.spec.build())
        some = self._embedded(data, names, skip=on_error == "skip")
        new = [name for name in dict.fromkeys(some.names) if name not in self.life.known]
        self.targets.add(new)
        self.learner.learn(self._batch(some))
        self.life.add(some.names)
        self.life.note("learn", source, examples=len(some.names), new=new)
        self._stale = True
        return Learned(len(some.names), new, some.skipped)

    def forget(self, names: str | Iterable[str]) -> None:
        """No longer answer with some classes, whose targets nobody else will own.

        What their examples taught stays in the sums, where it does no harm; `forget_data` takes it
        out.

        Raises:
            LSCError: a class that the model does not know.
        """
        given = [names] if isinstance(names, str) else names
        gone = list(dict.fromkeys(normal_name(name) for name in given))
        self._require(gone)
        self.life.retire(gone)
        self._drop(gone, reserve=True)
        self.life.note("forget", None, classes=gone)

    def forget_data(
        self, data: Data, labels: Iterable[str], source: str | None = None
    ) -> list[str]:
        """Take out what some examples taught, as if they had never been learned, to rounding.

        Classes without examples are gone then. Examples that were never learned are refused; one
        of them passes for learned with the probability `learner.sketch.error`.

        Returns:
            the names that are gone.

        Raises:
            LSCError: some of the examples were not learned with these labels.
        """
        names = checked_names(data, labels)
        self._require(names)
        some = self._embedded(data, names)
        missing = self.learner.sketch.missing(some.digests)
        often = {
            name for name, count in Counter(names).items() if count > self.life.known[name].examples
        }
        missing |= np.array([name in often for name in names])
        if missing.any():
            rows = np.flatnonzero(missing)
            raise LSCError(
                f"{len(rows):,} of {len(names):,} examples were never learned with these labels "
                f"(the first is number {rows[0]}, {names[rows[0]]!r}): leave them out"
            )
        self.learner.forget(self._batch(some))
        gone = self.life.subtract(names)
        if gone:
            self._drop(gone, reserve=False)
        self.life.note("forget", source, examples=len(names), classes=gone)
        self._stale = True
        return gone

    def _drop(self, gone: Sequence[str], *, reserve: bool) -> None:
        before = [str(name) for name in self.targets.labels]
        self.targets.retire(gone, reserve=reserve)
        self.learner.renumber(self.targets.ordinals(before))
        self._stale = True

    def merge(self, other: Classifier, source: str | None = None) -> None:
        """Take in all that another model learned, as if this one had learned it.

        Raises:
            LSCError: it has another encoder, other targets or features; or a name that has another
                target there, because it met another name.
        """
        require_alike(self.spec, other.spec)
        require_same_weights(self._expansion, other._expansion)
        names = require_same_targets(self.targets, other.targets)
        self.targets.add(names)
        self.learner.merge(other.learner, self.targets.ordinals(names))
        self.life.merge(other.life)
        self.life.note("merge", source, examples=other.learner.count)
        self._stale = True

    @torch.no_grad()
    def predict(self, batch: Data, *, top: int = 3) -> list[Prediction]:
        """What the model says of each input, called by its index; a bad one has an `error`.

        Args:
            batch: vectors, images or paths.
            top: how many alternatives are told.

        Raises:
            LSCError: nothing was learned yet, or all classes were forgotten.
        """
        if not self.life.known:
            raise LSCError("the model knows no class: call learn first")
        self.settle()
        judge = self.detector or make_score(_UNCALIBRATED, self.model.head)
        tell = Answering(self.model.head, Names(self.targets, ()), judge, top)
        items = [prepared(self._preparation, content) for content in contents_of(batch)]
        images = [item for item in items if isinstance(item, Tensor)]
        parts = [self.model.embed(as_unit_range(some)) for some in stacked(images)]
        z = torch.cat([torch.empty(0, self.spec.dim), *parts])
        fine = z.isfinite().all(1)
        flags, told = iter(fine.tolist()), iter(tell(z[fine]))

        def answer(index: int, item: Tensor | LSCError) -> Prediction:
            if isinstance(item, LSCError):
                return Prediction(index, error=str(item))
            if not next(flags):
                return Prediction(index, error="the network's output is not finite")
            return Prediction(index, **next(told))

        return [answer(index, item) for index, item in enumerate(items)]

    @torch.no_grad()
    def settle(self) -> None:
        """Have weights and threshold follow what was learned, if they do not yet."""
        if not self._stale:
            return
        model, learner = self.model, self.learner
        self.detector, self.uncalibrated = None, "the model knows no class"
        if self.life.known:
            weight, bias = learner.projection(self.targets.vectors)
            model.projection.weight.copy_(weight)
            model.projection.bias.copy_(bias)
            z, _ = learner.left_out(self.targets.vectors)
            detector = NoveltyDetector(model.head, self.score, self.fpr)
            # By their digests, every other one is a fair half.
            halves = z[1::2].contiguous(), z[::2].contiguous()
            try:
                self.detector = detector.calibrate(*halves, crossed=True)
                self.uncalibrated = None
            except LSCError as error:
                self.uncalibrated = str(error)
        self._stale = False

    def state(self) -> dict[str, Any]:
        """What `load_state` needs: the learner's memory, the classes, the history."""
        return {
            "life": self.life.to_json(),
            "memory": self.learner.state(),
            "score": self.score,
            "fpr": self.fpr,
            "uncalibrated": self.uncalibrated,
        }

    @classmethod
    def restored(
        cls, network: TargetClassifier, spec: ModelSpec, state: Mapping[str, Any]
    ) -> Classifier:
        """A model as it was, but for its detector."""
        model = cls(spec, str(state["score"]), float(state["fpr"]), build=False)
        model._take(network)
        model.learner.load_state(state["memory"])
        model.life = Life.from_json(state["life"])
        model.uncalibrated = state["uncalibrated"]
        return model

    def save(self, folder: str | Path) -> None:
        """Write the model in the place of what is there, whole or not at all.

        Raises:
            LSCError: it cannot be written, or nothing was learned yet.
        """
        self.settle()
        write_living(Path(folder), self.model, self.spec, self.detector, self.state())

    @classmethod
    def load(cls, folder: str | Path, *, trust_code: bool = False) -> Classifier:
        """A model as it was saved.

        Args:
            trust_code: whether code that its files name ("module:attribute") may be run.

        Raises:
            LSCError: no model is there, it is damaged, another version's, or one of a run that
                kept no sums.
        """
        saved = SavedModel.read(folder, trust_code=trust_code)
        state = saved.state()
        network, spec = saved.model()
        with saved.damage_named():
            model = cls.restored(network, spec, state)
        if model.uncalibrated is None:
            model.detector = saved.detector(network.head)
        return model

    def _require(self, names: Iterable[str]) -> None:
        if unknown := [name for name in dict.fromkeys(names) if name not in self.life.known]:
            raise LSCError(
                f"the model does not know {', '.join(map(repr, unknown[:3]))}: see its classes "
                "with lsc-cl show"
            )

    @property
    def _preparation(self) -> Preparation:
        decoding = Decoding(self.spec.depth, self.max_pixels)
        return Preparation(self.spec.input_shape, self.spec.inverted, decoding)

    def _embedded(self, data: Data, names: Sequence[str], *, skip: bool = False) -> Embedded:
        return embedded(self._expansion.encoder, self._preparation, data, names, skip=skip)

    def _batch(self, some: Embedded) -> Batch:
        ordinals = self.targets.ordinals(some.names)
        vectors = self.targets.vectors(ordinals)
        return Batch(some.embeddings, vectors, ordinals, some.digests)
