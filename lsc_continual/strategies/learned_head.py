"""The honest twin of LSC: all the same, but for a linear head that is learned, and grows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from torch import nn

from lsc_continual.errors import LSCError
from lsc_continual.experiences.classes import arriving_classes
from lsc_continual.machine import distributed
from lsc_continual.network.target_classifier import TargetClassifier
from lsc_continual.strategies.assembly import Assembly, Conditions
from lsc_continual.strategies.lsc import build_lsc
from lsc_continual.strategies.stages import Stage, Staged


class GrowingHead(Staged, SupervisedPlugin, supports_distributed=True):  # type: ignore[call-arg]
    """Makes the projection of a classifier a linear head with a row for each class.

    The targets have to be those of an orthogonal frame: then a class's logit is its own row's. A
    row is drawn, as in any linear layer, when its class arrives. Before that it is zero and nothing
    of it counts: neither in the length of embeddings, nor, with an unknown prior of 0, in the loss,
    so that it gets no gradient. Rows of classes that are still to come are memory set aside for
    them; but for AdamW's count of steps, which is that of the whole layer, the network is what it
    would be if they were added one by one. Novelty scores that look at all vectors of the system,
    such as `doubt`, count these rows, too.

    Args:
        model: before the first class.
    """

    stage = Stage.LOADER

    def __init__(self, model: TargetClassifier) -> None:
        super().__init__()
        with torch.no_grad():
            model.projection.weight.zero_()
            model.projection.bias.zero_()

    @torch.no_grad()
    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        model, projection = strategy.model, strategy.model.projection
        targets = model.head.targets
        ordinals = targets.require_ordinals(arriving_classes(strategy.experience))
        rows = targets.vectors(ordinals).argmax(-1).to(projection.weight.device)
        rows = rows[~projection.weight[rows].any(-1)]  # those of classes that are new
        if not len(rows):
            return
        fresh = nn.Linear(projection.in_features, len(rows))
        weight, bias = map(distributed.from_first, (fresh.weight.data, fresh.bias.data))
        projection.weight[rows] = weight.to(projection.weight)
        projection.bias[rows] = bias.to(projection.bias)


def build_learned_head(conditions: Conditions) -> Assembly:
    """As `strategy=lsc`, with a learned head in the place of targets and projection."""
    settings = conditions.settings
    if settings.loss.unknown_prior:
        raise LSCError(
            "a learned head has no targets but those of classes: leave out loss.unknown_prior"
        )
    rows = max(2, len(conditions.data.class_names))
    frame = replace(
        settings,
        system=replace(settings.system, name="orthogonal", dim=rows),
        allocation=replace(settings.allocation, name="affine"),
        loss=replace(settings.loss, unknown_prior=0.0),
    )
    assembly = build_lsc(replace(conditions, settings=frame))
    assembly.strategy.plugins.append(GrowingHead(assembly.strategy.model))
    return replace(assembly, about=f"a learned head of {rows} rows, one for each class")
