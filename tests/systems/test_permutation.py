"""Permutation systems against published numbers and at full size."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
import torch

from lsc_continual.errors import CapacityError, LSCError
from lsc_continual.systems import make_system, min_dim


@pytest.mark.parametrize(
    ("name", "size"), [("a", 147_072), ("v21", 28_090_752), ("v22", 5_351_288_256)]
)
def test_sizes_at_384_dimensions_are_the_published_ones(name, size):
    assert make_system(name, 384).size == size


@pytest.mark.parametrize(
    ("classes", "dims"),
    [
        (1_000, {"v11": 33, "v21": 14, "v22": 10, "v31": 11, "v32": 9, "v33": 9}),
        (600_000, {"v11": 776, "v21": 108, "v22": 41, "v31": 46, "v32": 26, "v33": 20}),
        (1_281_167, {"v11": 1133, "v21": 138, "v22": 50, "v31": 55, "v32": 30, "v33": 22}),
        (100_000_000, {"v11": 10001, "v21": 586, "v22": 143, "v31": 159, "v32": 68, "v33": 42}),
    ],
)
def test_smallest_dimensions_are_the_published_ones(classes, dims):
    assert {name: min_dim(name, classes) for name in dims} == dims


@pytest.mark.parametrize(("name", "cosine"), [("a", 0.5), ("v21", 2 / 3), ("v22", 0.75)])
def test_largest_cosine_is_one_minus_one_over_m_plus_k(name, cosine):
    assert make_system(name, 64).max_cosine == pytest.approx(cosine)


@pytest.mark.parametrize(("name", "dim"), [("v21", 384), ("v22", 384), ("v33", 384), ("v41", 200)])
def test_addresses_come_back_from_systems_of_millions_and_billions(name, dim):
    system = make_system(name, dim)
    addresses = torch.randint(system.size, (20_000,), generator=torch.Generator().manual_seed(1))
    addresses[:2] = torch.tensor([0, system.size - 1])
    vectors = system.vectors(addresses)
    assert torch.equal(system.addresses(vectors), addresses)
    noisy = vectors + 0.05 * torch.randn(vectors.shape, generator=torch.Generator().manual_seed(2))
    assert torch.equal(system.decode(noisy).address, addresses)


def closed_form(name: str, x: np.ndarray) -> np.ndarray:
    """log Z in extended precision by elementary symmetric polynomials, where a_i b_i = 1."""
    n = x.shape[-1]
    a, b = np.exp(x.astype(np.longdouble)), np.exp(-x.astype(np.longdouble))
    p, q = a.sum(-1), b.sum(-1)

    def e2(t: np.ndarray) -> np.ndarray:
        return (t[..., 1:] * t.cumsum(-1)[..., :-1]).sum(-1)

    z = {
        "v11": lambda: p * q - n,
        "v21": lambda: e2(a) * q - (n - 1) * p,
        "v22": lambda: e2(a) * e2(b) - (n - 2) * (p * q - n) - n * (n - 1) / 2,
    }[name]()
    return np.log(z)


@pytest.mark.parametrize("dim", [4, 5, 16, 64, 384, 1024])
@pytest.mark.parametrize("scale", [1.0, 16.0, 64.0])
@pytest.mark.parametrize(("name", "entries"), [("v11", 2), ("v21", 3), ("v22", 4)])
def test_log_partition_agrees_with_closed_forms_up_to_1024_dimensions(name, entries, dim, scale):
    rng = np.random.default_rng(dim)
    z = rng.standard_normal((64, dim))
    z[0] = 0
    z[0, 0] = 1  # all weight on one coordinate
    z[1] = 1  # no direction at all
    u = z / np.linalg.norm(z, axis=-1, keepdims=True)
    expected = closed_form(name, scale * u / np.sqrt(entries))
    got = make_system(name, dim).log_partition(torch.tensor(z, dtype=torch.float32), scale)
    assert np.allclose(got.numpy(), expected.astype(float), rtol=1e-5, atol=1e-6)


def test_a_uniform_embedding_has_the_logarithm_of_the_size_as_log_partition():
    system = make_system("v21", 384)
    assert float(system.log_partition(torch.zeros(1, 384), 64.0)) == pytest.approx(
        np.log(system.size), rel=1e-6
    )


def test_equal_coordinates_decode_to_the_lowest_address():
    for name, dim in [("v21", 9), ("v22", 9), ("a", 5), ("v41", 9), ("v30", 8)]:
        assert make_system(name, dim).decode(torch.ones(1, dim)).address.tolist() == [0]


@pytest.mark.parametrize(
    ("name", "dim", "count"), [("v21", 48, 700), ("v22", 30, 300), ("v03", 60, 200)]
)
def test_rank_patterns_find_the_nearest_vectors_of_systems_too_large_to_list(name, dim, count):
    system = make_system(name, dim)
    assert system.size > 2**14
    z = torch.randn(8, dim, generator=torch.Generator().manual_seed(0))
    ranked = system.ranked(z, count)
    u = torch.nn.functional.normalize(z, dim=-1)
    parts = torch.arange(system.size).split(50_000)
    scores = torch.cat([u @ system.vectors(part).T for part in parts], -1)
    assert torch.allclose(
        ranked.score, scores.sort(-1, descending=True).values[:, :count], atol=1e-5
    )
    assert torch.allclose(scores.gather(1, ranked.address), ranked.score, atol=1e-5)


def test_sizes_are_python_integers_and_too_large_systems_are_refused_with_the_way_out():
    assert make_system("v44", 384).size == comb(384, 4) * comb(380, 4)
    with pytest.raises(CapacityError, match="use dim=209 or less"):
        make_system("v55", 384)
    with pytest.raises(CapacityError, match="use dim=62 or less"):
        make_system("hypercube", 63)
    with pytest.raises(CapacityError, match="use dim=20 or less"):
        make_system("permutohedron", 200)
    with pytest.raises(CapacityError):
        min_dim("v11", 2**64)


@pytest.mark.parametrize(
    ("name", "dim", "message"),
    [
        ("v21", 2, "needs at least 3 dimensions"),
        ("v00", 3, "has no entries but 0"),
        ("v21", 0, "positive integer"),
        ("v21", 64.0, "positive integer"),
        ("hypercub", 3, "did you mean 'hypercube'"),
        ("v{m}{k}", 3, "put numbers in"),
        ("dyadic9", 3, "levels 0 to 3"),
        ("frame-v10", 9, "nothing beside the frame"),
        ("a-interpolated", 1, "is not a vector system"),
    ],
)
def test_systems_that_do_not_exist_are_refused_in_a_sentence(name, dim, message):
    with pytest.raises(LSCError, match=message):
        make_system(name, dim)


def test_names_with_several_digits_and_aliases():
    assert make_system("v2-1", 9).size == make_system("v21", 9).size
    assert make_system("v10-1", 20).size == comb(20, 10) * 10
    assert make_system("a", 9) == make_system("v11", 9) != make_system("v11", 10)


@pytest.mark.parametrize(
    ("name", "dim"), [("v21", 12), ("v33", 7), ("v44", 9), ("dyadic2", 6), ("v11", 2), ("v30", 8)]
)
@pytest.mark.parametrize("norm", [600.0, 5e3, 1e6])
def test_log_partition_and_gradient_survive_any_norm(name, dim, norm):
    system = make_system(name, dim)
    z = torch.randn(20, dim, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    z = (norm * torch.nn.functional.normalize(z, dim=-1)).requires_grad_()
    everything = system.vectors(torch.arange(system.size)).double()
    exact = torch.nn.functional.normalize(everything, dim=-1)
    expected = (z @ exact.T).logsumexp(-1)
    got = system.log_partition(z, normalize=False)
    assert torch.allclose(got, expected, rtol=1e-7)  # the vectors are float32
    slopes = [torch.autograd.grad(value.sum(), z)[0] for value in (got, expected)]
    assert torch.allclose(*slopes, atol=1e-3)
