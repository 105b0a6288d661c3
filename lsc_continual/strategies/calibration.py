"""A detector that is calibrated anew after every experience."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor

from lsc_continual.errors import LSCError
from lsc_continual.novelty.detector import NoveltyDetector
from lsc_continual.strategies.buffer import ReservoirBuffer
from lsc_continual.strategies.forward import gathered, passes
from lsc_continual.strategies.resumable import Resumable, State
from lsc_continual.strategies.stages import Stage, Staged


class NoveltyCalibration(Staged, SupervisedPlugin, Resumable, supports_distributed=True):  # type: ignore[call-arg]
    """Keeps the threshold of a detector true while the network learns.

    Held-out inputs of the classes seen so far, in their natural proportions, lie in a buffer of
    fixed size. After each experience they go through the network as it is then, and the detector
    is calibrated on where they land: also where old classes have drifted or are forgotten.

    For strategies of this package.

    Args:
        detector: of the strategy's head.
        held_out: for each experience of the training stream, a data set of inputs that are like its
            own and not in it.
        size: held-out inputs that are kept.
        reference: a replay buffer (with an attribute `buffer`), whose embeddings fitted scores
            compare with; by default every other held-out input.
    """

    stage = Stage.CALIBRATION

    def __init__(
        self,
        detector: NoveltyDetector,
        held_out: Sequence[Any],
        size: int = 2000,
        reference: Any = None,
    ) -> None:
        super().__init__()
        self.detector = detector
        self.held_out = held_out
        self.store = ReservoirBuffer(size, balanced=False)
        self.reference = reference
        self.problem: str | None = None
        """Why there is no threshold after the latest experience; None where there is one."""

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        number = strategy.experience.current_experience
        self.store.update_from_dataset(self.held_out[number], number)
        if self.reference is None:
            count = len(self.store.buffer)
            parts = [self.store.buffer.subset(range(start, count, 2)) for start in (1, 0)]
        else:
            parts = [self.store.buffer, self.reference.buffer]
        known, reference = (embeddings(strategy, part) for part in parts)
        self.problem = None
        try:
            self.detector.calibrate(known, reference)
        except LSCError as error:
            self.problem = str(error)
            warnings.warn(f"novelty is not calibrated after this experience: {error}", stacklevel=1)

    def state(self) -> State:
        detector = self.detector
        return {
            "store": self.store.state(),
            "known": detector.known,
            "reference": detector.reference,
            "scale": detector.scale,
            "problem": self.problem,
        }

    def load_state(self, state: State, strategy: Any, stream: Any) -> None:
        self.store.load_state(state["store"], self.held_out)
        self.problem = state.get("problem")
        if state["known"] is not None:
            known, reference = (state[n].to(strategy.device) for n in ("known", "reference"))
            self.detector.calibrate(known, reference, state.get("scale"))


def embeddings(strategy: Any, dataset: Any) -> Tensor:
    """Embeddings of a data set by a strategy's network as it is: FloatTensor[count, dim].

    Inputs are changed as for evaluation, and computed in full precision, as they will be when the
    network is used. Of several processes, each computes a part of them.
    """
    model = strategy.model
    passed = list(passes(strategy, dataset, lambda images: model.embed(images).float().cpu()))
    parts = [torch.zeros(0, model.head.system.dim), *(batch.output for batch in passed)]
    return gathered(parts, [batch.samples for batch in passed]).to(strategy.device)
