"""Avalanche's strategies under the conditions of LSC."""

from __future__ import annotations

import copy
import inspect
import json
from collections import defaultdict
from pathlib import Path

import pytest
import torch
from avalanche.training.plugins import EWCPlugin, LwFPlugin
from avalanche.training.supervised import DER, SCR, ICaRL, StreamingLDA
from rich.console import Console
from torch import nn

from lsc_continual import LSCError, load_model
from lsc_continual.experiences.plan import Draws
from lsc_continual.runs.configuration import resolve
from lsc_continual.runs.run import Prepared, prepare, resume, run
from lsc_continual.strategies.names import STRATEGIES
from lsc_continual.strategies.peers.masking import LogitScores, MaskUnseen

QUICK = [
    "scenario=split-digits",
    "encoder=mlp",
    "encoder.options.width=64",
    "train.epochs=8",
    "train.lr=0.003",
    "data.train_per_class=80",
    "replay.size=100",
]
PEERS = [name for name in STRATEGIES if not name.startswith("lsc")]
TRAINED = 720  # a tenth of 10 · 80 images is held out
BOUNDS = {name for name, strategy in STRATEGIES.items() if strategy.bound}
BARE = {"naive", "lwf", "ewc"}  # which forget all but the latest classes
IN_AVALANCHE = {
    "der": DER,
    "lwf": LwFPlugin,
    "ewc": EWCPlugin,
    "icarl": ICaRL,
    "scr": SCR,
    "slda": StreamingLDA,
}


def prepared(*settings: str) -> Prepared:
    return prepare(resolve([*QUICK, *settings]), Console(quiet=True))


def count_trained_images(network: nn.Module) -> list[int]:
    """Counts the images that the network's first layer sees while it is trained."""
    counts = [0]

    def count(layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        counts[0] += len(inputs[0]) if layer.training and torch.is_grad_enabled() else 0

    first = next(module for module in network.modules() if isinstance(module, nn.Linear))
    first.register_forward_hook(count)
    return counts


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """`metrics.json` of a run of each peer, and of LSC."""
    parent, found = tmp_path_factory.mktemp("runs"), {}
    for name in ("lsc", *PEERS):
        config = resolve([*QUICK, f"strategy={name}", f"run.dir={parent / name}"])
        folder = run(config, Console(quiet=True))
        found[name] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        found[name]["folder"] = folder
    return found


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_learns(name, metrics):
    final = metrics[name]["final"]
    latest = metrics[name]["experiences"][-1]["accuracy_by_experience"][-1]
    if name in BARE:  # they know the latest classes and little more
        assert latest > 0.35  # chance: 0.1
        assert final["average_incremental_accuracy"] > 0.3
    else:
        assert final["last_accuracy"] > 0.35
        assert final["average_incremental_accuracy"] > 0.6


def test_they_keep_what_their_kind_keeps(metrics):
    last = {name: metrics[name]["final"]["last_accuracy"] for name in metrics}
    assert min(last[name] for name in set(PEERS) - BARE) > max(last[name] for name in BARE) + 0.1
    assert last["joint"] > 0.8


@pytest.mark.parametrize("name", PEERS)
def test_nothing_grows_and_metrics_have_the_shape_of_ours(name, metrics):
    ours, theirs = metrics["lsc"], metrics[name]
    assert set(theirs) == set(ours)
    experiences = theirs["experiences"]
    assert len(experiences) == (1 if name == "joint" else 5)
    assert len({entry["parameters"] for entry in experiences}) == 1
    for entry, ours_entry in zip(experiences, ours["experiences"], strict=False):
        assert set(entry) == set(ours_entry)
        if name != "joint":
            assert entry["classes"] == ours_entry["classes"]
            assert set(entry["novelty"]) == set(experiences[0]["novelty"]) or not entry["novelty"]
    if name != "joint":
        score = theirs["novelty_score"]
        assert 0 <= experiences[0]["novelty"][score]["auroc"] <= 1


def test_memories_are_measured_in_bytes(metrics):
    last = {name: entry["experiences"][-1] for name, entry in metrics.items()}
    image = 8 * 8 + 8
    for name in ("lsc", "replay", "er-ace", "scr", "gdumb", "icarl"):
        assert last[name]["stored_bytes"] == 100 * image
    assert last["der"]["stored_bytes"] == 100 * (image + 4 * 10)
    for name in (*BARE, "slda"):
        assert last[name]["stored_bytes"] == 0
    assert last["joint"]["stored_bytes"] == last["cumulative"]["stored_bytes"] == TRAINED * image
    assert last["lsc"]["calibration_bytes"] == 80 * image
    assert all(last[name]["calibration_bytes"] == 0 for name in PEERS)


def test_a_run_leaves_no_model_and_no_checkpoint(metrics):
    folder: Path = metrics["der"]["folder"]
    assert not (folder / "model").exists()
    assert [path.name for path in (folder / "checkpoints").iterdir()] == [".lock"]
    with pytest.raises(LSCError, match=r"strategy=lsc leave one"):
        load_model(folder)
    with pytest.raises(LSCError, match=r"cannot be resumed: its strategy, der.*run it anew"):
        resume(folder, [], Console(quiet=True))


@pytest.mark.parametrize("name", sorted(set(PEERS) - BOUNDS))
def test_every_experience_forwards_as_many_images_as_lsc(name):
    ours = prepared("train.epochs=2")
    expected = []
    for round_ in ours.assembly.rounds[:2]:
        ours.assembly.strategy.train(round_)
        expected.append(ours.progress.images)
    theirs = prepared(f"strategy={name}", "train.epochs=2")
    counts = count_trained_images(theirs.assembly.strategy.model)
    if name == "slda":  # its encoder learns in the first experience; then there is one pass
        arriving = [len(r[0].dataset) for r in theirs.assembly.rounds]
        expected = [expected[0] + arriving[0], arriving[1]]
    for number, round_ in enumerate(theirs.assembly.rounds[:2]):
        theirs.assembly.strategy.train(round_)
        assert theirs.progress.images == expected[number]
    if name not in ("slda", "gdumb"):  # which trains another network in every experience
        assert counts[0] == sum(expected)


def test_bounds_see_at_least_as_many_images():
    ours = prepared("train.epochs=2")
    for round_ in ours.assembly.rounds:
        ours.assembly.strategy.train(round_)
    last = ours.progress.images
    theirs = prepared("strategy=cumulative", "train.epochs=2")
    for round_ in theirs.assembly.rounds:
        theirs.assembly.strategy.train(round_)
    assert theirs.progress.images == 2 * TRAINED > last
    joint = prepared("strategy=joint", "train.epochs=2")
    joint.assembly.strategy.train(joint.assembly.rounds[0])
    # Of LSC: two epochs of five steps in each of five experiences, and up to 32 stored images each.
    assert joint.progress.images == 2 * (TRAINED + 4 * 5 * 32)


@pytest.mark.parametrize("name", ["replay", "scr", "icarl", "slda"])
def test_no_class_is_predicted_before_it_is_trained_on(name):
    """Test labels of classes to come change neither predictions nor the number of parameters."""
    theirs = prepared(f"strategy={name}", "train.epochs=1")
    strategy, stream = theirs.assembly.strategy, theirs.assembly.data.benchmark
    predicted = defaultdict(list)
    update = theirs.evaluation.after_eval_forward

    def note(strategy, **kwargs):
        predicted[strategy.experience.current_experience].append(strategy.mb_output.argmax(1))
        update(strategy, **kwargs)

    theirs.evaluation.after_eval_forward = note
    strategy.train(theirs.assembly.rounds[0])
    before = theirs.assembly.sizes()["parameters"]
    strategy.eval(stream.test_stream)
    seen = set(stream.train_stream[0].classes_in_this_experience)
    assert set(torch.cat([p for part in predicted.values() for p in part]).tolist()) <= seen
    assert theirs.assembly.sizes()["parameters"] == before

    whole = torch.cat(predicted[0])
    predicted.clear()
    strategy.eval(stream.test_stream[:1])
    assert torch.equal(torch.cat(predicted[0]), whole)


@pytest.mark.parametrize("name", PEERS)
def test_options_are_avalanches(name):
    options = STRATEGIES[name].options
    if not options:
        return
    parameters = inspect.signature(inspect.unwrap(IN_AVALANCHE[name].__init__)).parameters
    assert set(options) <= set(parameters)


def test_options_reach_avalanche():
    assert prepared("strategy=der", "strategy.options.alpha=0.7").assembly.strategy.alpha == 0.7
    config = resolve(["strategy=der", "strategy.options.beta=1"])
    assert config.strategy.options == {"alpha": 0.1, "beta": 1}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["strategy=dre"], "unknown strategy 'dre': did you mean 'der'"),
        (["strategy=der", "strategy.options.alpa=1"], "did you mean 'alpha'"),
        (["strategy=der", "strategy.options.alpha=yes"], "has the wrong type: it is 0.1"),
        (["strategy=naive", "strategy.options.alpha=1"], "naive has no options"),
        (["strategy.options.alpha=1"], "lsc has no options"),
        (["strategy=der", "loss.scale=8"], "loss.scale is for lsc, lsc-learned-head, lsc-analytic"),
        (["strategy=der", "system=v22"], "system.name is for lsc, lsc-analytic"),
        (["strategy=der", "checkpoint.minutes=1"], "means nothing to der"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(LSCError, match=message):
        resolve(settings)


def test_conditions_that_a_peer_cannot_meet_are_refused():
    with pytest.raises(LSCError, match=r"set replay\.size above 0"):
        prepared("strategy=replay", "replay.size=0")
    with pytest.raises(LSCError, match=r"do not fit ewc.*decay_factor"):
        prepared("strategy=ewc", "strategy.options.mode=online")
    with pytest.raises(LSCError, match=r"no train\.precision=fp16"):
        prepared("strategy=der", "train.precision=fp16")


BENCHMARK = """
from avalanche.benchmarks import nc_benchmark
from tests.conftest import blobs

def three_tasks():
    return nc_benchmark(*blobs(), n_experiences=3, task_labels=False)
"""


@pytest.mark.parametrize("name", ["icarl", "der", "lwf"])
def test_benchmarks_of_the_users_own_can_be_learned(name, tmp_path, monkeypatch):
    (tmp_path / f"peers_{name}.py").write_text(BENCHMARK, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    own = ["scenario=python", f"benchmark=peers_{name}:three_tasks", "encoder=mlp"]
    quick = ["train.epochs=2", "replay.size=30", f"strategy={name}", "run.dir=run"]
    folder = run(resolve([*own, *quick]), Console(quiet=True))
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert [len(entry["classes"]) for entry in metrics["experiences"]] == [2, 2, 2]
    assert metrics["experiences"][0]["accuracy_seen"] > 0.8


def test_scores_without_the_library_agree_with_it():
    baselines = pytest.importorskip("pytorch_ood.detector")
    mask = MaskUnseen()
    mask._seen = {0, 2, 3}
    output = torch.randn(20, 5)
    scores = LogitScores(mask)(torch.empty(0), output)
    seen = output[:, [0, 2, 3]]
    torch.testing.assert_close(scores["msp"], baselines.MaxSoftmax.score(seen))
    torch.testing.assert_close(scores["energy"], baselines.EnergyBased.score(seen))


def test_draws_go_over_every_sample_before_any_comes_again():
    draws = Draws(((10, 4), (3, 5)), steps=3, seed=7)
    epochs = [draws.epoch(number) for number in range(5)]
    assert all(len(epoch) == 3 for epoch in epochs)
    counts = torch.cat([batch for epoch in epochs for batch in epoch]).bincount(minlength=13)
    assert counts[:10].tolist() == [2] * 10  # 5 epochs of 4
    assert counts[10:].sum() == 25
    assert counts[10:].max() - counts[10:].min() <= 1
    assert [b.tolist() for b in draws.epoch(3)] == [b.tolist() for b in epochs[3]]
    assert [b.tolist() for b in draws.epoch(4)] != [b.tolist() for b in epochs[3]]


def test_the_encoder_of_slda_is_trained_on_the_first_experience_and_then_kept():
    theirs = prepared("strategy=slda", "train.epochs=1")
    weights = [copy.deepcopy(theirs.assembly.strategy.model.state_dict())]
    for round_ in theirs.assembly.rounds[:2]:
        theirs.assembly.strategy.train(round_)
        weights.append(copy.deepcopy(theirs.assembly.strategy.model.state_dict()))
    name = next(name for name in weights[0] if name.endswith("weight"))
    assert not torch.equal(weights[0][name], weights[1][name])
    assert torch.equal(weights[1][name], weights[2][name])
