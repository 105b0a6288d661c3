"""A trained classifier on disk: safetensors and JSON, no pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from lsc_continual.classifier.blueprint import ClaimError, check_claims
from lsc_continual.classifier.files import (
    CALIBRATION,
    DESCRIPTION,
    LEARNER,
    MEMORY,
    READABLE,
    TABLES,
    WEIGHTS,
)
from lsc_continual.classifier.life import Life
from lsc_continual.classifier.spec import ModelSpec
from lsc_continual.encoders.names import is_ready
from lsc_continual.errors import LSCError, NotCalibratedError, first_line
from lsc_continual.network.heads import TargetHead
from lsc_continual.network.target_classifier import TargetClassifier
from lsc_continual.novelty import NoveltyDetector
from lsc_continual.registry import names_from_file
from lsc_continual.storage.folders import DamagedError, read_folder
from lsc_continual.storage.packing import mapped_tensors
from lsc_continual.targets import Targets

_CONFIG = "config.yaml"  # of a run, whose model may be about to be replaced
_KEPT, _BESIDE = 10_000, 2**25  # samples of a memory, and bytes of the rest, at most


def _with_tables(targets: dict[str, Any], tables: dict[str, Tensor]) -> dict[str, Any]:
    """The inverse."""
    for path, tensor in tables.items():
        part, name = path.split(".")
        targets = targets | {part: targets[part] | {name: tensor}}
    return targets


class SavedModel(NamedTuple):
    """The content of a `model/` folder, all of one moment, though a run may go on writing."""

    folder: Path
    description: dict[str, Any]
    files: dict[str, Any]
    """Bytes, the tables of targets as a map of the file."""
    trust_code: bool = False
    """Whether code of somebody else's that the description names may be run."""

    @classmethod
    def read(cls, given: str | Path, *, trust_code: bool = False) -> SavedModel:
        """Read and verify a `model/` folder, or that of a run folder.

        The checksums find damage, not strangers: whoever changes a file can change them too.

        Args:
            given: either folder.
            trust_code: whether code of somebody else's that the files name may be run.

        Raises:
            LSCError: no model is there, it is damaged, or another version wrote it.
        """
        folder = Path(given)
        if (folder / _CONFIG).is_file() or (folder / "model").is_dir():
            folder = folder / "model"
        try:
            files = read_folder(folder, mapped=[TABLES, MEMORY, LEARNER[2]])
        except DamagedError:
            if not Path(given).is_dir():
                raise LSCError(f"there is no folder {given}: pass that of a run or model") from None
            if not (folder / DESCRIPTION).is_file():
                raise LSCError(
                    f"{folder} holds no model ({DESCRIPTION} is missing): runs of strategy=lsc "
                    "leave one after their first experience, others none"
                ) from None
            raise
        with _damage_named(folder):
            description = json.loads(files[DESCRIPTION])
            if description["format"] not in READABLE:
                raise LSCError(
                    f"the model in {folder} has format {description['format']}, this version "
                    f"reads {READABLE[0]} to {READABLE[-1]}: use the version that wrote it"
                )
        return cls(folder, description, files, trust_code)

    def model(self) -> tuple[TargetClassifier, ModelSpec]:
        """The classifier and its specification, as `load_model` gives them."""
        with _damage_named(self.folder), self._names():
            stored = self.description["spec"]
            spec = ModelSpec(**{**stored, "input_shape": tuple(stored["input_shape"])})
            weights = load(self.files[WEIGHTS])
            if spec.hidden is None:  # the default of its time, whatever that was
                spec.hidden = len(weights.get("hidden.1.bias", ()))
            if is_ready(spec.encoder) and not spec.architecture:
                raise ValueError("it does not say how its encoder is built")
            if not self.trust_code:
                check_claims(spec, weights)
            model = spec.build()
            model.load_state_dict(weights)
            tables = mapped_tensors(self.files[TABLES]) if TABLES in self.files else {}
            targets = _with_tables(self.description["targets"], tables)
            most = len(spec.class_names) or None
            model.head.restore(Targets.from_dict(targets, most))
            _check_labels(model.head.targets, spec.class_names)
        return model.eval(), spec

    def detector(
        self, head: TargetHead, score: str | None = None, fpr: float | None = None
    ) -> NoveltyDetector:
        """The detector, as `load_detector` gives it."""
        if "detector" not in self.description:
            raise NotCalibratedError(
                f"{self.folder} holds no calibration, so nothing says where the unknown begins: "
                "train with novelty.holdout above 0, on enough images"
            )
        with _damage_named(self.folder):
            settings = dict(self.description["detector"])
            settings["fpr"] = settings["fpr"] if fpr is None else fpr
            among = bool(settings.pop("among_themselves", False))
            tensors = load(self.files[CALIBRATION])
            scale = tensors["scale"].item() if "scale" in tensors else None  # as the head has it
            if score is not None:  # the user's choice
                detector = NoveltyDetector(head, **settings | {"score": score})
            else:
                with self._names():
                    detector = NoveltyDetector(head, **settings)
            return detector.calibrate(
                tensors["known"],
                tensors["reference"] if len(tensors["reference"]) else None,
                scale,
                among_themselves=among,
            )

    @property
    def learner(self) -> str | None:
        """The name of the learner that it can go on with; None for none."""
        if self.lives:
            return "analytic"
        return "replay" if set(LEARNER) <= self.files.keys() else None

    @property
    def has_gone_on(self) -> bool:
        """Whether it is a run's, and learned more since."""
        if self.learner != "replay":
            return False
        with _damage_named(self.folder):
            return json.loads(self.files[LEARNER[0]])["life"] is not None

    @property
    def lives(self) -> bool:
        """Whether it keeps sums, from which it calibrates itself."""
        return "life" in self.description

    def description_of_life(self) -> dict[str, Any]:
        """What a living model keeps to go on, but for its tensors; has "life".

        Raises:
            LSCError: it is none.
        """
        if self.learner == "replay":
            with _damage_named(self.folder):
                told = dict(json.loads(self.files[LEARNER[0]]))
                if told["life"] is None:  # of a run, whose model is the same whenever it is made
                    ended = os.path.getmtime(self.folder / LEARNER[0])
                    when = datetime.fromtimestamp(ended, UTC).isoformat(timespec="seconds")
                    told["life"] = Life.of_run(**told["run"], when=when).to_json()
                return told
        if not self.lives:
            raise LSCError(
                f"the model in {self.folder} kept nothing to go on from: runs of strategy=lsc and "
                "lsc-analytic do, at their end, from this version on"
            )
        with _damage_named(self.folder):
            return dict(self.description["life"])

    def state(self) -> dict[str, Any]:
        """What a living model keeps to go on; LSCError as of `description_of_life`."""
        state = self.description_of_life()
        with _damage_named(self.folder):
            outputs, features = load(self.files[WEIGHTS])["projection.weight"].shape
            memory = self.files[MEMORY]
            if len(memory) > 8 * (1 + features + outputs) ** 2 + 4 * _KEPT * features + _BESIDE:
                raise ValueError("its memory is larger than such a model has")
            return state | {"memory": state["memory"] | mapped_tensors(memory)}

    def damage_named(self) -> AbstractContextManager[None]:
        """Says of files that do not hold what they should that they are damaged."""
        return _damage_named(self.folder)

    def _names(self) -> AbstractContextManager[None]:
        return names_from_file(self.folder / DESCRIPTION, self.trust_code)


def _check_labels(targets: Targets, class_names: list[str]) -> None:
    """Every class has to have a name, where there are any."""
    if not class_names or not len(targets):
        return
    lowest, highest = targets.labels.extremes
    if lowest < 0 or highest >= len(class_names):
        raise ValueError(f"class {highest} of {len(class_names)} has no name")


def load_model(
    folder: str | Path, *, trust_code: bool = False
) -> tuple[TargetClassifier, ModelSpec]:
    """The classifier that a run left in its `model/` folder, in evaluation mode, and its data.

    Args:
        folder: a `model/` folder or a run folder.
        trust_code: whether code of somebody else's that the files name may be run.

    Raises:
        LSCError: no model is there, it is damaged, or another version wrote it.
    """
    return SavedModel.read(folder, trust_code=trust_code).model()


def load_detector(
    folder: str | Path,
    head: TargetHead,
    *,
    score: str | None = None,
    fpr: float | None = None,
    trust_code: bool = False,
) -> NoveltyDetector:
    """The detector that a run calibrated for the model it left, ready to judge embeddings.

    It is for embeddings on the CPU; see `NoveltyDetector.to`.

    Args:
        folder: a `model/` folder or a run folder.
        head: of the model that `load_model` returned.
        score: instead of the run's.
        fpr: instead of the run's.
        trust_code: as in `load_model`.

    Raises:
        NotCalibratedError: the run calibrated none.
        LSCError: the files are damaged or another version's, or a wrong score or rate.
    """
    return SavedModel.read(folder, trust_code=trust_code).detector(head, score, fpr)


@contextmanager
def _damage_named(folder: Path) -> Iterator[None]:
    """Says of files that do not hold what they should that they are damaged."""
    try:
        yield
    except (
        ValueError,
        LookupError,
        ArithmeticError,
        TypeError,
        AttributeError,
        RuntimeError,
        SafetensorError,
    ) as error:
        if isinstance(error, LSCError) and not isinstance(error, ClaimError):
            raise
        raise LSCError(f"the model in {folder} is damaged: {first_line(error)}") from error
