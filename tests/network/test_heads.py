"""The target head: exact probabilities, nothing that grows, no leak at evaluation."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lsc_continual import LSCError, TargetHead, Targets, make_system
from lsc_continual.errors import CapacityError, NotTractableError
from lsc_continual.network.heads import origin_of
from lsc_continual.network.losses import (
    CosineLoss,
    EuclideanLoss,
    StructuredSoftmaxLoss,
    softmax_divergence,
)


def experience(*classes: int) -> SimpleNamespace:
    return SimpleNamespace(classes_in_this_experience=list(classes))


def brute_force(head: TargetHead, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Class log-probabilities in order of labels, and log p(unknown), by listing the system."""
    u = head.scale * (F.normalize(z.double(), dim=-1) if head.normalize else z.double())
    everything = u @ head.system.vectors(torch.arange(head.system.size)).double().T
    owned = head.targets.addresses()
    unowned = torch.ones(head.system.size, dtype=torch.bool)
    unowned[owned] = False
    weights = torch.where(unowned, head.unknown_prior, 1.0).log()
    normalizer = (everything + weights).logsumexp(-1, keepdim=True)
    unknown = (everything + weights)[:, unowned].logsumexp(-1, keepdim=True) - normalizer
    order = head.targets.ordinals(torch.tensor(sorted(head.targets.labels)))
    return everything[:, owned[order]] - normalizer, unknown.squeeze(-1)


@pytest.mark.parametrize("prior", [0.0, 1e-4, 0.5, 1.0])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(("name", "dim"), [("v21", 9), ("hypercube", 7), ("simplex", 12)])
def test_output_is_the_log_probability_over_the_whole_system(name, dim, prior, normalize):
    torch.manual_seed(0)
    head = TargetHead(make_system(name, dim), scale=8.0, unknown_prior=prior, normalize=normalize)
    head.adaptation(experience(2, 0))
    head.adaptation(experience(1))
    z = torch.randn(50, dim)
    expected, unknown = brute_force(head, z)
    got = head(z)
    assert torch.allclose(got.double(), expected, atol=1e-4)
    total = torch.cat([got.double(), unknown.unsqueeze(-1)], -1).logsumexp(-1)
    assert torch.allclose(total, torch.zeros(50, dtype=torch.double), atol=1e-4)
    labels = torch.randint(3, (50,))
    assert torch.allclose(head.log_prob(z, labels), got.gather(1, labels[:, None])[:, 0], atol=1e-4)


@pytest.mark.parametrize("prior", [0.0, 1e-3, 0.5, 1.0])
@pytest.mark.parametrize("dense_classes", [10, 2])
@pytest.mark.parametrize("frequencies", [[1.0, 7.0, 7.0, 1.0], [3.0, 0.6, 40.0, 1.0]])
def test_a_training_prior_counts_each_class_as_often_as_it_is_seen(
    prior, dense_classes, frequencies
):
    torch.manual_seed(0)
    head = TargetHead(
        make_system("v21", 9), scale=8.0, unknown_prior=prior, dense_classes=dense_classes
    )
    head.adaptation(experience(2, 0, 5, 1))
    z, labels = torch.randn(40, 9), torch.tensor([2, 0, 5, 1]).repeat(10)
    equal = head.log_prob(z, labels)
    seen = torch.tensor(frequencies)
    head.set_training_prior([2, 5, 0], seen[[0, 2, 1]])
    x = head.logits_per_coordinate(z).double()
    logits = x @ head.system.vectors(torch.arange(head.system.size)).double().T
    weights = torch.full((head.system.size,), prior, dtype=torch.double)
    owned = head.targets.addresses(head.targets.ordinals(torch.tensor([2, 0, 5, 1])))
    weights[owned] = seen.double().clamp_min(prior)  # no rarer than a vector that nobody owns
    columns = (logits + weights.log())[:, owned]
    expected = (columns - (logits + weights.log()).logsumexp(-1, keepdim=True)).float()
    got = head.log_prob(z, labels)
    assert torch.allclose(got, expected[torch.arange(40), torch.arange(40) % 4], atol=1e-4)
    if head.is_dense:
        assert torch.allclose(head(z)[:, [2, 0, 5, 1]], expected, atol=1e-4)
    assert torch.allclose(head.eval().log_prob(z, labels), equal)
    head.train().add_classes([9])  # one more has frequency 1
    assert head.frequencies[4:].tolist() == [1.0]
    head = TargetHead(
        make_system("v21", 9), scale=8.0, unknown_prior=prior, dense_classes=dense_classes
    )
    head.adaptation(experience(2, 0, 5, 1))
    head.set_training_prior([0], 2.0)
    head.set_training_prior()
    assert torch.allclose(head.log_prob(z, labels), equal)


def test_the_default_scale_grows_with_the_classes_and_moves_no_prediction():
    head = TargetHead(make_system("v21", 32))
    z = torch.randn(50, 32)
    head.add_classes(range(50))
    assert head.scale == 16
    before = head.predict(z)
    few = head.log_probs(z)
    head.add_classes(range(50, 1000))
    assert head.scale == pytest.approx(4 * math.log(1000))
    assert torch.equal(head.log_probs(z)[:, :50].argmax(1), before)
    assert torch.equal(few.argmax(1), before)
    assert TargetHead(make_system("v21", 32), scale=3.0).scale == 3


@pytest.mark.parametrize("dense_classes", [10, 2])
def test_embeddings_that_are_not_finite_are_nobody_s(dense_classes):
    head = TargetHead(make_system("v21", 9), dense_classes=dense_classes)
    head.add_classes([3, 4, 5])
    z = head.targets.vectors()
    z[1, 2] = torch.nan
    assert head.predict(z).tolist() == [3, -1, 5]
    output = head.eval()(z)
    assert output[1].isnan().all() if head.is_dense else output.tolist() == [3, -1, 5]


@pytest.mark.parametrize("dense_classes", [10, 2])
def test_autocast_does_not_reach_head_losses_and_targets(dense_classes):
    torch.manual_seed(0)
    head = TargetHead(make_system("v21", 32), scale=20.0, dense_classes=dense_classes)
    head.add_classes(range(5))
    z, labels = torch.randn(50, 32), torch.arange(5).repeat(10)
    losses = [make_loss() for make_loss in (StructuredSoftmaxLoss, CosineLoss, EuclideanLoss)]

    def everything() -> list[torch.Tensor]:
        output = head(z)
        divergence = softmax_divergence(output, z.flip(0), torch.arange(3))
        return [
            output,
            head.log_prob(z, labels),
            head.log_owned(z),
            head.log_total(z),
            head.targets.nearest(z).score,
            head.targets.several_nearest(z, 2).score,
            head.targets.log_sum(z),
            divergence,
            *(loss(output, labels) for loss in losses),
        ]

    expected = everything()
    with torch.autocast("cpu", torch.bfloat16):
        found = everything()
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)


def test_wrong_training_priors_are_refused():
    head = TargetHead(make_system("v21", 9))
    head.adaptation(experience(0, 1))
    for wrong in (0.0, -1.0, float("nan"), torch.tensor([1.0, 0.0])):
        with pytest.raises(LSCError, match="are above 0"):
            head.set_training_prior([0, 1], wrong)
    with pytest.raises(LSCError, match="class 7 owns no target"):
        head.set_training_prior([7], 2.0)


def test_prediction_is_the_nearest_owned_target():
    head = TargetHead(make_system("v21", 24))
    head.adaptation(experience(*range(30)))
    z = torch.randn(200, 24)
    assert torch.equal(head(z).argmax(-1), head.predict(z))


def test_it_has_no_state_whatever_arrives():
    head = TargetHead(make_system("v21", 24))
    model = nn.Sequential(nn.Linear(4, 24), head)
    before = {key: value.shape for key, value in model.state_dict().items()}
    head.adaptation(experience(*range(100)))
    model(torch.randn(2, 4))
    assert {key: value.shape for key, value in model.state_dict().items()} == before
    assert not list(head.parameters())
    assert not list(head.buffers())


def test_classes_met_at_evaluation_get_no_target_and_never_win():
    head = TargetHead(make_system("v21", 24))
    head.adaptation(experience(3, 1))
    head.eval()
    head.adaptation(experience(0, 7))
    assert head.targets.labels == [1, 3]
    z = torch.randn(500, 24)
    z[:100] = -head.targets.vectors()[torch.randint(2, (100,))]  # opposite an owned target
    output = head(z)
    assert output.shape == (500, 8)
    assert torch.isfinite(output).all()
    assert set(output.argmax(-1).tolist()) <= {1, 3}
    owned = output[:, [1, 3]].amin(-1, keepdim=True)
    assert (output[:, [0, 2, 4, 5, 6, 7]] < owned).all()


def test_a_fixed_capacity_fixes_the_columns():
    head = TargetHead(make_system("v21", 24), capacity=50)
    head.adaptation(experience(3))
    assert head(torch.randn(2, 24)).shape == (2, 50)
    with pytest.raises(LSCError, match="class label 50 has no column"):
        head.adaptation(experience(50))


def test_probabilities_are_exact_under_bfloat16_autocast():
    head = TargetHead(make_system("v21", 64), scale=64.0)
    head.adaptation(experience(*range(20)))
    z = torch.randn(10, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = head(z)
    assert torch.equal(inside, head(z))


def test_many_classes_never_become_a_table():
    head = TargetHead(make_system("v21", 384), dense_classes=1000)
    head.add_classes(range(100_000))
    labels = torch.randint(100_000, (64,))
    z = (head.targets.vectors(labels) + 0.02 * torch.randn(64, 384)).requires_grad_()
    for training in (True, False):
        output = head.train(training)(z)
        assert torch.equal(output, labels)
        assert origin_of(output) == (head, z)
    off = torch.randn(64, 384)
    assert (head.train()(off) == -1).float().mean() > 0.9  # decoding alone, nobody's address
    assert torch.equal(head.eval()(off), head.predict(off))


def test_copies_are_independent():
    head = TargetHead(make_system("v21", 24))
    head.adaptation(experience(0))
    twin = copy.deepcopy(head)
    twin.adaptation(experience(1))
    assert head.targets.labels == [0]
    assert twin.targets.labels == [0, 1]


def test_wrong_options_are_refused():
    system = make_system("v21", 24)
    with pytest.raises(LSCError, match="between 0 and 1"):
        TargetHead(system, unknown_prior=2)
    with pytest.raises(LSCError, match="scale of a head is positive"):
        TargetHead(system, scale=0)
    with pytest.raises(NotTractableError, match="unknown_prior=0"):
        TargetHead(make_system("permutohedron", 9), unknown_prior=0.1)
    with pytest.raises(CapacityError, match=r"system\.dim=5"):
        TargetHead(make_system("v21", 4)).adaptation(experience(*range(13)))
    with pytest.raises(LSCError, match="do not fit a head"):
        TargetHead(system).restore(Targets(make_system("v21", 25)))


def test_the_permutohedron_works_without_an_unknown():
    head = TargetHead(make_system("permutohedron", 9), unknown_prior=0)
    head.adaptation(experience(0, 1))
    assert torch.allclose(head(torch.randn(5, 9)).logsumexp(-1), torch.zeros(5), atol=1e-5)


def test_raw_embeddings_of_any_norm_are_classified():
    head = TargetHead(make_system("v21", 384), normalize=False)
    head.add_classes(range(5))
    output = head(1e4 * head.targets.vectors())
    assert torch.isfinite(output).all()
    assert output.argmax(-1).tolist() == [0, 1, 2, 3, 4]


def test_what_inference_mode_keeps_serves_training_too():
    head = TargetHead(make_system("v21", 24))
    head.add_classes(range(5))
    with torch.inference_mode():
        head(torch.randn(2, 24))
    z = torch.randn(2, 24, requires_grad=True)
    head(z).sum().backward()
    assert torch.isfinite(z.grad).all()


def test_few_classes_with_large_labels_need_no_wide_table():
    head = TargetHead(make_system("v21", 32))
    head.add_classes([0, 10**12])
    output = head(head.targets.vectors())
    assert output.tolist() == [0, 10**12]


def test_classes_come_as_ranges_and_tensors_too():
    head = TargetHead(make_system("v22", 384))
    head.add_classes(range(3_000_000))
    head.add_classes(torch.tensor([3_000_005, 7]))
    assert len(head.targets) == 3_000_001
    last = head.targets.vectors(torch.tensor([3_000_000]))
    assert head.predict(last).tolist() == [3_000_005]
    twin = TargetHead(make_system("v22", 384), capacity=3_000_005)
    with pytest.raises(LSCError, match="class label 3000005 has no column"):
        twin.restore(head.targets)
    with pytest.raises(LSCError, match="class label -2 has no column"):
        head.add_classes(np.array([4, -2]))


def test_labels_beyond_the_capacity_are_refused_at_evaluation_too():
    head = TargetHead(make_system("v21", 24), capacity=3)
    head.adaptation(experience(0))
    with pytest.raises(LSCError, match="class label 5 has no column"):
        head.eval().adaptation(experience(5))
    with pytest.raises(LSCError, match="1 or more columns"):
        TargetHead(make_system("v21", 24), capacity=0)
