"""LatentPointCollapse: its published schedules, what it adds to the loss, and its epochs."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from avalanche.training.supervised import Naive
from torch import Tensor, nn
from torch.optim import SGD, Adam

from lsc_continual import LSC, LSCError, make_system
from lsc_continual.runs.configuration import resolve
from lsc_continual.strategies import Growth, LatentPointCollapse, PointPenalty
from lsc_continual.strategies.point_collapse import EXPONENTIAL, ICLR_2025, REPOSITORY_2025
from tests.conftest import make_blob_stream, make_encoder


def test_the_schedule_of_the_iclr_submission_grows_by_a_twentieth_each_epoch():
    assert ICLR_2025.weight(0) == 1e-2
    assert ICLR_2025.weight(1) == pytest.approx(1.05e-2)
    assert ICLR_2025.weight(100) == pytest.approx(1.315, rel=1e-3)
    assert ICLR_2025.weight(377) == pytest.approx(973_000, rel=1e-3)
    assert {ICLR_2025.weight(epoch) for epoch in (378, 800, 10_000)} == {1e6}
    assert ICLR_2025.span == 378


def test_the_schedule_of_the_repository_follows_the_authors_loop():
    gamma = 1e-4
    first = True
    for epoch in range(1000):
        if epoch and epoch % 5 == 0:
            first = first and gamma < 1e3
            gamma = min(gamma * 2, 1e3) if first else min(gamma * 1.25, 1e6)
        assert REPOSITORY_2025.weight(epoch) == pytest.approx(gamma), epoch
    assert REPOSITORY_2025.weight(119) == pytest.approx(838.86, rel=1e-4)
    assert (REPOSITORY_2025.weight(120), REPOSITORY_2025.weight(125)) == (1e3, 1250)
    assert gamma == 1e6


def test_weights_never_fall_and_positions_may_lie_between_epochs():
    for penalty in (ICLR_2025, REPOSITORY_2025):
        weights = [penalty.weight(epoch / 3) for epoch in range(3000)]
        assert all(a <= b for a, b in pairwise(weights))
    assert EXPONENTIAL.weight(500) == 10


def test_penalties_are_means_over_batch_and_dimensions():
    z = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 0.25]])
    squares = (1 + 4 + 0.25 + 0 + 9 + 0.0625) / 6
    assert PointPenalty(3.0)(z, 0).item() == pytest.approx(3 * squares)
    powers = sum(math.exp(x * x) - 1 for x in z.flatten().tolist()) / 6
    assert EXPONENTIAL(z, 0).item() == pytest.approx(10 * powers)


def make_strategy(*plugins: LatentPointCollapse, epochs: int = 1, **head) -> LSC:
    torch.manual_seed(0)
    model = make_encoder()
    return LSC(
        model=model,
        optimizer=Adam(model.parameters(), 5e-3),
        system=make_system("v21", 32),
        head=head,
        train_mb_size=16,
        train_epochs=epochs,
        plugins=plugins,
        evaluator=None,
    )


class Losses(LatentPointCollapse):
    """Keeps the loss as it is after the penalty, without it, and the penalty by hand."""

    def __init__(self, penalty: PointPenalty | str) -> None:
        super().__init__(penalty)
        self.seen: list[tuple[float, float]] = []

    def after_forward(self, strategy, **kwargs):
        before = strategy.loss.item()
        super().after_forward(strategy, **kwargs)
        by_hand = self.penalty.weight(self.epochs) * strategy.model.features.square().mean()
        self.seen.append((strategy.loss.item() - before, by_hand.item()))


def test_the_penalty_joins_the_loss_of_every_step_and_reaches_the_encoder():
    plugin = Losses(PointPenalty(0.5, (Growth(2, every=1, limit=4),)))
    strategy = make_strategy(plugin, epochs=2, normalize=False)
    strategy.train(make_blob_stream().train_stream[0])
    assert len(plugin.seen) == 10
    for added, expected in plugin.seen:
        assert added == pytest.approx(expected)
        assert added > 0


def test_raw_embeddings_shrink_and_classes_stay_apart():
    norms, spreads = [], []
    for plugins in ([], [LatentPointCollapse(PointPenalty(1.0, (Growth(2, 1, 64.0),)))]):
        strategy = make_strategy(*plugins, epochs=30, normalize=False, scale=8.0)
        stream = make_blob_stream(experiences=1)
        strategy.train(stream.train_stream[0])
        dataset = stream.train_stream[0].dataset
        z, labels = embed(strategy, dataset), torch.tensor([int(y) for y in dataset.targets])
        assert (strategy.model.head.predict(z) == labels).float().mean() > 0.95
        means = torch.stack([z[labels == c].mean(0) for c in range(6)])
        within = torch.stack([z[labels == c].var(0).sum() for c in range(6)]).mean()
        norms.append(z.norm(dim=1).mean())
        spreads.append(within / means.var(0).sum())
    assert norms[1] < norms[0] / 4
    assert spreads[1] < spreads[0]


@torch.no_grad()
def embed(strategy: LSC, dataset) -> Tensor:
    return strategy.model.eval().embed(torch.stack([sample[0] for sample in dataset]))


def test_epochs_count_over_experiences_and_are_its_state():
    plugin = LatentPointCollapse("repository-2025")
    strategy = make_strategy(plugin, epochs=3, normalize=False)
    for experience in make_blob_stream().train_stream:
        strategy.train(experience)
    assert plugin.epochs == 9
    other = LatentPointCollapse("repository-2025")
    other.load_state(plugin.state(), strategy, None)
    assert other.epochs == 9


def test_any_strategy_of_avalanche_takes_it_by_the_layer():
    torch.manual_seed(0)
    encoder = make_encoder()
    latent = nn.Linear(32, 4)
    model = nn.Sequential(encoder, latent, nn.Linear(4, 6))
    stream = make_blob_stream(experiences=1)
    images = torch.stack([sample[0] for sample in stream.train_stream[0].dataset])
    before = nn.Sequential(encoder, latent)(images).square().mean().item()
    strategy = Naive(
        model=model,
        optimizer=SGD(model.parameters(), 0.01),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=16,
        train_epochs=5,
        plugins=[LatentPointCollapse(PointPenalty(10.0), module=latent)],
        evaluator=None,
    )
    strategy.train(stream.train_stream[0])
    assert nn.Sequential(encoder, latent)(images).square().mean().item() < before / 10
    assert not latent._forward_hooks


def test_a_model_without_embedding_and_a_layer_that_is_not_called_are_refused():
    for module in (None, nn.Linear(2, 2)):
        model = nn.Sequential(nn.Flatten(), nn.Linear(12, 6))
        strategy = Naive(
            model=model,
            optimizer=SGD(model.parameters(), 0.01),
            criterion=nn.CrossEntropyLoss(),
            plugins=[LatentPointCollapse("iclr-2025", module)],
            evaluator=None,
        )
        with pytest.raises(LSCError, match="give it module="):
            strategy.train(make_blob_stream(1).train_stream[0])


def test_names_are_checked_where_they_are_given():
    with pytest.raises(LSCError, match="did you mean 'iclr-2025'"):
        LatentPointCollapse("iclr-2024")
    with pytest.raises(LSCError, match=r"unknown collapse penalty 'exponent': did you mean 'expon"):
        resolve(["loss.collapse=exponent"])
    with pytest.raises(LSCError, match="means nothing to replay"):
        resolve(["strategy=replay", "loss.collapse=iclr-2025"])
    assert resolve([]).loss.collapse is None
