"""The decoder for GPUs, on machines that have none, and what becomes of one that fails."""

from __future__ import annotations

import sys
import warnings

import pytest
import torch

from lsc_continual.kernels import compiler, gpu
from lsc_continual.systems import make_system
from lsc_continual.systems.numbering import Numbering
from lsc_continual.targets import Targets
from tests.kernels.compiling import ARCHITECTURES, compile_launch, needs_triton
from tests.processes import Process


@needs_triton
def test_it_decodes_as_plain_torch_does(tmp_path):
    module = ("tests.kernels.interpreted_decode",)
    process = Process(tmp_path, variables={"TRITON_INTERPRET": "1"}, module=module)
    code, output, errors = process.end()
    assert (code, output) == (0, ""), errors


@needs_triton
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("numbered", [False, True])
def test_what_is_launched_compiles_for_gpus(tmp_path, monkeypatch, architecture, numbered):
    """The interpreter takes more than the compiler does."""
    from lsc_continual.kernels import triton_decode

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    system, z = make_system("v22", 384), torch.randn(5, 384).bfloat16()
    rule = (Numbering.drawn(system.size, seed=0), 1000) if numbered else ()
    launch = lambda: system._on_gpu.kernel(z, *rule)  # noqa: E731
    assert compile_launch(triton_decode, "_decode_rows", launch, architecture)


class Decoder:
    """In the place of the kernel: right, but for what it `does` first."""

    def __init__(self, system, does):
        self._system = system
        self._does = does
        self.batches = []

    def __call__(self, z, *numbering):
        self.batches.append(len(z))
        return self._does(self._system._decode_numbered_plain(z.float(), *numbering))


def fail(decoded):
    raise RuntimeError("Failed to find C compiler.\nPlease specify via CC")


def changed(number, change):
    """The results, one of them changed."""
    return lambda decoded: [
        change(part) if place == number else part for place, part in enumerate(decoded)
    ]


DOES = {
    "Failed to find C compiler.": fail,
    "its answers differ": changed(0, lambda address: address + 1),
    "its answers differ ": changed(2, lambda gap: gap * torch.nan),
    "its answers differ  ": changed(3, lambda number: number + 1),
}


@pytest.fixture
def on_gpu(monkeypatch):
    """As if the CPU were a GPU, with this decoder."""
    monkeypatch.setattr(gpu, "_refused", set())

    def give(system, does):
        decoder = Decoder(system, does)
        system._on_gpu = gpu.CheckedKernel(
            "decodes", decoder, system._decode_numbered_plain, system._sample, 1e-3
        )
        return decoder

    return give


@pytest.mark.parametrize("trouble", DOES)
def test_where_it_fails_plain_torch_decodes_after_one_warning(on_gpu, trouble):
    system, other = make_system("v21", 64), make_system("v11", 30)
    decoder, untried = (on_gpu(each, DOES[trouble]) for each in (system, other))
    z = torch.randn(5, 64)
    with pytest.warns(UserWarning, match="plain torch decodes on cpu") as noted:
        found = system._on_gpu(z)
    assert str(noted[0].message).endswith(": " + trouble.strip())
    assert torch.equal(found[0], system._decode_plain(z).address)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(system._on_gpu(z.half())[1], system._decode_plain(z.half().float())[1])
        other._on_gpu(z[:, :30])
    assert len(decoder.batches) == 1  # the trial
    assert not untried.batches


def test_where_it_works_it_is_tried_once_for_each_number_format(on_gpu):
    system = make_system("v21", 64)
    decoder = on_gpu(system, lambda decoded: decoded)
    z = torch.randn(3, 64)
    for embeddings in (z, z, z.half(), z.half()):
        system._on_gpu(embeddings)
    tried = decoder.batches[0]
    assert decoder.batches == [tried, 3, 3, tried, 3, 3]


def test_it_is_for_gpus_and_embeddings_that_fit(monkeypatch):
    class OnGPU:
        is_cuda = True

        def __init__(self, dtype, dim):
            self.dtype, self.shape = dtype, (1, dim)

    monkeypatch.setattr(gpu, "available", lambda: True)
    monkeypatch.setattr(gpu, "is_concrete", lambda z: True)
    assert gpu.usable(OnGPU(torch.bfloat16, 16_384))
    assert not gpu.usable(OnGPU(torch.float64, 64))
    assert not gpu.usable(OnGPU(torch.float32, 16_385))
    assert not gpu.usable(torch.randn(1, 64))
    monkeypatch.setenv("LSC_COMPILE", "0")
    assert not gpu.usable(OnGPU(torch.float32, 64))
    monkeypatch.delenv("LSC_COMPILE")
    with compiler.plain_torch():
        assert not gpu.usable(OnGPU(torch.float32, 64))
    assert gpu.usable(OnGPU(torch.float32, 64))
    monkeypatch.setattr(gpu, "available", lambda: False)
    assert not gpu.usable(OnGPU(torch.float32, 64))


def test_an_orbit_leaves_embeddings_on_gpus_to_it(on_gpu, monkeypatch):
    monkeypatch.setattr(gpu, "usable", lambda z: True)
    system, z = make_system("v21", 64), torch.randn(3, 64)
    decoder = on_gpu(system, lambda decoded: decoded)
    decoded = system.decode(z)
    assert len(decoder.batches) == 2
    assert torch.equal(decoded.address, system._decode_plain(z).address)
    system.decode(z.requires_grad_()).score.sum().backward()
    assert z.grad is not None
    assert len(decoder.batches) == 2


def test_owners_come_with_the_addresses(on_gpu, monkeypatch):
    system = make_system("v21", 64)
    decoder = on_gpu(system, lambda decoded: decoded)
    affine, table = Targets(system), Targets(system, "random")
    for targets in (affine, table):
        targets.add(range(1000))
    z = torch.cat([affine.vectors()[:5], torch.randn(20, 64)])
    expected, owner = affine.allocation.decode(z)
    assert owner[:5].tolist() == [0, 1, 2, 3, 4]
    assert -1 in owner
    monkeypatch.setattr(gpu, "usable", lambda z: True)
    for _ in range(2):
        found, ordinal = affine.allocation.decode(z)
        assert torch.equal(ordinal, owner)
        assert torch.equal(found.address, expected.address)
    assert decoder.batches[1:] == [25, 25]
    decoder._does = changed(3, lambda number: number * 0 + 7)
    assert (affine.nearest(z).ordinal == 7).all()
    looked_up = table.allocation.owner(expected.address)
    assert torch.equal(table.allocation.decode(z)[1], looked_up)


def test_without_triton_plain_torch_is_left(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    assert not compiler.can_import.__wrapped__("triton")
