"""Losses against their formulas."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lsc_continual import (
    CosineLoss,
    EuclideanLoss,
    LSCError,
    StructuredSoftmaxLoss,
    TargetHead,
    make_system,
)
from lsc_continual.errors import UnknownLabelError
from lsc_continual.network.losses import TargetLoss, softmax_divergence

ALL = [StructuredSoftmaxLoss, CosineLoss, EuclideanLoss]


@pytest.fixture
def head() -> TargetHead:
    torch.manual_seed(0)
    head = TargetHead(make_system("v21", 9), scale=8.0, unknown_prior=1.0)
    head.add_classes([4, 2, 0])
    return head


def data() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(20, 9, requires_grad=True), torch.tensor([0, 2, 4, 4, 2] * 4)


def test_structured_softmax_is_cross_entropy_against_every_vector(head):
    z, labels = data()
    every = 8.0 * F.normalize(z, dim=-1) @ head.system.vectors(torch.arange(head.system.size)).T
    addresses = head.targets.addresses(head.targets.ordinals(labels))
    expected = F.cross_entropy(every, addresses)
    got = StructuredSoftmaxLoss()(head(z), labels)
    assert torch.allclose(got, expected, atol=1e-5)
    slopes = [torch.autograd.grad(loss, z, retain_graph=True)[0] for loss in (got, expected)]
    assert torch.allclose(*slopes, atol=1e-6)


def test_it_equals_torch_losses_on_the_heads_output(head):
    z, labels = data()
    output = head(z)
    ours = StructuredSoftmaxLoss()(output, labels)
    assert torch.allclose(ours, nn.NLLLoss()(output, labels))
    head.unknown_prior = 0.0
    output = head(z)
    ours = StructuredSoftmaxLoss()(output, labels)
    owned = 8.0 * F.normalize(z, dim=-1) @ head.targets.vectors().T
    assert torch.allclose(ours, F.cross_entropy(owned, head.targets.ordinals(labels)), atol=1e-5)


@pytest.mark.parametrize("prior", [0.0, 0.01, 1.0])
def test_it_is_the_same_without_a_table_of_classes(prior):
    torch.manual_seed(0)
    heads = [
        TargetHead(make_system("v21", 64), unknown_prior=prior, dense_classes=dense)
        for dense in (10, 10_000)
    ]
    z, labels = torch.randn(16, 64, requires_grad=True), torch.randint(9_000, (16,))
    slopes, losses = [], []
    for head in heads:
        head.add_classes(range(9_000))
        losses.append(StructuredSoftmaxLoss()(head(z), labels))
        slopes.append(torch.autograd.grad(losses[-1], z)[0])
    assert torch.allclose(*losses, atol=1e-5)
    assert torch.allclose(*slopes, atol=1e-6)


def test_cosine_and_euclidean_losses_are_their_formulas(head):
    z, labels = data()
    targets = head.targets.vectors(head.targets.ordinals(labels))
    output = head(z)
    cosine = 1 - F.cosine_similarity(z, targets).mean()
    assert torch.allclose(CosineLoss()(output, labels), cosine)
    distance = (z - targets).square().sum(-1).mean()
    assert torch.allclose(EuclideanLoss()(output, labels), distance)


@pytest.mark.parametrize("kind", ALL)
def test_reductions_agree(kind, head):
    z, labels = data()
    output = head(z)
    each = kind(reduction="none")(output, labels)
    assert each.shape == (20,)
    assert torch.allclose(kind(reduction="sum")(output, labels), each.sum())
    assert torch.allclose(kind()(output, labels), each.mean())
    with pytest.raises(LSCError, match="reduction is one of mean, sum, none"):
        kind(reduction="median")


@pytest.mark.parametrize("kind", ALL)
def test_every_loss_learns_its_targets(kind, head):
    z, labels = torch.randn(20, 9), torch.tensor([0, 2, 4, 4, 2] * 4)
    z.requires_grad_()
    optimizer = torch.optim.Adam([z], lr=0.05)
    loss: TargetLoss = kind()
    for _ in range(300):
        optimizer.zero_grad()
        loss(head(z), labels).backward()
        optimizer.step()
    assert torch.equal(head.predict(z), labels)
    targets = head.targets.vectors(head.targets.ordinals(labels))
    assert F.cosine_similarity(z, targets).min() > 0.95


@pytest.mark.parametrize("kind", ALL)
def test_labels_without_target_are_refused_in_training_and_finite_in_evaluation(kind, head):
    head.eval()
    head._widen([9])
    z, labels = torch.randn(4, 9, requires_grad=True), torch.tensor([0, 2, 9, 9])
    with pytest.raises(UnknownLabelError, match="class 9 owns no target"):
        kind()(head(z), labels)
    losses = kind(reduction="none")(head(z.detach()), labels)
    assert torch.isfinite(losses).all()
    assert losses[2:].min() >= losses[:2].max() or kind is not StructuredSoftmaxLoss


def test_an_output_that_lost_its_embedding_is_refused(head):
    z, labels = data()
    with pytest.raises(LSCError, match="untouched output of a TargetHead"):
        CosineLoss()(head(z)[:], labels)


@pytest.mark.parametrize(("name", "dim"), [("v21", 9), ("hypercube", 6), ("permutohedron", 4)])
@pytest.mark.parametrize("among", [None, [0, 2]])
@pytest.mark.parametrize("dense_classes", [10, 1])
def test_the_divergence_is_that_of_the_softmaxes(name, dim, among, dense_classes):
    torch.manual_seed(0)
    prior = 0.0 if name == "permutohedron" else 0.5
    head = TargetHead(
        make_system(name, dim), scale=6.0, unknown_prior=prior, dense_classes=dense_classes
    )
    head.add_classes([4, 2, 0])
    z, before = torch.randn(20, dim, requires_grad=True), torch.randn(20, dim)
    ordinals = None if among is None else torch.tensor(among)
    vectors = head.targets.vectors(ordinals)
    if among is None and head.system.has_log_partition:
        vectors = head.system.vectors(torch.arange(head.system.size))
    then, now = ((head.logits_per_coordinate(e) @ vectors.T).log_softmax(-1) for e in (before, z))
    expected = (then.exp() * (then - now)).sum(-1).mean()
    got = softmax_divergence(head(z), before, ordinals).mean()
    assert got.item() == pytest.approx(expected.item(), abs=1e-5)
    (slope,) = torch.autograd.grad(got, z)
    assert torch.allclose(slope, torch.autograd.grad(expected, z)[0], atol=1e-5)
    assert softmax_divergence(head(z), z.detach(), ordinals).abs().max() < 1e-5
    some = torch.tensor([3, 7])
    each = softmax_divergence(head(z), before[some], ordinals, some)
    assert torch.allclose(each, (then.exp() * (then - now)).sum(-1)[some], atol=1e-5)
