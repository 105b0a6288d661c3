"""The compiled decoder gives the answers of plain torch."""

from __future__ import annotations

import pytest
import torch

from lsc_continual.kernels import compiler
from lsc_continual.systems import make_system
from lsc_continual.systems.orbit import Orbit

SYSTEMS = [
    make_system("v21", 384),
    make_system("v21", 64),
    make_system("v22", 100),
    make_system("v11", 200),
    make_system("v10", 500),
    make_system("v32", 65),
    make_system("v21", 5),
    make_system("permutohedron", 7),
    Orbit("three values", (2.0, 1.0, 0.0, -1.0), (1, 2, 130, 3)),
    Orbit("positive", (3.0, 1.0, 0.0), (2, 1, 90)),
    Orbit("negative", (0.0, -1.0), (90, 2)),
]


def rows(kind: str, n: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(700, n, generator=generator)
    return {
        "normal": z,
        "whole numbers": z.round(),
        "no negatives": z.relu(),
        "near ties": 1 + 1e-6 * z,
        "two zeros": torch.where(z > 0, 0.0, -0.0),
        "large and small": z * 10.0 ** torch.randint(-18, 18, z.shape, generator=generator),
        "constant": torch.ones(3, n),
        "no rows": z[:0],
    }[kind]


KINDS = [
    "normal", "whole numbers", "no negatives", "near ties", "two zeros", "large and small",
    "constant", "no rows",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: f"{system.name} {system.dim}")
def test_it_decodes_as_plain_torch_does(system, kind):
    assert system._loop_arguments is not None, "this test compares plain torch with itself"
    z = rows(kind, system.dim)
    compiled, plain = system.decode(z), system._decode_plain(z)
    assert torch.equal(compiled.address, plain.address)
    assert torch.allclose(compiled.score, plain.score, atol=1e-6)
    assert torch.allclose(compiled.gap, plain.gap, atol=1e-6)


def test_numbers_that_are_none_lead_nowhere_and_leave_the_rows_beside_them_alone():
    system = make_system("v21", 384)
    z = torch.randn(300, 384)
    fine = system.decode(z)
    z[::4, 5], z[1::4, 7], z[2::8, 9], z[6::8, 9] = torch.nan, torch.inf, -torch.inf, 1e30
    wrong = torch.arange(300) % 4 < 3
    decoded = system.decode(z)
    assert (decoded.address[wrong] == -1).all()
    assert decoded.score[wrong].isnan().all()
    assert torch.equal(decoded.address[~wrong], fine.address[~wrong])
    assert torch.equal(decoded.gap[~wrong], fine.gap[~wrong])


def test_rows_of_any_layout_are_decoded():
    system, z = make_system("v22", 96), torch.randn(96, 600)
    assert torch.equal(system.decode(z.T).address, system.decode(z.T.contiguous()).address)
    half = z.T.half()
    assert torch.equal(system.decode(half).address, system.decode(half.float()).address)


def test_threads_share_the_rows(monkeypatch):
    system, z = make_system("v21", 384), torch.randn(5_000, 384)
    one = system.decode(z)
    for threads in (2, 3, 7):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        for mine, expected in zip(system.decode(z), one):
            assert torch.equal(mine, expected)


def test_a_gradient_goes_through_plain_torch():
    z = torch.randn(4, 64, requires_grad=True)
    decoded = make_system("v21", 64).decode(z)
    (gradient,) = torch.autograd.grad(decoded.score.sum() + decoded.gap.sum(), z)
    assert gradient.abs().sum() > 0


def test_without_a_compiler_plain_torch_decodes(monkeypatch):
    monkeypatch.setattr(compiler, "available", lambda: False)
    system, z = make_system("v21", 384), torch.randn(20, 384)
    for mine, expected in zip(system.decode(z), system._decode_plain(z)):
        assert torch.equal(mine, expected)
