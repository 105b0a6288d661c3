"""Classes that were never trained on are never predicted."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor

from lsc_continual.experiences.classes import classes_in_training
from lsc_continual.strategies.stages import Stage, Staged


class MaskUnseen(Staged, SupervisedPlugin, supports_distributed=False):  # type: ignore[call-arg]
    """Takes classes that were never trained on out of a network's output at evaluation.

    Without it, the untrained outputs of a head of fixed width could win, and so could the zeros
    that Avalanche's nearest-mean classifier has in the place of means it does not know. Put it
    before the plugins that read the output.
    """

    stage = Stage.SCORE

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[int] = set()

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._seen.update(classes_in_training(strategy))

    def after_eval_forward(self, strategy: Any, **kwargs: Any) -> None:
        strategy.mb_output = self.masked(strategy.mb_output)

    def masked(self, output: Tensor) -> Tensor:
        """FloatTensor[batch, classes] with −∞ in the columns of classes never trained on."""
        if not self._seen:  # Avalanche may evaluate before the first experience
            return output
        unseen = torch.ones(output.shape[1], dtype=torch.bool, device=output.device)
        unseen[sorted(self._seen)] = False
        return output.masked_fill(unseen, -torch.inf)


class LogitScores:
    """msp and energy: novelty scores that need nothing but logits, higher = more novel.

    msp: minus the largest softmax probability (Hendrycks and Gimpel, ICLR 2017); energy: minus the
    log of the sum of exponentials (Liu et al., NeurIPS 2020). `OODScores` has more.

    Args:
        mask: what takes the classes that were never trained on out.
    """

    def __init__(self, mask: MaskUnseen) -> None:
        self.mask = mask

    def __call__(self, images: Tensor, output: Tensor) -> dict[str, Tensor]:
        """Inputs and the network's output -> scores, each FloatTensor[batch]."""
        logits = self.mask.masked(output)
        return {"msp": -logits.softmax(1).amax(1), "energy": -logits.logsumexp(1)}
