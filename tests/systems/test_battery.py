"""What every vector system has to do, against brute force."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from lsc_continual.errors import CapacityError, LSCError, NotTractableError
from lsc_continual.systems import VectorSystem, make_system

ENUMERABLE = [
    ("a", 6),
    ("v11", 2),
    ("v21", 3),
    ("v21", 4),
    ("v21", 12),
    ("v12", 7),
    ("v22", 9),
    ("v31", 8),
    ("v33", 6),
    ("v30", 7),
    ("v41", 9),
    ("orthogonal", 9),
    ("permutohedron", 4),
    ("permutohedron", 6),
    ("a-interpolated", 3),
    ("a-interpolated", 7),
    ("dyadic0", 5),
    ("dyadic1", 6),
    ("dyadic2", 5),
    ("dyadic3", 4),
    ("frame-v21", 3),
    ("frame-v21", 6),
    ("frame-v11", 7),
    ("frame-v22", 5),
    ("frame-v10-2", 13),
    ("hypercube", 1),
    ("hypercube", 9),
    ("simplex", 1),
    ("simplex", 9),
]


@pytest.fixture(params=ENUMERABLE, ids=lambda p: f"{p[0]}-{p[1]}")
def system(request: pytest.FixtureRequest) -> VectorSystem:
    torch.manual_seed(0)
    return make_system(*request.param)


@pytest.fixture
def everything(system: VectorSystem) -> torch.Tensor:
    return system.vectors(torch.arange(system.size))


def test_vectors_are_different_unit_vectors_with_the_stated_largest_cosine(system, everything):
    precise = F.normalize(everything.double(), dim=-1)
    assert torch.allclose(everything.norm(dim=-1), torch.ones(system.size), atol=1e-6)
    cosines = (precise @ precise.T).fill_diagonal_(-torch.inf)
    assert cosines.max() < 1 - 1e-6
    assert float(cosines.max()) == pytest.approx(system.max_cosine, abs=1e-6)


def test_addresses_invert_vectors(system, everything):
    assert torch.equal(system.addresses(everything), torch.arange(system.size))
    shaped = torch.arange(system.size)[: 2 * (system.size // 2)].reshape(2, -1)
    assert torch.equal(system.addresses(system.vectors(shaped)), shaped)


def test_decode_is_the_exhaustive_argmax_on_ten_thousand_inputs(system, everything):
    z = torch.randn(10_000, system.dim)
    decoded = system.decode(z)
    scores = F.normalize(z.double(), dim=-1) @ everything.double().T
    best = scores.topk(2, dim=-1).values
    picked = scores.gather(1, decoded.address.unsqueeze(1)).squeeze(1)
    assert torch.allclose(picked, best[:, 0], atol=1e-6)  # the address may differ only in a tie
    assert (decoded.address == scores.argmax(-1)).double().mean() > 0.999
    assert torch.allclose(decoded.score.double(), best[:, 0], atol=1e-5)
    assert torch.allclose(decoded.gap.double(), best[:, 0] - best[:, 1], atol=1e-5)


def test_decode_does_not_depend_on_the_norm_and_takes_half_precision(system):
    z = torch.randn(100, system.dim)
    assert torch.equal(system.decode(z).address, system.decode(37 * z).address)
    assert torch.equal(system.decode(z.bfloat16()).address, system.decode(z.bfloat16().float())[0])


def test_degenerate_embeddings_decode_to_some_vector(system):
    decoded = system.decode(torch.zeros(2, system.dim))
    assert ((decoded.address >= 0) & (decoded.address < system.size)).all()
    assert torch.isfinite(decoded.score).all()
    assert torch.isfinite(decoded.gap).all()


@pytest.mark.parametrize("scale", [1.0, 4.0, 16.0, 64.0])
def test_log_partition_is_brute_force_to_a_hundred_thousandth(system, everything, scale):
    z = torch.randn(500, system.dim)
    if not system.has_log_partition:
        with pytest.raises(NotTractableError, match="not tractable"):
            system.log_partition(z, scale)
        return
    logits = scale * F.normalize(z.double(), dim=-1) @ F.normalize(everything.double(), dim=-1).T
    expected = logits.logsumexp(-1)
    got = system.log_partition(z, scale)
    assert got.dtype == torch.float32
    assert torch.allclose(got.double(), expected, rtol=1e-6, atol=1e-7)
    raw = system.log_partition(z, scale / 8, normalize=False)
    raw_logits = scale / 8 * z.double() @ F.normalize(everything.double(), dim=-1).T
    assert torch.allclose(raw.double(), raw_logits.logsumexp(-1), rtol=1e-6, atol=1e-7)


def test_log_partition_has_the_gradient_of_brute_force(system, everything):
    if not system.has_log_partition:
        pytest.skip("not tractable")
    z = torch.randn(20, system.dim, requires_grad=True)
    (got,) = torch.autograd.grad(system.log_partition(z, 16.0).sum(), z)
    logits = 16.0 * F.normalize(z.double(), dim=-1) @ F.normalize(everything.double(), dim=-1).T
    (expected,) = torch.autograd.grad(logits.logsumexp(-1).sum(), z)
    assert torch.allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_log_partition_is_exact_under_bfloat16_autocast(system):
    if not system.has_log_partition:
        pytest.skip("not tractable")
    z = torch.randn(50, system.dim)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = system.log_partition(z, 64.0)
    assert torch.equal(inside, system.log_partition(z, 64.0))


def test_ranked_lists_the_nearest_vectors_in_order(system, everything):
    z = torch.randn(30, system.dim)
    count = min(50, system.size)
    ranked = system.ranked(z, count)
    scores = F.normalize(z, dim=-1) @ everything.T
    expected = scores.sort(dim=-1, descending=True).values[:, :count]
    assert torch.allclose(ranked.score, expected, atol=1e-5)
    assert torch.allclose(scores.gather(1, ranked.address), expected, atol=1e-5)
    assert all(len(row.unique()) == count for row in ranked.address)


def test_inner_is_the_product_with_the_vectors(system, everything):
    x = torch.randn(7, system.dim)
    addresses = torch.randint(system.size, (40,))
    assert torch.allclose(system.inner(x, addresses), x @ everything[addresses].T, atol=1e-5)


def test_wrong_shapes_addresses_and_vectors_are_refused_in_a_sentence(system):
    with pytest.raises(LSCError, match=f"{system.dim} coordinates"):
        system.decode(torch.zeros(2, system.dim + 1))
    with pytest.raises(LSCError, match="run from 0 to"):
        system.vectors(torch.tensor([0, system.size]))
    with pytest.raises(LSCError, match="run from 0 to"):
        system.vectors(torch.tensor([-1]))
    rows = torch.stack([system.vectors(torch.tensor(0)), torch.full((system.dim,), 0.123)])
    with pytest.raises(LSCError, match="row 1 is not a vector"):
        system.addresses(rows)


def test_min_dim_is_the_smallest_that_holds_the_classes(system):
    if system.name.startswith(("orbit",)):
        pytest.skip("exists in one dimension")
    smallest = system.min_dim(system.size)
    assert smallest == system.dim or system.size_at(smallest) == system.size
    assert system.min_dim(system.size + 1) == system.dim + 1
    system.require_capacity(system.size)
    message = rf"^{system.size + 1} classes do not fit .*: use system.dim={system.dim + 1} or more$"
    with pytest.raises(CapacityError, match=message):
        system.require_capacity(system.size + 1)
