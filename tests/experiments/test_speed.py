"""Epochs to an accuracy, and networks that learn under every head."""

import pytest
import torch
from torch import nn

from experiments.claims.speed import Learner, Progress, Strided, faster, learn
from experiments.data import Data, Part
from experiments.outcome import Verdict
from experiments.training import Recipe


def progress(*training: float) -> Progress:
    return Progress(range(1, len(training) + 1), training, training)


def test_epochs_to_an_accuracy_lie_between_measurements():
    curve = progress(20.0, 60.0, 40.0, 90.0)
    assert curve.epochs_to(10) == 0.5
    assert curve.epochs_to(20) == 1.0
    assert curve.epochs_to(50) == 1.75  # the first time, not the last
    assert curve.epochs_to(65) == 3.5
    assert curve.epochs_to(95) is None
    assert curve.shown(95) == "> 4"


def test_seeds_are_averaged_epoch_by_epoch():
    mean = Progress.mean([progress(10.0, 50.0), progress(30.0, 70.0)])
    assert mean.training == [20.0, 60.0]


def test_a_level_that_neither_reached_decides_nothing():
    quick, slow = progress(60.0, 85.0), progress(30.0, 60.0)
    assert faster(quick, slow) == [True, True]
    assert faster(slow, quick) == [False, False]
    assert faster(progress(60.0), progress(58.0)) == [False]  # by less than a tenth
    assert Verdict.of(*faster(progress(1.0), progress(2.0))) is Verdict.OPEN


def test_strided_knows_its_features():
    for side in (14, 28):
        encoder = Strided(side)
        assert encoder(torch.zeros(2, 1, side, side)).shape == (2, encoder.num_features)


@pytest.mark.parametrize(
    "learner",
    [
        Learner("cross-entropy"),
        Learner("cross-entropy", dim=4),
        Learner("cosine", "v21", 8),
        Learner("cosine", "permutohedron", 5),
        Learner("cosine", "v21", 8, lr=0.1, sgd=True),
        Learner("structured", "v21", 8),
        Learner("owned", "v21", 8),
    ],
    ids=str,
)
@pytest.mark.parametrize("dense", [0, 100])
def test_every_learner_learns_three_blobs(learner, dense):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(90) % 3
    centres = 3 * torch.randn(3, 6, generator=generator)
    part = Part(centres[labels] + 0.3 * torch.randn(90, 6, generator=generator), labels)

    def encoder() -> nn.Module:
        module = nn.Identity()
        module.num_features = 6
        return module

    learned = learn(
        Learner(learner.loss, learner.system, learner.dim, max(learner.lr, 0.03), learner.sgd),
        encoder,
        Data(part, part),
        Recipe(epochs=10, batch_size=15, cosine=False),
        classes=3,
        seed=0,
        dense=dense,
    )
    assert learned.training[-1] > 95
