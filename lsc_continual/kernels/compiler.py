"""Loops over the rows of a batch, compiled by numba, and threads that share the rows.

Set LSC_COMPILE=0 in the environment to do without compiled loops, here and on GPUs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from importlib import import_module
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

_ROWS = 256  # that are worth a thread of their own
_DTYPES = (torch.float32, torch.float64)
_plain = ContextVar("plain", default=False)  # whether compiled code is left out for now


@contextmanager
def plain_torch() -> Iterator[None]:
    """Whatever begins herein is done without compiled code, whose loading takes half a second."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def wanted() -> bool:
    """Whether the environment allows for compiled code."""
    return os.environ.get("LSC_COMPILE", "1") != "0" and not _plain.get()


def available() -> bool:
    """Whether loops can be compiled here."""
    return wanted() and can_import("numba")


@cache
def can_import(module: str) -> bool:
    """Whether a module, of compilers, can be imported here."""
    try:
        import_module(module)
    except Exception:  # not installed, or not for this machine, or not for this numpy
        return False
    return True


def usable(z: Tensor) -> bool:
    """Whether compiled loops can work on embeddings: on the CPU, in float32 or float64."""
    return z.device.type == "cpu" and z.dtype in _DTYPES and is_concrete(z) and available()


def is_concrete(z: Tensor) -> bool:
    """Whether a tensor has its numbers at hand: it is neither traced nor transformed."""
    return (
        type(z) in (Tensor, torch.nn.Parameter)
        and not torch.compiler.is_compiling()
        and not torch._C._functorch.is_functorch_wrapped_tensor(z)  # whose type is Tensor
    )


def jit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Decorator: compiled at the first call, and kept on disk for later processes if possible.

    Modules that use it are imported only where `available()`. Options are those of `numba.njit`.
    """
    from numba import njit

    if function is None:
        return partial(jit, **options)
    options = {"nogil": True, "error_model": "numpy"} | options
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # there is no folder that can be written to
        return njit(**options)(function)


def over_rows(loop: Callable[..., None], rows: int, *arguments: Any) -> None:
    """Run loop(start, stop, *arguments) over rows 0 … `rows` − 1, on as many threads as torch has.

    Args:
        loop: writes its results into arrays, for the rows from `start` to before `stop` only.
        arguments: tensors on the CPU, which it gets as arrays, and numbers.
    """
    values = [
        argument.detach().numpy() if isinstance(argument, Tensor) else argument
        for argument in arguments
    ]
    threads = max(1, min(torch.get_num_threads(), rows // _ROWS))
    bounds = [rows * i // threads for i in range(threads + 1)]
    others = [
        _pool(threads).submit(loop, start, stop, *values) for start, stop in pairwise(bounds[1:])
    ]
    loop(bounds[0], bounds[1], *values)
    for other in others:
        other.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads - 1, thread_name_prefix="rows")


os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has none of these threads
