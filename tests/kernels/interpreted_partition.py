"""The structured softmax for GPUs in Triton's interpreter, against float64; a program of its own.

Triton looks once, when it is imported, whether to interpret. What is wrong is printed.
"""

from __future__ import annotations

import warnings
from math import sqrt
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

from lsc_continual import TargetHead, make_system
from lsc_continual.kernels import gpu
from lsc_continual.kernels.triton_partition import log_opposites_sum
from lsc_continual.systems.partition import log_arrangement_sum

SIGNS = [(1, 0), (0, 1), (2, 0), (0, 2), (1, 1), (2, 1), (1, 2), (2, 2)]


def logits(dim: int, norm: float) -> Tensor:
    """Random directions, equal coordinates, one that dwarfs the others, two, signs, ties, none."""
    x = torch.randn(14, dim, generator=torch.Generator().manual_seed(dim))
    x[0], x[1] = 1, -1
    x[2:6] *= 1e-12
    x[2, 0], x[3, -1], x[4, 1], x[4, -1], x[5, 0], x[5, 1] = 1, -1, 1, 1, 1, -1
    x[6], x[7], x[8], x[9] = x[6].round(), (x[7] > 0).float(), x[8].abs(), -x[9].abs()
    x = norm * F.normalize(x, dim=-1)
    x[10] += norm
    x[11] = 0
    return x


def exact(x: Tensor, m: int, k: int) -> tuple[Tensor, Tensor]:
    step = 1 / sqrt(m + k)
    x = x.detach().double().requires_grad_()
    total = log_arrangement_sum(x, (step, 0.0, -step), (m, x.shape[-1] - m - k, k))
    return total.detach(), torch.autograd.grad(total.sum(), x)[0]


def check(what: str, x: Tensor, m: int, k: int) -> None:
    total, slope = log_opposites_sum(x, 1 / sqrt(m + k), m, k, True)
    expected, expected_slope = exact(x.float(), m, k)
    near = total.double().allclose(expected, rtol=1e-6, atol=1e-6)
    if not (near and slope.double().allclose(expected_slope, rtol=0, atol=1e-6)):
        print(f"{what}: the sum over v{m}{k} in {x.shape[-1]} dimensions or its gradient differs")


def step(head: TargetHead, z: Tensor) -> tuple[Tensor, ...]:
    """Loss, gradient, and gradient of the gradient's square."""
    z = z.detach().requires_grad_()
    loss = -head.log_prob(z, torch.arange(len(z))).float()
    (slope,) = torch.autograd.grad(loss.sum(), z, create_graph=True)
    return loss.detach(), slope.detach(), torch.autograd.grad(slope.square().sum(), z)[0]


def check_steps(prior: float) -> None:
    """All the way that embeddings on a GPU take."""
    head = TargetHead(make_system("v21", 24), unknown_prior=prior)
    head.add_classes(range(40))
    z = torch.randn(20, 24, generator=torch.Generator().manual_seed(0))
    for short in (z, z.half(), z.bfloat16()):
        expected = step(head, short)
        with mock.patch.object(gpu, "usable", lambda z: z.dtype != torch.float64):
            found = step(head, short)
            with torch.inference_mode():
                same = head.log_total(short).allclose(head.log_total(short.double()).float())
        for ours, theirs in zip(found, expected):
            same &= ours.dtype == theirs.dtype and ours.allclose(theirs, rtol=1e-3, atol=1e-5)
        if not same:
            print(f"a step with unknown prior {prior} in {short.dtype} differs")


def main() -> None:
    warnings.simplefilter("error", UserWarning)  # a kernel that fails its trial warns
    for m, k in SIGNS:
        for n in (m + k + max(m, k), 7, 100):
            for norm in (1.0, 16.0, 50_000.0):
                check(f"norm {norm}", logits(n, norm), m, k)
    check("the usual size", logits(384, 16.0), 2, 1)
    x = logits(70, 16.0)
    check("16 bits", x.half(), 2, 1)
    check("short numbers", x.bfloat16(), 2, 2)
    check("columns", x.T.contiguous().T, 2, 1)
    check("rows among others", torch.cat([x, x], -1)[::2, 35:105], 1, 1)
    check("one row", x[3:4], 2, 1)
    check("many coordinates", logits(3000, 16.0)[:3], 2, 1)
    if log_opposites_sum(x[:0], 0.5, 2, 1, True)[1].shape != (0, 70):
        print("no rows have a gradient of another shape")
    total, slope = log_opposites_sum(x.reshape(2, 7, 70), 0.5, 2, 1, False)
    if total.shape != (2, 7) or slope.numel():
        print("results have another shape")
    x[1, 5], x[2, 6], x[3] = torch.nan, -torch.nan, torch.nan
    unknown = log_opposites_sum(x, 0.5, 2, 1, True)[0].isnan()
    if unknown.nonzero().squeeze(-1).tolist() != [1, 2, 3]:
        print("numbers that are none give a number, or spread")
    for prior in (1.0, 0.01):
        check_steps(prior)


if __name__ == "__main__":
    main()
