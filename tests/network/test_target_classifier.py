"""The classifier: what lies between encoder and head, and what one sample does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lsc_continual import LSCError, TargetHead, make_system
from lsc_continual.network.layers import HIDDEN_UNITS, Standardization
from lsc_continual.network.target_classifier import TargetClassifier


def classifier(
    *layers: nn.Module, width: int | None = 6, dim: int = 12, **options
) -> TargetClassifier:
    encoder = nn.Sequential(nn.Flatten(), *layers)
    if width is not None:
        encoder.num_features = width
    head = TargetHead(make_system("v21", dim))
    head.add_classes([0, 1])
    return TargetClassifier(encoder, head, **options)


def test_features_are_standardised_behind_batch_normalisation():
    assert isinstance(classifier(nn.BatchNorm1d(6)).standardization, Standardization)
    assert isinstance(classifier(nn.Linear(6, 6)).standardization, nn.Identity)
    assert isinstance(classifier(standardize=True).standardization, Standardization)
    off = classifier(nn.BatchNorm1d(6), standardize=False)
    assert isinstance(off.standardization, nn.Identity)


def test_standardisation_has_no_parameters_and_does_what_it_says():
    model = classifier(standardize=True, hidden=0)
    assert not list(model.standardization.parameters())
    x = 5 + 3 * torch.randn(400, 6)
    y = model.standardization(x)
    assert torch.allclose(y.mean(0), torch.zeros(6), atol=1e-5)
    assert torch.allclose(y.std(0), torch.ones(6), atol=1e-2)


def test_a_single_sample_trains_and_leaves_the_statistics_alone():
    model = classifier(standardize=True)
    model(torch.randn(20, 6))
    before = model.standardization.running_mean.clone()
    single = torch.randn(1, 6)
    trained = model.embed(single)
    assert torch.equal(model.standardization.running_mean, before)
    assert torch.allclose(trained, model.eval().embed(single))


def test_a_hidden_layer_follows_standardised_features_that_are_few_for_the_classes():
    assert classifier(standardize=True, expected_classes=13).hidden_units == HIDDEN_UNITS
    assert classifier(standardize=True, expected_classes=12).hidden_units == 0
    assert classifier(standardize=True).hidden_units == 0
    assert classifier(standardize=False, expected_classes=13).hidden_units == 0
    assert classifier(standardize=True, expected_classes=13, hidden=0).hidden_units == 0
    assert classifier(standardize=False, hidden=20).hidden_units == 20


def test_behind_a_hidden_layer_embeddings_reach_targets_outside_the_features_span():
    torch.manual_seed(0)
    x = torch.eye(2)[[0, 0, 1, 1]] * torch.tensor([1.0, -1, 1, -1])[:, None]

    def reached(hidden: int) -> float:
        """Least cosine after training two features towards four orthogonal targets."""
        model = classifier(nn.Identity(), width=2, standardize=True, hidden=hidden)
        optimizer = torch.optim.Adam(model.parameters(), 0.02)
        for _ in range(300):
            cosine = nn.functional.cosine_similarity(model.embed(x), torch.eye(12)[:4])
            optimizer.zero_grad()
            (1 - cosine).sum().backward()
            optimizer.step()
        return float(cosine.min().detach())

    assert reached(0) < 0.9 < 0.99 < reached(32)


@pytest.mark.parametrize("hidden", [0, 20])
def test_the_width_is_read_from_the_first_batch(hidden):
    model = classifier(width=None, standardize=True, hidden=hidden)
    assert not model.is_settled
    with pytest.raises(LSCError, match="num_features, or call settle"):
        model(torch.randn(3, 6))
    model.settle(torch.randn(3, 6))
    assert model.is_settled
    assert isinstance(model.standardization, Standardization)
    assert model.standardization.num_features == (hidden or 6)
    model(torch.randn(1, 6))


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("hidden", [0, 20])
def test_the_frozen_copy_embeds_as_the_model_does(standardize, hidden):
    model = classifier(nn.Linear(6, 6), standardize=standardize, hidden=hidden)
    model(torch.randn(50, 6))
    frozen, x = model.frozen_embedder(), torch.randn(5, 6)
    assert torch.equal(frozen(x), model.eval().embed(x))
    assert not any(p.requires_grad for p in frozen.parameters())
