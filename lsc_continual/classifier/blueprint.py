"""What a stored specification claims, checked against the stored weights before memory is taken.

The network is built without memory first (torch's device "meta"): its shapes have to be those of
the weights, which are as large as their file. So a small file never asks for a large network.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_parameter_registration_hook,
)

from lsc_continual.classifier.spec import ModelSpec
from lsc_continual.errors import LSCError

LARGEST_ACTIVATION = 2**28
"""Bytes that the output of a layer may take for one image."""

_MORE_BYTES = 2**26  # of layers that are built and then left out, such as an encoder's last one
_MORE_TENSORS = 1000


class ClaimError(LSCError):
    """A specification that asks for another network than its weights are of."""


def check_claims(spec: ModelSpec, weights: Mapping[str, Tensor]) -> None:
    """Make sure that the network of a specification is that of the weights.

    Args:
        spec: as it was read; of no code but this package's.
        weights: by their names in the network.

    Raises:
        ClaimError: it is another network, or one that takes more memory for an image than
            `LARGEST_ACTIVATION` allows.
    """
    _check_types(spec)
    if weights["projection.bias"].shape != (spec.dim,):
        raise ClaimError(f"its weights are not for {spec.dim} dimensions")
    head = spec.make_head()
    stored = sum(tensor.nbytes for tensor in weights.values())
    budget = _Budget(stored + _MORE_BYTES, 4 * len(weights) + _MORE_TENSORS)
    try:
        with torch.device("meta"), budget.kept():
            shapes = {name: t.shape for name, t in spec.build(head=head).state_dict().items()}
    except LSCError as error:
        if not isinstance(error.__cause__, NotImplementedError):
            raise
        if spec.encoder_options:  # some of torchvision's look at numbers while they are built
            raise ClaimError(
                f"encoder {spec.encoder!r} cannot be checked with {spec.encoder_options}"
            ) from error
        return
    for name in shapes.keys() | weights.keys():
        have = tuple(weights[name].shape) if name in weights else "nothing"
        want = tuple(shapes[name]) if name in shapes else "nothing"
        if have != want:
            raise ClaimError(f"{name} has shape {have}, and the network {want}")


def _check_types(spec: ModelSpec) -> None:
    shape, names = spec.input_shape, spec.class_names
    if len(shape) != 3 or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ClaimError(f"no image has the shape {shape}")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ClaimError("its names of classes are not a list of texts")
    if not isinstance(spec.architecture, dict):
        raise ClaimError("its encoder's architecture is not described")
    if unknown := spec.head.keys() - {
        "allocation",
        "seed",
        "scale",
        "unknown_prior",
        "normalize",
        "capacity",
        "dense_classes",
    }:
        raise ClaimError(f"a head has no {', '.join(sorted(unknown))}")


class _Budget:
    """Counts what is built in this thread, and ends it when it is too much."""

    def __init__(self, bytes_: int, tensors: int) -> None:
        self.bytes, self.tensors = bytes_, tensors
        self._thread = threading.get_ident()

    @contextmanager
    def kept(self) -> Iterator[None]:
        handles = [
            register_module_parameter_registration_hook(self._registered),
            register_module_buffer_registration_hook(self._registered),
            register_module_forward_hook(self._passed),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _registered(self, module: nn.Module, name: str, tensor: Tensor | None) -> None:
        if tensor is None or threading.get_ident() != self._thread:
            return
        self.bytes -= tensor.nbytes
        self.tensors -= 1
        if self.bytes < 0 or self.tensors < 0:
            raise ClaimError("the network that it describes is larger than its weights")

    def _passed(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if threading.get_ident() != self._thread or not isinstance(output, Tensor):
            return
        if output.nbytes > LARGEST_ACTIVATION:
            raise ClaimError(
                f"an image takes {output.nbytes / 2**30:.1f} GiB in a layer of the network"
            )
