"""Two processes that train one model, as torchrun starts them, on the CPU."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load

from lsc_continual.runs import run as runs
from lsc_continual.runs.configuration import resolve
from tests.processes import Process
from tests.runs.test_interruption import SLOW, newest
from tests.runs.test_resume import QUICK, outcome, quiet

KINDS = {
    "mlp": ["train.epochs=3"],
    # Plain steps, features as they are and one kind of targets: AdamW's first steps, the division
    # by small variances and gaps between unit vectors and others turn differences in rounding into
    # ones of an image or two.
    "batch norm": [
        "system=v21",
        "encoder=resnet-small",
        "encoder.standardize=false",
        "train.epochs=1",
        "train.optimizer=sgd",
        "train.lr=0.02",
        "scenario.experiences=3",
    ],
    "affinity and sgd": ["allocation=affinity", "train.optimizer=sgd", "train.lr=0.05"],
    "analytic": ["strategy=lsc-analytic", "analytic.features=90", "analytic.penalty=0.01"],
}


def settings(kind: str) -> list[str]:
    encoder = any(setting.startswith("encoder=") for setting in KINDS[kind])
    quick = [s for s in QUICK if not (encoder and s.startswith("encoder"))]
    return [*quick, "checkpoint.minutes=60", *KINDS[kind]]


def alone(folder: Path, kind: str) -> None:
    runs.run(resolve([*settings(kind), f"run.dir={folder}"]), quiet())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., list[Process]]]:
    """Start processes that train together, as torchrun does, only sooner."""
    started: list[Process] = []

    def begin(*arguments: str, processes: int = 2) -> list[Process]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        variables = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        for rank in range(processes):
            variables |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            variables |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
            started.append(Process(tmp_path, *arguments, variables=variables))
        return started[-processes:]

    yield begin
    for process in started:
        process.stop()


def assert_close(one: Any, other: Any, place: str = "") -> None:
    """The same keys, lists and texts; numbers to 1e-3."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), place
        for key in one:
            assert_close(one[key], other[key], f"{place}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), place
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_close(a, b, f"{place}[{index}]")
    elif isinstance(one, float):
        few = 0.01 if ".flagged." in place else 1e-3  # an image at the threshold may change sides
        assert math.isclose(one, other, abs_tol=few), (place, one, other)
    else:
        assert one == other, place


def learned(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Everything but the weights, and the weights."""
    found = outcome(folder)
    weights = load(found.pop("weights.safetensors"))
    weights |= load(found.pop("calibration.safetensors"))
    kept = load(found.pop("state.safetensors"))  # of which generators are each process's own
    weights |= {f"kept {name}": part for name, part in kept.items() if part.is_floating_point()}
    weights = {name: part for name, part in weights.items() if part.numel()}
    del found["SHA256SUMS"]
    return {**found, "model.json": json.loads(found["model.json"])}, weights


def assert_same_run(one: Path, other: Path) -> None:
    (ours, our_weights), (theirs, their_weights) = learned(one), learned(other)
    assert_close(ours, theirs)
    assert our_weights.keys() == their_weights.keys()
    for name, tensor in our_weights.items():
        difference = (tensor.double() - their_weights[name].double()).abs().max()
        assert difference < 1e-3, (name, float(difference))


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_learn_what_one_learns(start, tmp_path, kind):
    first, second = start("run", *settings(kind), "run.dir=two")
    ended = [process.end() for process in (first, second)]
    assert [code for code, _, _ in ended] == [0, 0], ended
    assert "run folder: two" in ended[0][1]
    assert ended[1][1:] == ("", "")  # one speaks,
    assert len(list((tmp_path / "two").glob("events.out.*"))) == 1  # and one writes
    alone(tmp_path / "one", kind)
    assert_same_run(tmp_path / "two", tmp_path / "one")
    assert newest(tmp_path / "two") == newest(tmp_path / "one")


def test_a_run_of_two_processes_goes_on_in_one_and_in_two(start, tmp_path):
    (tmp_path / "slow.py").write_text(textwrap.dedent(SLOW), encoding="utf-8")
    slow = [s for s in settings("mlp") if not s.startswith("encoder")]
    slow += ["encoder=slow:Slow", "encoder.options.seconds=0.02"]
    slow += [f"encoder.options.mark={os.devnull}", "train.epochs=6", "checkpoint.minutes=0"]
    for name, numbers in (("a", (signal.SIGINT, signal.SIGINT)), ("b", (signal.SIGTERM, 0))):
        pair = start("run", *slow, f"run.dir={name}")
        pair[0].wait_until(lambda name=name: newest(tmp_path / name) >= 10)
        for process, number in zip(pair, numbers, strict=True):
            if number:  # one that is told is enough
                process.send(number)
        ended = [process.end() for process in pair]
        assert [code for code, _, _ in ended] == [128 + numbers[0]] * 2, ended
        line = f"interrupted; to go on: torchrun … -m lsc_continual resume {name}"
        assert ended[0][1].splitlines()[-1] == line
        assert ended[1][1:] == ("", "")
        assert 10 < newest(tmp_path / name) < 90
    single = Process(tmp_path, "resume", "a", "--trust-code")
    pair = start("resume", "b", "--trust-code")
    for process in (single, *pair):
        assert process.end()[0] == 0, process.end()
    assert "going on with experience" in single.end()[1]
    assert_same_run(tmp_path / "a", tmp_path / "b")
    whole = Process(tmp_path, "run", *slow, "run.dir=one")
    assert whole.end()[0] == 0
    assert_same_run(tmp_path / "a", tmp_path / "one")


def test_batches_that_cannot_be_shared_are_refused(start, tmp_path):
    pair = start("run", *settings("mlp"), "train.batch_size=1", "run.dir=r")
    ended = [process.end() for process in pair]
    assert 2 in [code for code, _, _ in ended]
    assert "cannot be shared by 2 processes: raise train.batch_size" in ended[0][2]
    assert not (tmp_path / "r").exists()


COUNT = """
    import json
    import torch
    from avalanche.benchmarks import nc_benchmark
    from avalanche.core import SupervisedPlugin
    from avalanche.training.plugins import EvaluationPlugin
    from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
    from lsc_continual import LSC, EmbeddingReplay, make_system
    from lsc_continual.machine import distributed
    from lsc_continual.inputs import StoredImages
    from lsc_continual.strategies import template

    sent, seen, replicate = [0], {}, template.replicate

    def counting(model, device):
        def hook(state, bucket):
            sent[0] += bucket.buffer().nbytes
            return allreduce_hook(state, bucket)

        replica = replicate(model, device)
        replica.register_comm_hook(None, hook)
        return replica

    class Count(SupervisedPlugin):
        def after_training_iteration(self, strategy, **kwargs):
            owned = len(strategy.model.head.targets)
            seen.setdefault(owned, set()).add(sent[0])
            sent[0] = 0

    template.replicate = counting
    distributed.start()
    torch.manual_seed(0)
    labels = torch.arange(100).repeat_interleave(4)
    images = StoredImages(torch.rand(400, 1, 4, 4), labels)
    sizes = {0: 10, 1: 90}
    stream = nc_benchmark(
        images, images, 2, task_labels=False, fixed_class_order=list(range(100)),
        per_exp_classes=sizes,
    )
    encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 32), torch.nn.ReLU())
    strategy = LSC(
        model=encoder, optimizer=torch.optim.SGD(encoder.parameters(), 0.1),
        system=make_system("v21", 24), train_mb_size=16, evaluator=EvaluationPlugin(),
        plugins=[EmbeddingReplay(20), Count()],
    )
    for experience in stream.train_stream:
        strategy.train(experience)
    if distributed.rank() == 0:
        trained = sum(p.numel() for p in strategy.model.parameters() if p.requires_grad)
        sent = {owned: sorted(values) for owned, values in seen.items()}
        print(json.dumps({"parameters": trained, "sent": sent}))
    distributed.stop()
"""


def test_what_processes_send_each_other_does_not_grow_with_the_classes(start, tmp_path):
    (tmp_path / "count.py").write_text(textwrap.dedent(COUNT), encoding="utf-8")
    ended = [process.end() for process in start("count.py")]
    assert [code for code, _, _ in ended] == [0, 0], ended
    counted = json.loads(ended[0][1].splitlines()[-1])
    expected = [4 * counted["parameters"]]  # float32, each parameter once a step
    assert counted["sent"] == {"10": expected, "100": expected}


def test_torchrun_starts_it_as_the_help_says(tmp_path):
    launcher = (
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "-m",
        "lsc_continual",
    )
    process = Process(tmp_path, "run", *settings("mlp"), "run.dir=two", module=launcher)
    code, output, errors = process.end()
    assert code == 0, errors
    assert output.count("run folder: two") == 1
    alone(tmp_path / "one", "mlp")
    assert_same_run(tmp_path / "two", tmp_path / "one")


def test_it_is_one_process_where_nobody_started_more():
    from lsc_continual.machine import distributed

    assert (distributed.rank(), distributed.world_size()) == (0, 1)
    assert distributed.everyone({"a": 1}) == [{"a": 1}]
    assert distributed.largest([1.0, 2.0]) == [1.0, 2.0]
    assert torch.equal(distributed.joined(torch.arange(3)), torch.arange(3))
