"""The decoder for GPUs, on machines that have none, and what becomes of one that fails."""

from __future__ import annotations

import runpy
import sys
import warnings

import pytest
import torch

from lsc_continual.kernels import trial, triton_decode
from lsc_continual.systems import make_system
from tests.processes import Process

needs_triton = pytest.mark.skipif(triton_decode.triton is None, reason="there is no Triton here")


@needs_triton
def test_it_decodes_as_plain_torch_does(tmp_path):
    module = ("tests.kernels.interpreted",)
    process = Process(tmp_path, variables={"TRITON_INTERPRET": "1"}, module=module)
    code, output, errors = process.end()
    assert (code, output) == (0, ""), errors


@needs_triton
def test_what_is_launched_compiles_for_gpus(tmp_path, monkeypatch):
    """The interpreter takes more than the compiler does."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    class Kernel:
        def __getitem__(self, grid):
            def launch(*values, **options):
                launches.append((values, options))

            return launch

    launches = []
    kernel = triton_decode._kernel
    monkeypatch.setattr(triton_decode, "_kernel", Kernel())
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    make_system("v21", 48)._on_gpu._decoder(torch.randn(5, 48).bfloat16())
    ((values, options),) = launches
    short = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.int64: "*i64"}
    kinds = [
        short[value.dtype] if isinstance(value, torch.Tensor) else {int: "i32", float: "fp32"}[kind]
        for value, kind in ((value, type(value)) for value in values)
    ]
    constants = {name: options.pop(name) for name in kernel.arg_names[len(values) :]}
    signature = dict(zip(kernel.arg_names, kinds)) | dict.fromkeys(constants, "constexpr")
    source = ASTSource(kernel, signature, constants)
    assert compile(source, target=GPUTarget("cuda", 80, 32), options=options).asm["cubin"]


class Decoder:
    """In the place of the kernel: right, but for what it `does` first."""

    def __init__(self, system, does):
        self._system = system
        self._does = does
        self.batches = []

    def __call__(self, z):
        self.batches.append(len(z))
        return self._does(self._system._decode_plain(z.float()))


def fail(decoded):
    raise RuntimeError("Failed to find C compiler.\nPlease specify via CC")


DOES = {
    "Failed to find C compiler.": fail,
    "its answers differ": lambda decoded: decoded._replace(address=decoded.address + 1),
    "its answers differ ": lambda decoded: decoded._replace(gap=decoded.gap * torch.nan),
}


@pytest.fixture
def on_gpu(monkeypatch):
    """As if the CPU were a GPU, with this decoder."""
    monkeypatch.setattr(trial, "_refused", set())

    def give(system, does):
        decoder = Decoder(system, does)
        system._on_gpu = trial.Trial(decoder, system._decode_plain, system.dim)
        return decoder

    return give


@pytest.mark.parametrize("trouble", DOES)
def test_where_it_fails_plain_torch_decodes_after_one_warning(on_gpu, trouble):
    system, other = make_system("v21", 64), make_system("v11", 30)
    decoder, untried = (on_gpu(each, DOES[trouble]) for each in (system, other))
    z = torch.randn(5, 64)
    with pytest.warns(UserWarning, match="plain torch decodes embeddings on cpu") as noted:
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

    monkeypatch.setattr(triton_decode, "triton", object())
    monkeypatch.setattr(triton_decode, "is_concrete", lambda z: True)
    assert triton_decode.usable(OnGPU(torch.bfloat16, 16_384))
    assert not triton_decode.usable(OnGPU(torch.float64, 64))
    assert not triton_decode.usable(OnGPU(torch.float32, 16_385))
    assert not triton_decode.usable(torch.randn(1, 64))
    monkeypatch.setenv("LSC_COMPILE", "0")
    assert not triton_decode.usable(OnGPU(torch.float32, 64))
    monkeypatch.delenv("LSC_COMPILE")
    monkeypatch.setattr(triton_decode, "triton", None)
    assert not triton_decode.usable(OnGPU(torch.float32, 64))


def test_an_orbit_leaves_embeddings_on_gpus_to_it(on_gpu, monkeypatch):
    class OnGPU(torch.Tensor):
        is_cuda = True

    monkeypatch.setattr(triton_decode, "usable", lambda z: True)
    system, z = make_system("v21", 64), torch.randn(3, 64).as_subclass(OnGPU)
    decoder = on_gpu(system, lambda decoded: decoded)
    decoded = system.decode(z)
    assert len(decoder.batches) == 2
    assert torch.equal(decoded.address, system._decode_plain(z).address)
    system.decode(z.requires_grad_()).score.sum().backward()
    assert z.grad is not None
    assert len(decoder.batches) == 2


def test_the_module_can_be_imported_without_triton(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    assert runpy.run_path(triton_decode.__file__)["triton"] is None
