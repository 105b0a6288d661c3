"""The measures of collapse, against definitions written out and shapes of known answer."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from experiments import registry
from experiments.claims import penalised_networks, robustness
from experiments.claims.penalised_networks import (
    Network,
    Options,
    Spread,
    Variant,
    binarity,
    sign_patterns,
    variation,
)
from experiments.data import Data, Part
from experiments.settings import Settings
from lsc_continual.errors import LSCError
from lsc_continual.strategies import Growth, PointPenalty


def test_the_claims_of_the_paper_are_listed():
    assert {"point-collapse", "robustness", "hypercube-classes"} <= registry.claims().keys()


def test_spread_is_the_trace_of_the_covariances():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(30, 3, generator=generator)
    labels = torch.arange(30) % 2
    covariances = [torch.cov(z[labels == label].T, correction=0) for label in (0, 1)]
    means = torch.stack([z[labels == label].mean(0) for label in (0, 1)])
    between = ((means - means.mean(0)) ** 2).sum(1).mean()
    within = (covariances[0].trace() + covariances[1].trace()) / 2
    spread = Spread.of(z, labels)
    assert spread.within == pytest.approx(within.item(), rel=1e-5)
    assert spread.relative == pytest.approx((within / between).item(), rel=1e-5)
    assert Spread.of(1e-3 * z, labels).relative == pytest.approx(spread.relative, rel=1e-4)


def test_vertices_of_a_cube_are_binary_and_gaussians_are_not():
    corners = torch.tensor([[1.0, -2.0], [-1.0, 3.0], [1.0, 3.0], [-1.0, -2.0]]).repeat(50, 1)
    noise = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    assert binarity(corners) == 100
    assert binarity(corners + 0.01 * noise) == 100
    gaussian = torch.randn(100_000, 1, generator=torch.Generator().manual_seed(1))
    # |x| within 20 % of its mean √(2/π): 2 (Φ(0.9575) − Φ(0.6383))
    normal = torch.distributions.Normal(0, 1)
    mode = (2 / torch.pi) ** 0.5
    expected = 200 * (normal.cdf(torch.tensor(1.2 * mode)) - normal.cdf(torch.tensor(0.8 * mode)))
    assert binarity(gaussian) == pytest.approx(expected.item(), abs=0.5)


def test_sign_patterns_and_norms_are_counted():
    z = torch.tensor([[1.0, 2.0], [2.0, 1.0], [-1.0, -2.0], [-2.0, -1.0]])
    assert sign_patterns(z, torch.tensor([0, 1, 2, 3])) == 2
    assert variation(z) == pytest.approx(0, abs=1e-7)
    assert variation(torch.tensor([[3.0, 4.0], [0.0, 10.0]])) == pytest.approx(12.5**0.5 / 7.5)


def digits() -> Data:
    bunch = load_digits()
    images = torch.as_tensor(bunch.images, dtype=torch.float32)[:, None] / 16
    labels = torch.as_tensor(bunch.target)
    return Data(Part(images[:1000], labels[:1000]), Part(images[1000:], labels[1000:]))


def test_the_penalty_collapses_a_small_network_and_leaves_its_answers(monkeypatch):
    options = Options(epochs=30, batch_size=50, lr=3e-3, pace=30.0, units=64)
    # γ up to 1e6 takes thousands of steps.
    monkeypatch.setattr(
        penalised_networks, "ICLR_2025", PointPenalty(1e-2, (Growth(1.05, 1, 1e2),))
    )
    data = digits()
    rows = [
        penalised_networks.figures_of(
            penalised_networks.trained(Variant(8, penalised=penalised), data, options, 0).network,
            data,
        )
        for penalised in (True, False)
    ]
    assert 100 * rows[0]["within"] < rows[1]["within"]
    assert 2 * rows[0]["within / between"] < rows[1]["within / between"]
    assert rows[0]["training accuracy"] > 98


def test_variants_put_a_layer_before_the_classifier():
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(4, 6))
    encoder.num_features = 6
    images = torch.randn(5, 1, 2, 2)
    for variant, width in ((Variant(3), 3), (Variant(3, linear=False), 3), (Variant(None), 6)):
        network = Network(encoder, variant, classes=2)
        assert network(images).shape == (5, 2)
        assert network.features is not None
        assert network.features.shape == (5, width)


def test_the_learning_rate_waits_and_falls_to_zero():
    assert [penalised_networks.decayed(x) for x in (0.0, 0.2)] == [1, 1]
    assert penalised_networks.decayed(0.6) == pytest.approx(0.5)
    assert penalised_networks.decayed(1.0) == pytest.approx(0)


def test_distances_are_relative_and_infinite_where_nothing_changed():
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
    network[1].weight.data = torch.eye(2)  # the larger pixel is the answer
    images = torch.tensor([[3.0, 4.0], [4.0, 3.0]]).reshape(2, 1, 1, 2)
    inputs = Part(images, torch.tensor([1, 0]))
    moved = torch.tensor([[4.0, 3.0], [3.5, 3.0]]).reshape(2, 1, 1, 2)
    found = robustness.distance(network, inputs, moved)
    assert found.tolist() == pytest.approx([2**0.5 / 5, torch.inf])
    others = torch.tensor([[0.0, 9.0], [5.0, 2.0], [9.0, 0.0]]).reshape(3, 1, 1, 2)
    starts = robustness.nearest_of_another_class(network, inputs, others)
    assert starts.flatten(1).tolist() == [[5, 2], [0, 9]]


def test_attacks_find_the_distance_to_a_linear_boundary():
    pytest.importorskip("foolbox")
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
    network[1].weight.data = torch.eye(2)
    images = torch.tensor([[0.4, 0.6], [0.8, 0.2]]).reshape(2, 1, 1, 2)
    inputs = Part(images, torch.tensor([1, 0]))
    others = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).reshape(2, 1, 1, 2)
    found = robustness.attacked(network, inputs, others, seed=0, steps=10)
    exact = torch.tensor([0.2, 0.6]) / 2**0.5 / images.flatten(1).norm(dim=1)
    assert torch.allclose(found.deepfool, exact, rtol=0.05)
    assert torch.allclose(found.ddn, exact, rtol=0.1)
    assert (found.hopskipjump >= exact).all()
    assert torch.allclose(found.hopskipjump, exact, rtol=0.5)  # begun 6 and 2.7 times as far
    assert found.least.tolist() == [min(pair) for pair in zip(*(each.tolist() for each in found))]


def test_without_foolbox_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "foolbox", None)
    with pytest.raises(LSCError, match=r"lsc_continual\[experiments\]"):
        robustness.measure(Settings(), Options())
