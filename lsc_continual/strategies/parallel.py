"""One model trained by several processes."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel


def replicate(model: nn.Module, device: torch.device) -> DistributedDataParallel:
    """The model as one of several replicas whose gradients are averaged at every step.

    Batch normalisation takes its statistics over all processes, so that they learn what one
    process would learn from the whole batch. Parameters stay the same objects.
    """
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
    else:  # torch's own works on GPUs only
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.__class__ = _synchronized(type(module))
    with warnings.catch_warnings():  # a later torch has another name for the third argument
        warnings.simplefilter("ignore")
        return DistributedDataParallel(
            model,
            device_ids=[device] if device.type == "cuda" else None,
            broadcast_buffers=False,  # they are equal already
            gradient_as_bucket_view=True,
        )


class _Sum(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def _synchronized(kind: type[_BatchNorm]) -> type[_BatchNorm]:
    return type(f"Synchronized{kind.__name__}", (_SynchronizedBatchNorm, kind), {})


class _SynchronizedBatchNorm(_BatchNorm):
    """Batch normalisation (arXiv 1502.03167) over the batches of all processes."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        dims = [d for d in range(input.ndim) if d != 1]
        values = input.float()
        own_count = values.new_tensor([values.numel() / values.shape[1]])
        sums: Tensor = _Sum.apply(torch.cat([values.sum(dims), own_count]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        shape = [1, -1] + [1] * (input.ndim - 2)
        centred = values - mean.view(shape)
        variance: Tensor = _Sum.apply(centred.square().sum(dims)) / count
        if self.track_running_stats:
            self._follow(mean.detach(), (variance * count / (count - 1).clamp_min(1)).detach())
        normalized = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normalized = normalized * self.weight.view(shape) + self.bias.view(shape)
        return normalized.to(input.dtype)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards those of the batch."""
        assert self.num_batches_tracked is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        self.num_batches_tracked += 1
        rate = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean), rate)
        self.running_var.lerp_(variance.to(self.running_var), rate)
