"""A classifier that lives: it learns a class today, another tomorrow, and forgets when it is told.

Nothing of Avalanche is here, and nothing that depends on the order in which classes come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lsc_continual.classifier.answering import Answering, Names, answers
from lsc_continual.classifier.creating import VECTORS, frozen_encoder
from lsc_continual.classifier.examples import (
    Data,
    Embedded,
    checked_names,
    embedded,
    normal_name,
)
from lsc_continual.classifier.kept import Kept
from lsc_continual.classifier.life import Learned
from lsc_continual.classifier.merging import (
    require_alike,
    require_same_targets,
    require_same_weights,
)
from lsc_continual.classifier.prediction import Prediction
from lsc_continual.encoders.random_features import FEATURES
from lsc_continual.errors import LSCError
from lsc_continual.learners.batch import Batch
from lsc_continual.novelty.base import make_score, uncalibrated_score

SYSTEM, DIM = "v22", 384
"""5,351,288,256 vectors: of 100,000 names, 0.9 pairs on average meet at an address."""


class AnalyticClassifier(Kept):
    """A classifier that people keep and that learns by adding up: `create` or `load` one.

    A class is its name. What is learned does not depend on order or grouping: targets follow from
    names, and weights from sums over all examples (`AnalyticLearner`). No example is kept, but for
    a bounded sample of embeddings. Every example teaches, and those of the sample calibrate as
    well: each lands where it would if it had not been learned (leave-one-out in closed form).

    Methods raise `LSCError` where the user can mend it, and leave the model as it was then.
    """

    @classmethod
    def create(
        cls,
        encoder: str | None = None,
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
    ) -> AnalyticClassifier:
        """A model that knows nothing yet.

        Args:
            encoder: "vectors", the default, for embeddings of your own; the folder of a run, whose
                encoder is taken; "timm:NAME", "hf:NAME" or "text:NAME"; or what `make_encoder`
                takes, with `weights`. It stays as it is.
            input_shape: channels, height, width of images; of vectors, those that come first tell.
            weights, options, mean, std: as in `make_encoder`.
            system, dim: of the targets.
            features: random features beside the encoder's.
            seed: of these, and of the map from names to targets; two models merge with the same.
            score, fpr: as of a `NoveltyDetector`.
            trust_code: as in `load`, of a run's folder.
        """
        encoder = encoder or VECTORS
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
        model = cls(spec, score, fpr)
        if base.module is not None:
            model._expansion.encoder.load_state_dict(base.module.state_dict())
        return model

    def learn(
        self,
        data: Data,
        labels: Iterable[str],
        source: str | None = None,
        *,
        on_error: str = "raise",
        progress: Callable[[int], None] | None = None,
    ) -> Learned:
        """Take in examples, of new classes and of known ones.

        Args:
            data: vectors, images, paths of images, or texts.
            labels: the name of each one's class.
            source: what to call the data in the history.
            on_error: "skip" leaves out inputs that cannot be read.
            progress: is told how many examples are embedded.

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
        some = self._embedded(data, names, skip=on_error == "skip", progress=progress)
        new = [name for name in dict.fromkeys(some.names) if name not in self.life.known]
        again = int((~self.learner.sketch.missing(some.digests)).sum())
        self.targets.add(new)
        self.learner.learn(self._batch(some))
        self.life.add(some.names)
        self.life.note("learn", source, examples=len(some.names), new=new)
        self._stale = True
        return Learned(len(some.names), new, some.skipped, again)

    def forget(self, names: str | Iterable[str]) -> None:
        """No longer answer with some classes, whose targets nobody else will own.

        What their examples taught stays in the sums, where it does no harm; `forget_data` takes it
        out.

        Raises:
            LSCError: a class that the model does not know.
        """
        given = [names] if isinstance(names, str) else names
        gone = list(dict.fromkeys(normal_name(name) for name in given))
        self.life.require(gone)
        self.life.retire(gone)
        self._drop(gone, reserve=True)
        self.life.note("forget", None, classes=gone)

    def forget_data(
        self,
        data: Data,
        labels: Iterable[str],
        source: str | None = None,
        *,
        on_error: str = "raise",
    ) -> list[str]:
        """Take out what some examples taught, as if they had never been learned, to rounding.

        Classes without examples are gone then. Examples that were never learned are refused; one
        of them passes for learned with the probability `learner.sketch.error`.

        Args:
            on_error: "skip" leaves out inputs that cannot be read, which were not learned either.

        Returns:
            the names that are gone.

        Raises:
            LSCError: some of the examples were not learned with these labels.
        """
        names = checked_names(data, labels)
        known = self.life.known | self.life.retired
        self.life.require(name for name in names if name not in known)
        some = self._embedded(data, names, skip=on_error == "skip")
        names = some.names
        missing = self.learner.sketch.missing(some.digests)
        often = {n for n, count in Counter(names).items() if count > known[n].examples}
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

    def merge(self, other: AnalyticClassifier, source: str | None = None) -> None:
        """Take in all that another model learned, as if this one had learned it.

        Raises:
            LSCError: it has another encoder, other targets or features; or a name that has another
                target there, because it met another name.
        """
        require_alike(self.spec, other.spec)
        require_same_weights(self._expansion, other._expansion)
        names = require_same_targets(self.targets, other.targets)
        self.targets.add(names)
        self.targets.allocation.reserve(
            {
                name: at
                for name, at in other.targets.allocation.retired.items()
                if name not in self.targets
            }
        )
        self.learner.merge(other.learner, self.targets.ordinals(names))
        self.life.merge(other.life)
        self.life.note("merge", source, examples=other.learner.count)
        self._stale = True

    def predict(self, batch: Data, *, top: int = 3) -> list[Prediction]:
        """What the model says of each input, called by its index; a bad one has an `error`.

        Args:
            batch: vectors, images, paths of images, or texts.
            top: how many alternatives are told.

        Raises:
            LSCError: nothing was learned yet, or all classes were forgotten.
        """
        if not self.life.known:
            raise LSCError("the model knows no class: call learn first")
        self.settle()
        judge = self.detector or make_score(uncalibrated_score(self.model.head), self.model.head)
        tell = Answering(self.model.head, Names(self.targets, ()), judge, top)
        return answers(self.model, self._preparation, tell, batch)

    def _embedded(
        self,
        data: Data,
        names: Sequence[str],
        *,
        skip: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> Embedded:
        encoder, prepare = self._expansion.encoder, self._preparation
        return embedded(encoder, prepare, data, names, skip=skip, progress=progress)

    def _batch(self, some: Embedded) -> Batch:
        """With the targets of their classes, which may be retired."""
        targets, ordinals = self.targets, self.targets.ordinals(some.names)
        kept = [targets.allocation.retired.get(name) for name in some.names]
        owned = [0] * len(kept)
        if len(targets):
            owned = targets.allocation.addresses(ordinals.clamp_min(0)).tolist()
        addresses = [own if of is None else of for own, of in zip(owned, kept, strict=True)]
        vectors = targets.system.vectors(torch.tensor(addresses, dtype=torch.int64))
        return Batch(some.embeddings, vectors, ordinals, some.digests)
