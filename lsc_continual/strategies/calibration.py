"""A detector that is calibrated anew after every experience."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor

from lsc_continual.errors import LSCError
from lsc_continual.learners.analytic import AnalyticLearner
from lsc_continual.novelty.detector import NoveltyDetector
from lsc_continual.strategies.buffer import ReservoirBuffer
from lsc_continual.strategies.forward import gathered, passes
from lsc_continual.strategies.resumable import Resumable, State
from lsc_continual.strategies.stages import Stage, Staged


class Calibration(Staged, SupervisedPlugin, Resumable, supports_distributed=True):  # type: ignore[call-arg]
    """Keeps the threshold of a detector true while a strategy of this package learns.

    Args:
        detector: of the strategy's head.
    """

    stage = Stage.CALIBRATION
    store: ReservoirBuffer | None = None
    """The held-out inputs that are kept, if there are any."""

    def __init__(self, detector: NoveltyDetector) -> None:
        super().__init__()
        self.detector = detector
        self.problem: str | None = None
        """Why there is no threshold after the latest experience; None where there is one."""

    @abstractmethod
    def calibrate(self, strategy: Any) -> None:
        """Calibrate the detector for the network as it is; LSCError where that cannot be."""

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self.problem = None
        try:
            self.calibrate(strategy)
        except LSCError as error:
            self.problem = str(error)
            warnings.warn(f"novelty is not calibrated after this experience: {error}", stacklevel=1)

    def state(self) -> State:
        detector = self.detector
        return {
            "known": detector.known,
            "reference": detector.reference,
            "scale": detector.scale,
            "problem": self.problem,
        }

    def load_state(self, state: State, strategy: Any, stream: Any) -> None:
        self.problem = state.get("problem")
        known, reference = state["known"], state["reference"]
        if known is None:
            return
        among = self.store is None
        reference = None if among else reference.to(strategy.device)
        known, scale = known.to(strategy.device), state.get("scale")
        self.detector.calibrate(known, reference, scale, among_themselves=among)


class NoveltyCalibration(Calibration, supports_distributed=True):  # type: ignore[call-arg]
    """Calibrates on held-out inputs.

    Those of the classes seen so far, in their natural proportions, lie in a buffer of fixed size.
    After each experience they go through the network as it is then, and the detector is calibrated
    on where they land: also where old classes have drifted or are forgotten.

    Args:
        detector: of the strategy's head.
        held_out: for each experience of the training stream, a data set of inputs that are like its
            own and not in it.
        size: held-out inputs that are kept.
        reference: a replay buffer (with an attribute `buffer`), whose embeddings fitted scores
            compare with; by default every other held-out input.
    """

    store: ReservoirBuffer

    def __init__(
        self,
        detector: NoveltyDetector,
        held_out: Sequence[Any],
        size: int = 2000,
        reference: Any = None,
    ) -> None:
        super().__init__(detector)
        self.held_out = held_out
        self.store = ReservoirBuffer(size, balanced=False)
        self.reference = reference

    def calibrate(self, strategy: Any) -> None:
        number = strategy.experience.current_experience
        self.store.update_from_dataset(self.held_out[number], number)
        if self.reference is None:
            count = len(self.store.buffer)
            parts = [self.store.buffer.subset(range(start, count, 2)) for start in (1, 0)]
        else:
            parts = [self.store.buffer, self.reference.buffer]
        known, reference = (embeddings(strategy, part) for part in parts)
        self.detector.calibrate(known, reference)

    def state(self) -> State:
        return {"store": self.store.state(), **super().state()}

    def load_state(self, state: State, strategy: Any, stream: Any) -> None:
        self.store.load_state(state["store"], self.held_out)
        super().load_state(state, strategy, stream)


class LeftOutCalibration(Calibration, supports_distributed=True):  # type: ignore[call-arg]
    """Calibrates an analytic learner on what it learned from, each sample as if it had not been.

    Args:
        detector: of the strategy's head.
        learner: knows where its samples would land without themselves.
    """

    def __init__(self, detector: NoveltyDetector, learner: AnalyticLearner) -> None:
        super().__init__(detector)
        self.learner = learner

    def calibrate(self, strategy: Any) -> None:
        z, _ = self.learner.left_out(strategy.model.head.targets.vectors)
        self.detector.calibrate(z.to(strategy.device), among_themselves=True)


def embeddings(strategy: Any, dataset: Any) -> Tensor:
    """Embeddings of a data set by a strategy's network as it is: FloatTensor[count, dim].

    Inputs are changed as for evaluation, and computed in full precision, as they will be when the
    network is used. Of several processes, each computes a part of them.
    """
    model = strategy.model
    passed = list(passes(strategy, dataset, lambda images: model.embed(images).float().cpu()))
    parts = [torch.zeros(0, model.head.system.dim), *(batch.output for batch in passed)]
    return gathered(parts, [batch.samples for batch in passed]).to(strategy.device)
