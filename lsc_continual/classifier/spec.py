"""What a network consists of, in JSON types: enough to build it again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from lsc_continual.encoders import make_encoder
from lsc_continual.encoders.names import takes_texts
from lsc_continual.encoders.random_features import RandomFeatures
from lsc_continual.encoders.ready.base import cut_of
from lsc_continual.inputs.decoding import Decoding
from lsc_continual.inputs.preparation import Preparation
from lsc_continual.network.heads import TargetHead
from lsc_continual.network.target_classifier import TargetClassifier
from lsc_continual.settings.data import MAX_PIXELS
from lsc_continual.systems import make_system


@dataclass
class ModelSpec:
    """Everything that is needed to build the network again."""

    encoder: str
    input_shape: tuple[int, int, int]
    class_names: list[str]
    """Name of each class label."""
    encoder_options: dict[str, Any] = field(default_factory=dict)
    mean: list[float] | None = None
    std: list[float] | None = None
    system: str = "v21"
    dim: int = 64
    head: dict[str, Any] = field(default_factory=dict)
    """Options of the `TargetHead`."""
    inverted: bool = False
    """Whether the network was trained on the negatives of image files."""
    depth: int | None = None
    """Bits of a grey value in image files that do not say it."""
    random_features: dict[str, Any] = field(default_factory=dict)
    """Options of the `RandomFeatures` between encoder and projection; empty for none."""
    standardize: bool | None = False  # models before format 6 do not say
    """Whether features are standardised, as in `TargetClassifier`."""
    hidden: int | None = 0  # models before format 7 do not say
    """Units between features and projection, as in `TargetClassifier`."""
    architecture: dict[str, Any] = field(default_factory=dict)
    """How an encoder of other people's is built (`ReadyEncoder`); empty for others."""

    @property
    def kind(self) -> str:
        """What its inputs are: "texts", "vectors" or "images"."""
        if takes_texts(self.encoder):
            return "texts"
        return "vectors" if self.input_shape[1:] == (1, 1) else "images"

    def preparation(self, max_pixels: int = MAX_PIXELS) -> Preparation:
        """How inputs become what the network takes.

        Args:
            max_pixels: that an image file may have while it is decoded, as in `data.max_pixels`.
        """
        return Preparation(
            self.input_shape,
            self.inverted,
            Decoding(self.depth, max_pixels),
            cut_of(self.architecture),
            texts=self.kind == "texts",
        )

    def make_head(self) -> TargetHead:
        """Its target head, which has no weights."""
        head = TargetHead(make_system(self.system, self.dim), **self.head)
        head.targets.class_names = self.class_names
        return head

    def build(
        self, weights: str | None = None, *, head: TargetHead | None = None
    ) -> TargetClassifier:
        """The untrained classifier.

        Args:
            weights: of the encoder, as `make_encoder` takes them.
            head: by default a new one.
        """
        encoder = make_encoder(
            self.encoder,
            self.input_shape,
            weights=weights,
            options=self.encoder_options,
            mean=self.mean,
            std=self.std,
            architecture=self.architecture or None,
        )
        if self.random_features:
            width = getattr(encoder, "num_features", None)
            if width is None:
                with torch.no_grad():
                    width = encoder(torch.zeros(1, *self.input_shape)).flatten(1).shape[1]
            encoder = RandomFeatures(encoder, width=width, **self.random_features)
        head, classes = head or self.make_head(), len(self.class_names)
        model = TargetClassifier(encoder, head, self.standardize, self.hidden, classes)
        if not model.is_settled:
            model.settle(torch.zeros(1, *self.input_shape))
        return model
