"""The heads compute what their names say."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from lsc_continual import make_system
from lsc_continual.bench.heads import HEADS, ArcFace, make_batch, make_head
from lsc_continual.errors import LSCError
from lsc_continual.network.priors import default_scale
from lsc_continual.targets import Targets

CPU = torch.device("cpu")
SYSTEM = make_system("v21", 12)


def loss_of(name: str, classes: int = 200, **attributes) -> tuple:
    head = make_head(name, SYSTEM, classes, CPU)
    for attribute, value in attributes.items():
        setattr(head, attribute, value)
    z, labels = make_batch(SYSTEM, classes, CPU)
    return head, z, labels, head.loss(z, labels)


def test_structured_softmax_is_cross_entropy_against_every_vector():
    _, z, labels, loss = loss_of("structured softmax")
    targets = Targets(SYSTEM)
    targets.add(range(200))
    logits = (
        default_scale(200) * F.normalize(z, dim=-1) @ SYSTEM.vectors(torch.arange(SYSTEM.size)).T
    )
    assert loss.item() == pytest.approx(
        F.cross_entropy(logits, targets.addresses(labels)).item(), rel=1e-5
    )


def test_the_margin_makes_arcface_harder_and_without_it_cosines_are_left():
    head, z, labels, with_margin = loss_of("ArcFace head")
    logits = ArcFace.scale * F.cosine_similarity(z.unsqueeze(1), head.weight.unsqueeze(0), dim=-1)
    plain = F.cross_entropy(logits, labels).item()
    assert loss_of("ArcFace head", margin=0.0)[-1].item() == pytest.approx(plain, rel=1e-4)
    assert with_margin.item() > plain


def test_sampled_softmax_over_all_classes_is_the_linear_head():
    *_, everything = loss_of("sampled softmax, 10 %", share=1.0)
    *_, linear = loss_of("linear head")
    assert everything.item() == pytest.approx(linear.item(), rel=1e-5)


def test_sampled_softmax_draws_the_classes_of_the_batch_and_a_tenth_in_all():
    head, _, labels, _ = loss_of("sampled softmax, 10 %", classes=10_000)
    assert len(head._drawn) == 1_000
    assert torch.isin(labels, head._drawn).all()


@pytest.mark.parametrize("name", [name for name in HEADS if name != "structured softmax"])
def test_an_update_lowers_the_loss(name):
    torch.manual_seed(0)
    head, z, labels, _ = loss_of(name, share=1.0)
    head.step(z, labels)
    assert z.grad is not None
    before = head.loss(z, labels).item()
    for _ in range(20):
        head.step(z, labels)
        head.update()
    assert head.loss(z, labels).item() < before
    assert head.parameters == 200 * 12


def test_an_unknown_head_is_refused():
    with pytest.raises(LSCError, match="unknown head 'lineer head': did you mean 'linear head'"):
        make_head("lineer head", SYSTEM, 10, CPU)
