"""A trained classifier that answers for each input: which class, and whether it is known at all."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from lsc_continual.classifier import AnalyticClassifier, ModelSpec, SavedModel
from lsc_continual.classifier.answering import Answering, Names, predictions
from lsc_continual.classifier.prediction import Prediction
from lsc_continual.encoders.cache import remember
from lsc_continual.errors import LSCError, NotCalibratedError
from lsc_continual.inputs.stored import as_unit_range
from lsc_continual.machine.devices import pick_device
from lsc_continual.network.target_classifier import TargetClassifier
from lsc_continual.novelty import NoveltyDetector, make_score
from lsc_continual.novelty.base import NoveltyScore, uncalibrated_score
from lsc_continual.settings.data import MAX_PIXELS
from lsc_continual.streaming.inputs import Input
from lsc_continual.streaming.pipeline import Background, Item, ReadAhead, prepared

BATCH_SIZE = 64

Image = Tensor | NDArray[Any] | str | Path
"""A path, or pixels: uint8 in 0 … 255 or floats in 0 … 1, of the model's input shape."""


class StreamClassifier:
    """Answers for inputs by a trained model, batch by batch.

    The network runs on `device`; what follows, whose cost does not depend on the number of
    classes, on the CPU.

    Args:
        model: in evaluation mode, with classes that own targets.
        spec: of its inputs and classes.
        detector: a calibrated one; None: `known` and `p_value` are not told.
        score: the novelty score that is told without a detector.
        device: "auto", "cpu", "cuda", …
        top: how many alternatives are told.
        max_pixels: that an image file may have while it is decoded, as in `data.max_pixels`.

    Raises:
        LSCError: no such device, a negative `top`, or a model without classes.
    """

    def __init__(
        self,
        model: TargetClassifier,
        spec: ModelSpec,
        detector: NoveltyDetector | None = None,
        *,
        score: str | None = None,
        device: str = "auto",
        top: int = 3,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if top < 0:
            raise LSCError(f"the number of alternatives is 0 or more, not {top}")
        if not len(model.head.targets):
            raise LSCError("the model knows no class yet: teach it some first")
        self.device = pick_device(device, "device=")
        self.model = model.eval().to(self.device)
        if self.device.type == "cuda":
            self.model.to(memory_format=torch.channels_last)
        self.spec = spec
        self.detector = None if detector is None else detector.to("cpu")
        self.prepare = spec.preparation(max_pixels)
        self.score = "" if detector is None else detector.score_name
        """The novelty score that is told."""
        judge: NoveltyDetector | NoveltyScore | None = self.detector
        if judge is None:
            fallback = uncalibrated_score(model.head)
            judge = make_score(score or fallback, model.head)
            if judge.needs_fit:
                raise LSCError(
                    f"the score {score!r} compares with known inputs, and the run holds no "
                    f"calibration: use a score such as {fallback}"
                )
            self.score = score or fallback
        self._names = Names(model.head.targets, spec.class_names)
        self._tell = Answering(model.head, self._names, judge, top)

    @property
    def class_names(self) -> list[str]:
        """The classes that it knows, in order of arrival."""
        return self._names.all()

    @classmethod
    def load(
        cls,
        run: str | Path,
        *,
        score: str | None = None,
        fpr: float | None = None,
        device: str = "auto",
        top: int = 3,
        max_pixels: int = MAX_PIXELS,
        cache: Path | None = None,
        trust_code: bool = False,
    ) -> StreamClassifier:
        """The classifier of a run folder, with its detector if the run calibrated one.

        Args:
            run: a run folder or a `model/` folder.
            score: novelty score, by default the run's.
            fpr: false-alarm rate, by default the run's.
            device, top, max_pixels: as above.
            cache: a folder in which what the encoder says is kept and looked up; see `remember`.
            trust_code: whether code that the model's files name ("module:attribute") may be run.

        Raises:
            LSCError: no model is there, it is damaged, or a wrong score, rate, device or `top`.
        """
        saved = SavedModel.read(run, trust_code=trust_code)
        problem: str | None = None
        detector = None
        if saved.lives:
            living = AnalyticClassifier.restored(saved)
            model, spec, problem = living.model, living.spec, living.uncalibrated
            if problem is None:
                detector = living.calibrated(
                    score or living.score, living.fpr if fpr is None else fpr
                )
        else:
            model, spec = saved.model()
            try:
                detector = saved.detector(model.head, score, fpr)
            except NotCalibratedError as error:
                problem = str(error)
        if cache is not None:
            remember(model.encoder, cache)
        found = cls(
            model, spec, detector, score=score, device=device, top=top, max_pixels=max_pixels
        )
        if detector is None:
            warnings.warn(
                f"{problem}; until then, p_value and known are null, and novelty is told by "
                f"{found.score}",
                stacklevel=1,
            )
        return found

    def predict(self, batch: Tensor | Sequence[Image]) -> list[Prediction]:
        """Answers for one batch, in its order; inputs are called by their index.

        Args:
            batch: FloatTensor[batch, channels, height, width] in 0 … 1, uint8 in 0 … 255, or a
                sequence of images and paths.
        """
        inputs = [Input(index, self.prepare.content(image)) for index, image in enumerate(batch)]
        return self._finish(self._launch(prepared(inputs, self.prepare)))

    def stream(
        self,
        images: Iterable[Image],
        *,
        batch_size: int = BATCH_SIZE,
        batch_seconds: float | None = None,
        workers: int | None = None,
    ) -> Iterator[Prediction]:
        """Answers for any number of images, in their order, in bounded memory.

        Reading and decoding go on while the network runs. Arguments as in `stream_inputs`; paths
        are called by themselves, other images by their index.
        """
        source = (
            [Input(_name(i, image), self.prepare.content(image))] for i, image in enumerate(images)
        )
        batches = self.stream_inputs(
            source, batch_size=batch_size, batch_seconds=batch_seconds, workers=workers
        )
        return (prediction for _, answers in batches for prediction in answers)

    def stream_inputs(
        self,
        source: Iterable[list[Input]],
        *,
        batch_size: int = BATCH_SIZE,
        batch_seconds: float | None = None,
        workers: int | None = None,
    ) -> Iterator[tuple[list[Item], list[Prediction]]]:
        """Batches of the inputs of a source (see `streaming.sources`), in order, and the answers.

        Args:
            batch_size: of the network.
            batch_seconds: how long an input waits for the batch to fill; None: for ever.
            workers: threads that read and decode; by default as many as there are cores.

        Raises:
            LSCError: an argument out of range.
        """
        return self._stream(ReadAhead(source, self.prepare, batch_size, batch_seconds, workers))

    def _stream(self, ahead: ReadAhead) -> Iterator[tuple[list[Item], list[Prediction]]]:
        """Three stages at a time: inputs are prepared, the network runs, answers are made."""
        with ahead, Background(map(self._launch, ahead.batches())) as launched:
            for batch in launched:
                yield batch.items, self._finish(batch)

    @torch.inference_mode()
    def _launch(self, batch: list[Item]) -> _Launched:
        """Have the network begin with a batch."""
        images = [item.image for item in batch if isinstance(item.image, Tensor)]
        if not images:
            return _Launched(batch, torch.empty(0, 0), None)
        if len({image.dtype for image in images}) > 1:
            images = [as_unit_range(image) for image in images]
        x = torch.stack(images)
        if self.device.type != "cuda":
            return _Launched(batch, self.model.embed(as_unit_range(x)), None)
        with torch.cuda.device(self.device):  # each thread has its own current device
            x = as_unit_range(x.pin_memory().to(self.device, non_blocking=True))
            z = self.model.embed(x.contiguous(memory_format=torch.channels_last)).float()
            home = torch.empty(z.shape, dtype=z.dtype, pin_memory=True)
            home.copy_(z, non_blocking=True)
            done = torch.cuda.Event()
            done.record()
        return _Launched(batch, home, done)

    @torch.inference_mode()
    def _finish(self, launched: _Launched) -> list[Prediction]:
        """The answers for a batch."""
        if launched.done is not None:
            launched.done.synchronize()
        inputs = (
            (item.id, item.image if isinstance(item.image, LSCError) else None)
            for item in launched.items
        )
        return predictions(self._tell, inputs, launched.embedding)


class _Launched(NamedTuple):
    """A batch that the network works on."""

    items: list[Item]
    embedding: Tensor
    """FloatTensor[images, dim] on the CPU, once `done`, of those that could be prepared."""
    done: Any
    """A CUDA event, or None."""


def _name(index: int, image: Image) -> str | int:
    return str(image) if isinstance(image, str | Path) else index
