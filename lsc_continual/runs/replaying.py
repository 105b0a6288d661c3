"""A classifier that lives and learns by replay: strategy=lsc, going on without its earlier data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from rich.console import Console

from lsc_continual.classifier.answering import Answering, Names, answers
from lsc_continual.classifier.examples import Data, checked_names, normal_name, readable
from lsc_continual.classifier.files import LEARNER, model_files, save_folder
from lsc_continual.classifier.folder import SavedModel
from lsc_continual.classifier.life import KnownClass, Learned, Life
from lsc_continual.classifier.prediction import Prediction
from lsc_continual.classifier.spec import ModelSpec
from lsc_continual.encoders.making import ready_encoder
from lsc_continual.encoders.names import is_ready
from lsc_continual.encoders.ready.base import architecture_of
from lsc_continual.errors import LSCError, NotCalibratedError
from lsc_continual.inputs.labelled import Labelled
from lsc_continual.network.target_classifier import TargetClassifier
from lsc_continual.novelty import NoveltyDetector, make_score
from lsc_continual.novelty.base import uncalibrated_score
from lsc_continual.registry import names_from_file
from lsc_continual.runs.configuration import resolve
from lsc_continual.runs.experience import Examples, trained
from lsc_continual.runs.fitting import settings_of, shape_of
from lsc_continual.runs.memory import (
    kept,
    memory_files,
    read_memory,
    recalibrated,
    without_class,
    without_ordinals,
)
from lsc_continual.settings import Settings
from lsc_continual.settings.learning import LEAST_DIM
from lsc_continual.strategies.assembly import Assembly
from lsc_continual.strategies.resumable import State

_BATCH = 256  # images that are embedded at a time


class ReplayClassifier:
    """A model that people keep, whose network is trained as more arrives.

    What it keeps beside the network is what strategy=lsc keeps: a buffer of images, held-out images
    to calibrate on, a teacher, and the state of the optimizer, of constant size. Other than a
    `Classifier`'s, its outcome depends on the order of what it learns; nothing is subtracted or
    merged exactly.

    Args:
        settings: as of a run; what concerns data and scenarios counts for nothing.
        spec: what the network takes, and the names of the classes so far.
        console: where training shows how far it is.
        origin: the file that the settings are from, which names no code then; None: the user's.
    """

    def __init__(
        self,
        settings: Settings,
        spec: ModelSpec,
        console: Console | None = None,
        origin: Path | None = None,
    ) -> None:
        self.settings = settings
        self.spec = spec
        self._console = console or Console(quiet=True)
        self.life = Life()
        self.detector: NoveltyDetector | None = None
        self._model: TargetClassifier | None = None
        self._state: State | None = None
        self._origin = origin

    @classmethod
    def created(
        cls, labelled: Labelled, arguments: Sequence[str] = (), console: Console | None = None
    ) -> ReplayClassifier:
        """A model that knows nothing yet, for such data.

        Args:
            arguments: `key=value` settings, as of a run.
            console: where training shows how far it is.
        """
        alike = "arrays" if isinstance(labelled.data, np.ndarray) else "folder"
        arguments = [f"scenario={alike}", *arguments]
        return cls.of_shape(shape_of(labelled, resolve(arguments)), arguments, console)

    @classmethod
    def of_shape(
        cls,
        input_shape: tuple[int, int, int] | None,
        arguments: Sequence[str] = (),
        console: Console | None = None,
    ) -> ReplayClassifier:
        """A model that knows nothing yet, for inputs of a shape; the rest as of `created`."""
        targets = ["allocation=named", "system=v21", f"system.dim={LEAST_DIM}"]
        settings = resolve(["scenario=arrays", *targets, *arguments])
        encoder = settings.encoder
        if is_ready(encoder.name):
            made = ready_encoder(encoder.name, encoder.weights, encoder.options)
            input_shape = made.input_shape
        if input_shape is None:
            raise LSCError("learner='replay' needs input_shape=(channels, height, width)")
        return cls(settings, ModelSpec(encoder.name, input_shape, []), console)

    @property
    def model(self) -> TargetClassifier:
        """The network.

        Raises:
            LSCError: nothing was learned yet.
        """
        if self._model is None:
            raise LSCError("the model has learned nothing yet: call learn first")
        return self._model

    @property
    def classes(self) -> dict[str, KnownClass]:
        """The classes that it knows, by name, in order of arrival."""
        return dict(self.life.known)

    @property
    def uncalibrated(self) -> str | None:
        """Why nothing says where the unknown begins; None where something does."""
        if self.detector is not None:
            return None
        novelty = self.settings.novelty
        if not novelty.holdout and self.settings.strategy.name == "lsc-analytic":
            return (
                f"it is calibrated whenever it learns, on {1 / novelty.fpr - 1:.0f} examples or "
                "more: learn more"
            )
        return (
            f"{1 / novelty.fpr - 1:.0f} examples have to be held out, and novelty.holdout="
            f"{novelty.holdout:g} of all are: learn more, or set a larger share of a new model"
        )

    def learn(
        self,
        data: Data,
        labels: Iterable[str],
        source: str | None = None,
        *,
        on_error: str = "raise",
        progress: Callable[[int], None] | None = None,
    ) -> Learned:
        """Train on examples of new classes and of known ones, beside those that are kept.

        Args:
            data: images, paths of images, vectors or texts.
            labels: the name of each one's class.
            source: what to call the data in the history.
            on_error: "skip" leaves out inputs that cannot be read.
            progress: is told how many examples were read.

        Raises:
            LSCError: data or labels that do not fit, or that cannot be read; nothing is learned.
        """
        names = checked_names(data, labels)
        some = readable(self.spec.preparation(), data, names, skip=on_error == "skip")
        if progress is not None:
            progress(len(names))
        before = self.spec.class_names
        class_names = [*before, *(n for n in dict.fromkeys(some.names) if n not in before)]
        number = {name: label for label, name in enumerate(class_names)}
        numbers = torch.tensor([number[name] for name in some.names])
        with names_from_file(self._origin or Path(), self._origin is None):
            examples = Examples(some.images, numbers, class_names)
            assembly = trained(self.settings, self.spec, self._state, examples, self._console)
        new = [name for name in dict.fromkeys(some.names) if name not in self.life.known]
        self.life.add(some.names)
        self.life.note("learn", source, examples=len(some.names), new=new)
        self._take(assembly)
        return Learned(len(some.names), new, some.skipped, 0)

    def _take(self, assembly: Assembly) -> None:
        """Be what a strategy is after an experience."""
        assert assembly.spec is not None
        self._state = kept(assembly)
        model = assembly.strategy.model.cpu().eval()
        self._model = model
        self.spec = replace(
            assembly.spec, hidden=model.hidden_units, architecture=architecture_of(model)
        )
        self.settings = settings_of(assembly.settings, self.spec)
        detector = assembly.detector
        calibrated = detector is not None and detector.known is not None
        self.detector = detector.to("cpu") if detector is not None and calibrated else None

    def predict(self, batch: Data, *, top: int = 3) -> list[Prediction]:
        """What the model says of each input, as `Classifier.predict`."""
        if not self.life.known:
            raise LSCError("the model knows no class: call learn first")
        head = self.model.head
        judge = self.detector or make_score(uncalibrated_score(head), head)
        tell = Answering(head, Names(head.targets, self.spec.class_names), judge, top)
        return answers(self.model, self.spec.preparation(), tell, batch)

    def forget(self, names: str | Iterable[str]) -> None:
        """No longer answer with some classes, nor keep their images.

        What they taught the network stays in its weights.

        Raises:
            LSCError: a class that the model does not know, or targets that go by the order of
                arrival (allocation=named has others).
        """
        given = [names] if isinstance(names, str) else names
        gone = list(dict.fromkeys(normal_name(name) for name in given))
        self.life.require(gone)
        targets, state = self.model.head.targets, self._state
        assert state is not None
        labels = [self.spec.class_names.index(name) for name in gone]
        ordinals = targets.require_ordinals(labels)
        targets.retire(labels)
        strategy = {**state["strategy"], "targets": targets.to_dict()}
        state = {**state, "strategy": strategy}
        for label in labels:
            state = without_class(state, label)
        if replay := state["strategy"]["plugins"].get("EmbeddingReplay"):
            replay["taught"] -= int((ordinals < replay["taught"]).sum())
        self._state = state = without_ordinals(state, ordinals)
        self.life.retire(gone)
        self.life.note("forget", None, classes=gone)
        self.detector = recalibrated(state, self.model, self.settings.novelty)

    def forget_data(
        self,
        data: Data,
        labels: Iterable[str],
        source: str | None = None,
        *,
        on_error: str = "raise",
    ) -> NoReturn:
        """Always an LSCError: nothing can be taken out of a trained network exactly."""
        raise LSCError(
            "what a network was trained on cannot be taken out of it: forget the class, or keep a "
            "model of learner=analytic, which can"
        )

    def merge(self, other: object, source: str | None = None) -> NoReturn:
        """Always an LSCError: trained networks do not add up."""
        raise LSCError(
            "networks that were trained apart do not add up: models of learner=analytic do"
        )

    def cache_embeddings(self, folder: str | Path) -> NoReturn:
        """Always an LSCError: an encoder that is trained says something else every time."""
        raise LSCError(
            "the encoder of this model is trained, and nothing that it says lasts: no cache"
        )

    def save(self, folder: str | Path) -> None:
        """Write the model in the place of what is there, whole or not at all.

        Raises:
            LSCError: it cannot be written, or nothing was learned yet.
        """
        model, state = self.model, self._state
        assert state is not None
        files = model_files(model, self.spec, self.detector)
        memory = memory_files(state, self.settings, life=self.life.to_json())
        save_folder(Path(folder), files | memory)

    @classmethod
    def restored(cls, saved: SavedModel, console: Console | None = None) -> ReplayClassifier:
        """A model as it was saved."""
        network, spec = saved.model()
        with saved.damage_named():
            origin = saved.folder / LEARNER[0]
            with names_from_file(origin, saved.trust_code):
                state, settings, life = read_memory(saved)
            settings = settings_of(settings, spec)
            model = cls(settings, spec, console, None if saved.trust_code else origin)
            model.life = life
            names = {spec.class_names[int(str(n))] for n in network.head.targets.labels}
            if set(model.life.known) != names:
                raise ValueError("the classes that it knows are not those that own targets")
        model._model, model._state = network, state
        try:
            model.detector = saved.detector(network.head)
        except NotCalibratedError:
            model.detector = None
        return model
