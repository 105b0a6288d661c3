"""The classifier that people keep, whatever it learns by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from lsc_continual.classifier.analytic_classifier import AnalyticClassifier
from lsc_continual.classifier.folder import SavedModel
from lsc_continual.errors import LSCError
from lsc_continual.living.names import LEARNERS


class Classifier(AnalyticClassifier):
    """A classifier that people keep: `create` or `load` one, `learn`, `predict`, `forget`, `save`.

    What `create` and `load` give has these methods, whichever learner it has: learner="analytic"
    is an `AnalyticClassifier`, exact in any order of what it learns; learner="replay" a
    `ReplayClassifier`, whose encoder is trained.
    """

    @classmethod
    def create(
        cls,
        encoder: str | None = None,
        *,
        learner: str | None = None,
        arguments: Sequence[str] = (),
        input_shape: tuple[int, int, int] | None = None,
        **settings: Any,
    ) -> Classifier:
        """A model that knows nothing yet.

        Args:
            encoder: as of `AnalyticClassifier.create`; with learner="replay", as of `lsc-cl run`.
            learner: "analytic", the default, or "replay", which needs `input_shape` unless the
                encoder says it.
            arguments: "key=value" settings of learner="replay", as of `lsc-cl run`.
            input_shape: channels, height, width.
            settings: the other arguments of `AnalyticClassifier.create`.
        """
        if learner is not None:
            LEARNERS.check(learner)
        if learner != "replay":
            if arguments:
                raise LSCError('arguments are for learner="replay": leave them out')
            made: Any = super().create(encoder, input_shape=input_shape, **settings)
            return made  # type: ignore[no-any-return]
        if settings:
            raise LSCError(
                f'{next(iter(settings))} is for learner="analytic": use arguments=["key=value"]'
            )
        named = [] if encoder is None else [f"encoder={encoder}"]
        trained: Any = LEARNERS["replay"].load()
        return trained.of_shape(input_shape, [*named, *arguments])  # type: ignore[no-any-return]

    @classmethod
    def load(
        cls, folder: str | Path, *, console: Console | None = None, trust_code: bool = False
    ) -> Classifier:
        """A model as it was saved, or as a run left it.

        Args:
            folder: of a model, or of a run, whose model goes on living.
            console: where training shows how far it is.
            trust_code: whether code that its files name ("module:attribute") may be run.

        Raises:
            LSCError: no model is there, it is damaged, another version's, or kept nothing to go on
                from.
        """
        saved = SavedModel.read(folder, trust_code=trust_code)
        found: Any = cls
        if saved.learner == "replay":
            found = LEARNERS["replay"].load()
            return found.restored(saved, console)  # type: ignore[no-any-return]
        return found.restored(saved)  # type: ignore[no-any-return]
