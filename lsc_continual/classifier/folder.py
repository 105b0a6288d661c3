"""A trained classifier on disk: safetensors and JSON, no pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lsc_continual.classifier.blueprint import ClaimError, check_claims
from lsc_continual.classifier.life import Life
from lsc_continual.classifier.spec import ModelSpec
from lsc_continual.encoders.names import is_ready
from lsc_continual.encoders.ready.base import architecture_of, local_name
from lsc_continual.errors import LSCError, NotCalibratedError, first_line, inert
from lsc_continual.network.heads import TargetHead
from lsc_continual.network.target_classifier import TargetClassifier
from lsc_continual.novelty import NoveltyDetector
from lsc_continual.registry import names_from_file
from lsc_continual.storage.folders import DamagedError, not_sealed, read_folder, write_folder
from lsc_continual.storage.packing import mapped_tensors
from lsc_continual.targets import Targets

_FORMAT, _LATEST = 7, 9
_READABLE = (3, 4, 5, 6, 7, 8, 9)
# 3 had no tables, and lists of all labels; 4 no random features; 5 no standardised ones; 6 no
# hidden layer; the first models of 7 do not say how wide theirs is. 8 are living models, whose
# labels are names, and hold a calibration; 9 are those that hold a solution instead, and all whose
# encoder is other people's.
_DESCRIPTION, _WEIGHTS = "model.json", "weights.safetensors"
_CONFIG = "config.yaml"  # of a run, whose model may be about to be replaced
_CALIBRATION = "calibration.safetensors"
_MEMORY = "memory.safetensors"  # of a living model
LEARNER = "learner.json", "state.json", "state.safetensors"
"""What a model that learns by replay keeps to go on from: settings and history; its state."""
_KEPT, _BESIDE = 10_000, 2**25  # samples of a memory, and bytes of the rest, at most
_TABLES = "targets.safetensors"  # the large parts of the target map, if it has any


def model_files(
    model: TargetClassifier,
    spec: ModelSpec,
    detector: NoveltyDetector | None = None,
    *,
    state: Mapping[str, Any] | None = None,
) -> dict[str, bytes]:
    """The content of a `model/` folder: specification, targets, weights, and the embeddings that
    the detector was calibrated on; large target maps are in a file of their own.

    Args:
        state: what a living model keeps to go on, and to calibrate itself: JSON types, and tensors
            in its part "memory".
    """
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    targets, tables = _without_tables(model.head.targets.to_dict())
    built = asdict(spec) | {"hidden": model.hidden_units}  # whatever becomes of the default
    if spec.depth is None:  # versions that do not know it can read the others
        del built["depth"]
    version = _FORMAT if state is None else _LATEST
    if architecture := architecture_of(model):
        version = _LATEST
        built |= {"encoder": local_name(spec.encoder), "architecture": architecture}
    else:
        del built["architecture"]
    description: dict[str, Any] = {"format": version, "spec": built, "targets": targets}
    memory: dict[str, Tensor] = {}
    if state is not None:
        plain = {k: v for k, v in state["memory"].items() if not isinstance(v, Tensor)}
        memory = {k: v for k, v in state["memory"].items() if k not in plain}
        description["life"] = {**state, "memory": plain}
    calibration = {}
    if detector is not None and detector.known is not None and detector.scale is not None:
        settings = {"score": detector.score_name, "fpr": detector.fpr}
        settings["per_class"] = detector.per_class
        description["detector"] = settings
        if detector.among_themselves:
            description["detector"] = settings | {"among_themselves": True}
        calibration = {
            "known": detector.known.cpu(),
            "reference": detector.known[:0].cpu()
            if detector.reference is None
            else detector.reference.cpu(),
            "scale": torch.tensor(detector.scale, dtype=torch.float64),
        }
    text = json.dumps(description, ensure_ascii=False)
    files = {
        _DESCRIPTION: text.encode(),
        _WEIGHTS: save(weights),
    }
    files |= {_MEMORY: save(memory)} if memory else {_CALIBRATION: save(calibration)}
    return files | ({_TABLES: save(tables)} if tables else {})


def _without_tables(targets: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What `Targets.to_dict` said without the tensors in its parts, and these as "part.name"."""
    kept, tables = dict(targets), {}
    for part, content in targets.items():
        if isinstance(content, dict):
            kept[part] = {k: value for k, value in content.items() if not isinstance(value, Tensor)}
            tables.update({f"{part}.{k}": content[k] for k in content if k not in kept[part]})
    return kept, tables


def _with_tables(targets: dict[str, Any], tables: dict[str, Tensor]) -> dict[str, Any]:
    """The inverse."""
    for path, tensor in tables.items():
        part, name = path.split(".")
        targets = targets | {part: targets[part] | {name: tensor}}
    return targets


def save_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put a model in the place of what is in a folder, whole or not at all.

    Raises:
        LSCError: it cannot be written, or holds something else, which would be lost.
    """
    if other := not_sealed(folder):
        raise LSCError(
            f"{folder} holds something else than a model ({inert(other)}): choose another folder"
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        write_folder(folder, files)
    except OSError as error:
        raise LSCError(
            f"{folder} cannot be written ({error.strerror}): make room or choose another; what "
            "was there is as it was"
        ) from error


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
            files = read_folder(folder, mapped=[_TABLES, _MEMORY, LEARNER[2]])
        except DamagedError:
            if not Path(given).is_dir():
                raise LSCError(f"there is no folder {given}: pass that of a run or model") from None
            if not (folder / _DESCRIPTION).is_file():
                raise LSCError(
                    f"{folder} holds no model ({_DESCRIPTION} is missing): runs of strategy=lsc "
                    "leave one after their first experience, others none"
                ) from None
            raise
        with _damage_named(folder):
            description = json.loads(files[_DESCRIPTION])
            if description["format"] not in _READABLE:
                raise LSCError(
                    f"the model in {folder} has format {description['format']}, this version "
                    f"reads {_READABLE[0]} to {_READABLE[-1]}: use the version that wrote it"
                )
        return cls(folder, description, files, trust_code)

    def model(self) -> tuple[TargetClassifier, ModelSpec]:
        """The classifier and its specification, as `load_model` gives them."""
        with _damage_named(self.folder), self._names():
            stored = self.description["spec"]
            spec = ModelSpec(**{**stored, "input_shape": tuple(stored["input_shape"])})
            weights = load(self.files[_WEIGHTS])
            if spec.hidden is None:  # the default of its time, whatever that was
                spec.hidden = len(weights.get("hidden.1.bias", ()))
            if is_ready(spec.encoder) and not spec.architecture:
                raise ValueError("it does not say how its encoder is built")
            if not self.trust_code:
                check_claims(spec, weights)
            model = spec.build()
            model.load_state_dict(weights)
            tables = mapped_tensors(self.files[_TABLES]) if _TABLES in self.files else {}
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
            tensors = load(self.files[_CALIBRATION])
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
            outputs, features = load(self.files[_WEIGHTS])["projection.weight"].shape
            memory = self.files[_MEMORY]
            if len(memory) > 8 * (1 + features + outputs) ** 2 + 4 * _KEPT * features + _BESIDE:
                raise ValueError("its memory is larger than such a model has")
            return state | {"memory": state["memory"] | mapped_tensors(memory)}

    def damage_named(self) -> AbstractContextManager[None]:
        """Says of files that do not hold what they should that they are damaged."""
        return _damage_named(self.folder)

    def _names(self) -> AbstractContextManager[None]:
        return names_from_file(self.folder / _DESCRIPTION, self.trust_code)


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
