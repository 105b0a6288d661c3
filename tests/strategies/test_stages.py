"""Plugins act in the order that they declare, however they were added."""

from __future__ import annotations

import itertools

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin
from avalanche.training.supervised import Naive
from torch import nn
from torch.optim import SGD

from lsc_continual import (
    LSC,
    EmbeddingReplay,
    LSCError,
    NoveltyDetector,
    TargetClassifier,
    make_system,
)
from lsc_continual.network import TargetHead
from lsc_continual.strategies import CosineDecay, NoveltyCalibration, Stage, StopOnDivergence
from lsc_continual.strategies.stages import in_order, stage_of
from tests.conftest import make_blob_stream, make_encoder
from tests.strategies.test_open_world import held_out_parts


class Plain(SupervisedPlugin, supports_distributed=True):
    """A plugin of a user's own, without a stage."""


def parts() -> list:
    torch.manual_seed(0)
    head = TargetHead(make_system("v21", 32))
    replay = EmbeddingReplay(mem_size=60)
    detector = NoveltyDetector(head)
    calibration = NoveltyCalibration(detector, held_out_parts(), 200, replay.storage_policy)
    return [head, replay, calibration, CosineDecay(), StopOnDivergence()]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
def test_calibration_before_replay_calibrates_the_first_experience_all_the_same(order):
    head, *plugins = parts()
    stream = make_blob_stream()
    model = TargetClassifier(make_encoder(), head)
    model.settle(torch.zeros(1, 12, 1, 1))
    strategy = LSC(
        model=model,
        optimizer=SGD(model.parameters(), lr=0.05),
        plugins=[plugins[place] for place in order],
        evaluator=EvaluationPlugin(),
    )
    strategy.train(stream.train_stream[0])
    replay, calibration, cosine, _ = plugins
    assert calibration.detector.known is not None
    assert len(calibration.detector.reference) == len(replay.storage_policy.buffer) == 60
    assert cosine.state()["last_epoch"] == cosine.state()["T_max"]
    stages = [stage for plugin in strategy.plugins if (stage := stage_of(plugin)) is not None]
    assert stages == sorted(stages)


def test_the_schedule_counts_the_batches_that_a_later_replay_plugin_makes():
    _, *plugins = parts()
    cosine, replay = plugins[2], ReplayPlugin(mem_size=20)
    assert in_order([cosine, replay]) == [replay, cosine]


def test_plugins_without_a_stage_keep_their_places():
    _, replay, calibration, cosine, stop = parts()
    first, second = Plain(), Plain()
    mixed = [first, calibration, stop, second, cosine, replay]
    assert in_order(mixed) == [first, replay, cosine, second, stop, calibration]
    assert stage_of(first) is None
    assert stage_of(replay) is Stage.LOADER


def test_a_strategy_of_avalanches_own_refuses_the_wrong_order():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 6))
    strategy = Naive(
        model=model,
        optimizer=SGD(model.parameters(), lr=0.1),
        plugins=[CosineDecay(), ReplayPlugin(mem_size=20)],
        evaluator=EvaluationPlugin(),
    )
    with pytest.raises(LSCError, match="CosineDecay has to come after ReplayPlugin"):
        strategy.train(make_blob_stream().train_stream[0])
