"""What a network takes by the data, and settings by the network that is there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from lsc_continual.classifier.spec import ModelSpec
from lsc_continual.encoders.names import is_ready
from lsc_continual.inputs.labelled import Labelled
from lsc_continual.inputs.reading import common_format
from lsc_continual.settings import Settings


def shape_of(labelled: Labelled, settings: Settings) -> tuple[int, int, int] | None:
    """Channels, height and width of what a network for such data takes; None: the encoder says."""
    if is_ready(settings.encoder.name):
        return None
    if isinstance(labelled.data, np.ndarray):
        shape = labelled.data.shape[1:]
        return (shape[0], 1, 1) if len(shape) == 1 else shape
    side, channels = settings.data.resolution, 3
    if side is None:
        side, channels = common_format(Path(), [str(path) for path in labelled.data])
    return channels, side, side


def settings_of(settings: Settings, spec: ModelSpec) -> Settings:
    """Settings whose network is that of a specification, which was checked against its weights."""
    encoder = replace(
        settings.encoder,
        name=spec.encoder,
        options=dict(spec.encoder_options),
        weights=None,
        hidden=spec.hidden,
        standardize=spec.standardize,
    )
    return replace(
        settings,
        encoder=encoder,
        system=replace(settings.system, name=spec.system, dim=spec.dim),
        data=replace(settings.data, mean=spec.mean, std=spec.std),
        analytic=replace(
            settings.analytic, features=spec.random_features.get("features", 1), base_epochs=0
        ),
    )
