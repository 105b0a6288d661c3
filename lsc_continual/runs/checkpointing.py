"""When a run writes checkpoints, and when it stops."""

from __future__ import annotations

import time
import warnings
from typing import Any

from avalanche.core import SupervisedPlugin

from lsc_continual.machine import distributed
from lsc_continual.machine.interruption import InterruptedRunError, Interruption
from lsc_continual.runs.checkpoints import Checkpoints
from lsc_continual.runs.folder import RunFolder
from lsc_continual.strategies.resumable import State
from lsc_continual.strategies.stages import Stage, Staged

_EVERY = 10  # steps between two agreements of several processes


class Checkpointing(Staged, SupervisedPlugin, supports_distributed=True):  # type: ignore[call-arg]
    """Writes checkpoints as time passes and on signals, between two steps.

    Added after Avalanche's clock, which records too, so that a checkpoint counts the step it
    follows.

    Args:
        folder: of the run.
        checkpoints: where to; None for strategies that cannot be resumed: they only stop.
        minutes: between two of them within an experience.
        interruption: where signals are noted.
        run: called for what the run itself keeps.
    """

    stage = Stage.RECORD

    def __init__(
        self,
        folder: RunFolder,
        checkpoints: Checkpoints | None,
        minutes: float,
        interruption: Interruption,
        run: Any,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.checkpoints = checkpoints
        self.seconds = 60 * minutes
        self.interruption = interruption
        self._run = run
        self._last = time.monotonic()
        self.experience = 0
        """The experience under way."""
        self.trained = False
        """Whether it waits for its evaluation only."""

    def after_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        if distributed.world_size() > 1 and strategy.clock.train_iterations % _EVERY:
            return
        late = time.monotonic() - self._last >= self.seconds
        due, number = distributed.largest([float(late), float(self.interruption.number)])
        if due or number:
            self._write_if_possible(strategy)
        self._stop_at(number)

    def after_eval_iteration(self, strategy: Any, **kwargs: Any) -> None:
        if self.interruption.number and distributed.world_size() == 1:
            self._write_if_possible(strategy)
            self._stop_at(self.interruption.number)

    def experience_done(self, strategy: Any) -> None:
        """Write the checkpoint at the end of an experience; stop there if a signal came.

        Raises:
            LSCError: it cannot be written.
        """
        self.experience, self.trained = self.experience + 1, False
        with self.folder.writing("checkpoints"):
            self.write(strategy)
        self._stop_at(*distributed.largest([float(self.interruption.number)]))

    def _write_if_possible(self, strategy: Any) -> None:
        try:
            self.write(strategy)
        except OSError as error:
            warnings.warn(
                f"no checkpoint could be written ({error.strerror}): make room; the last good one "
                "is kept",
                stacklevel=2,
            )
            self._last = time.monotonic()

    def _stop_at(self, number: float) -> None:
        """Stop if a signal came, of this number; 0 is none."""
        if number:
            resumable = self.checkpoints is not None
            raise InterruptedRunError(int(number), self.folder.path, resumable)

    def write(self, strategy: Any) -> None:
        """Write a checkpoint now, if the strategy can be resumed from one."""
        if self.checkpoints is None:
            return
        state: State = {
            "experience": self.experience,
            "trained": self.trained,
            "strategy": strategy.state(),
            **self._run(),
        }
        if distributed.rank() == 0:
            self.checkpoints.write(strategy.clock.train_iterations, state)
        self._last = time.monotonic()
