"""What would be launched on GPUs, compiled for them, on machines that have none."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

from lsc_continual.kernels import gpu

ARCHITECTURES = (75, 80, 90)  # Turing, Ampere, Hopper
needs_triton = pytest.mark.skipif(not gpu.available(), reason="there is no Triton here")

_TYPES = {
    torch.float32: "*fp32",
    torch.float16: "*fp16",
    torch.bfloat16: "*bf16",
    torch.int64: "*i64",
    int: "i32",
    float: "fp32",
}


class _Recorder:
    """In the place of a kernel."""

    def __init__(self) -> None:
        self.launches: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def __getitem__(self, grid: object) -> Callable[..., None]:
        return lambda *values, **options: self.launches.append((values, options))


def compile_launch(module: ModuleType, name: str, call: Callable[[], object], architecture: int):
    """Machine code of the kernel `name` of a module as `call` launches it."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    kernel, recorder = getattr(module, name), _Recorder()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, name, recorder)
        call()
    ((values, options),) = recorder.launches
    types = [
        _TYPES[value.dtype if isinstance(value, torch.Tensor) else type(value)] for value in values
    ]
    constants = {each: options.pop(each) for each in kernel.arg_names[len(values) :]}
    signature = dict(zip(kernel.arg_names, types)) | dict.fromkeys(constants, "constexpr")
    source = ASTSource(kernel, signature, constants)
    target = GPUTarget("cuda", architecture, 32)
    return compile(source, target=target, options=options).asm["cubin"]
