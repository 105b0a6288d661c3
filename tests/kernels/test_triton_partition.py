"""The structured softmax for GPUs, on machines that have none."""

from __future__ import annotations

import warnings

import pytest
import torch

from lsc_continual.kernels import gpu
from lsc_continual.systems import make_system, partition
from tests.kernels.compiling import ARCHITECTURES, compile_launch, needs_triton
from tests.processes import Process


@needs_triton
def test_it_is_the_sum_in_float64_with_its_gradient(tmp_path):
    module = ("tests.kernels.interpreted_partition",)
    process = Process(tmp_path, variables={"TRITON_INTERPRET": "1"}, module=module)
    code, output, errors = process.end()
    assert (code, output) == (0, ""), errors


@needs_triton
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("m", "k"), [(2, 2), (0, 1)])
def test_what_is_launched_compiles_for_gpus(tmp_path, monkeypatch, architecture, m, k):
    """The interpreter takes more than the compiler does."""
    from lsc_continual.kernels import triton_partition

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    launch = lambda: triton_partition.log_opposites_sum(torch.randn(5, 48), 0.5, m, k, True)  # noqa: E731
    assert compile_launch(triton_partition, "_sum_rows", launch, architecture)


class Kernel:
    """In the place of the kernel: right, but for what it `does` to its results."""

    def __init__(self, plain):
        self._plain = plain
        self.does = lambda total, slope: (total, slope)
        self.calls = []

    def __call__(self, x, with_gradient):
        self.calls.append((len(x), x.dtype, with_gradient))
        return self.does(*self._plain(x, with_gradient))


@pytest.fixture
def on_gpu(monkeypatch):
    """As if the CPU were a GPU: the system, and what is in the place of its kernel."""
    monkeypatch.setattr(gpu, "_refused", set())
    system = make_system("v21", 16)
    _, others = partition._relative(system._unit_values, system.counts)
    made = partition._on_gpu.__wrapped__(16, others, partition._as_opposites(others))
    kernel = made.kernel = Kernel(made.plain)
    monkeypatch.setattr(partition, "_on_gpu", lambda *_: made)
    monkeypatch.setattr(gpu, "usable", lambda z: z.dtype != torch.float64)
    return system, kernel


def loss_and_slope(system, z):
    z = z.detach().requires_grad_()
    loss = system.log_partition(z, 8.0)
    return loss.detach(), torch.autograd.grad(loss.sum(), z)[0]


def test_embeddings_on_gpus_go_there_in_float32_and_one_gradient_is_taken(on_gpu):
    system, kernel = on_gpu
    z = torch.randn(5, 16)
    for short in (z, z.half(), z.bfloat16()):
        found, expected = loss_and_slope(system, short), loss_and_slope(system, short.double())
        assert found[0].dtype == torch.float32
        assert found[1].dtype == short.dtype
        assert torch.allclose(found[0], expected[0].float(), atol=1e-5)
        assert torch.allclose(found[1].double(), expected[1], atol=1e-2)
    with torch.inference_mode():
        system.log_partition(z)
    tried = kernel.calls[0][0]  # float32 is tried out first
    assert kernel.calls == [
        (tried, torch.float32, True),
        *[(5, torch.float32, True)] * 3,
        (5, torch.float32, False),
    ]


def test_it_is_tried_out_even_where_no_gradient_is_taken(on_gpu):
    system, kernel = on_gpu
    with torch.inference_mode():
        system.log_partition(torch.randn(5, 16))
    assert [with_gradient for _, _, with_gradient in kernel.calls] == [True, False]


@pytest.mark.parametrize(
    "does",
    [
        lambda total, slope: (total + 1e-2, slope),
        lambda total, slope: (total, slope * 1.01),
        lambda total, slope: (total, slope * torch.nan),
    ],
)
def test_where_it_fails_plain_torch_sums_after_one_warning(on_gpu, does):
    system, kernel = on_gpu
    kernel.does = does
    z = torch.cat([torch.randn(5, 16), torch.eye(16)])
    with pytest.warns(UserWarning, match="plain torch sums over vector systems on cpu.*differ"):
        found = loss_and_slope(system, z)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = loss_and_slope(system, z)
    assert len(kernel.calls) == 1  # the trial
    for values in (found, again):
        for ours, exact in zip(values, loss_and_slope(system, z.double())):
            assert torch.allclose(ours.double(), exact, atol=1e-6)


def test_systems_without_a_kernel_stay_in_float64(on_gpu):
    _, kernel = on_gpu
    z = torch.randn(5, 16)
    for name in ("v31", "a-interpolated", "hypercube"):
        system = make_system(name, 16)
        assert torch.equal(system.log_partition(z), system.log_partition(z.double()).float())
    assert not kernel.calls
