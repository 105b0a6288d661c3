"""What is trained on many classes, against what is known without training."""

from __future__ import annotations

import math

import pytest
import torch

from experiments.claims.target_networks import PerturbedRoots, Sizes, Training
from experiments.endless import Views
from lsc_continual import make_system


def test_perturbed_roots_are_as_far_from_their_roots_as_told_and_decode_to_them() -> None:
    perturbed, roots = PerturbedRoots(64, 0.25), make_system("a", 64)
    addresses = torch.arange(roots.size)
    vectors = perturbed.vectors(addresses)
    cosines = (vectors * roots.vectors(addresses)).sum(-1)
    assert vectors.norm(dim=-1).allclose(torch.ones(1), atol=1e-5)
    assert cosines.mean().item() == pytest.approx(1 / math.sqrt(1 + 0.25**2), abs=0.005)
    assert torch.equal(perturbed.decode(vectors).address, addresses)
    assert torch.equal(perturbed.vectors(addresses[5:6]), vectors[5:6])


@pytest.mark.parametrize("network", ["CNN", "ViT"])
def test_a_network_for_a_million_classes_is_not_larger(network: str) -> None:
    views = Views(torch.rand(7, 1, 28, 28))
    networks = [
        Training("views", views, classes, 10, 1, 10, network=network, targets="V21").model(Sizes())
        for classes in (10, 1_281_167)
    ]
    shapes = [{name: t.shape for name, t in net.state_dict().items()} for net in networks]
    assert shapes[0] == shapes[1]
    assert [len(net.head.targets) for net in networks] == [10, 1_281_167]
    labels = torch.tensor([0, 9, 10, 1_281_166])
    head = networks[1].eval().head
    vectors = head.targets.vectors(head.targets.ordinals(labels))
    assert torch.equal(head(vectors), labels)
