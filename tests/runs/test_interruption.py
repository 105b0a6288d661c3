"""Real processes that are stopped, killed, and taken up again."""

from __future__ import annotations

import json
import random
import signal
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.processes import Process
from tests.runs.test_resume import QUICK, outcome, run

SLOW = """
    import os, time
    from pathlib import Path
    import torch
    from torch import nn

    class Slow(nn.Sequential):
        num_features = 16

        def __init__(self, seconds=0.0, evaluation=0.0, mark=None):
            super().__init__(nn.Flatten(), nn.Linear(64, 16), nn.ReLU())
            self.seconds, self.evaluation, self.mark = seconds, evaluation, mark

        def forward(self, x):
            trains = self.training and len(x) > 1
            wait = self.seconds if trains else self.evaluation
            if len(x) > 1 and wait:
                with open(self.mark, "a") as file:
                    file.write("train\\n" if trains else "test\\n")
                time.sleep(wait)
            return super().forward(x)
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def begin(*arguments: str, **options: tuple[str, ...]) -> Process:
        (tmp_path / "slow.py").write_text(textwrap.dedent(SLOW), encoding="utf-8")
        started.append(Process(tmp_path, *arguments, **options))
        return started[-1]

    yield begin
    for process in started:
        process.stop()


def newest(folder: Path) -> int:
    """The step of the newest checkpoint."""
    names = [path.name for path in (folder / "checkpoints").glob("step-*")]
    return max((int(name.split("-")[1]) for name in names), default=0)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The outcome of the run that nothing happens to."""
    return outcome(run(tmp_path_factory.mktemp("whole") / "r"))


def test_a_run_that_is_killed_again_and_again_ends_as_if_it_were_not(start, expected, tmp_path):
    rng = random.Random(1)
    folder = tmp_path / "r"
    process = start("run", *QUICK, "checkpoint.keep=2", "run.dir=r")
    for _ in range(3):
        goal = newest(folder) + rng.randint(1, 8)
        process.wait_until(lambda goal=goal: newest(folder) >= goal)
        time.sleep(rng.random() * 0.03)
        process.send(signal.SIGKILL)
        assert process.end()[0] == -signal.SIGKILL
        process = start("resume", "r", "--trust-code")
    code, output, errors = process.end()
    assert (code, errors) == (0, "")
    assert "going on with experience" in output
    assert outcome(folder) == expected
    hidden = [path.name for path in folder.rglob("*") if path.name.startswith(".")]
    assert hidden == [".lock"]


def slow(tmp_path: Path, seconds: float, evaluation: float = 0.0) -> list[str]:
    options = {"seconds": seconds, "evaluation": evaluation, "mark": str(tmp_path / "mark")}
    return [
        *(setting for setting in QUICK if not setting.startswith("encoder")),
        "checkpoint.minutes=60",
        "encoder=slow:Slow",
        *(f"encoder.options.{name}={value}" for name, value in options.items()),
        "run.dir=r",
    ]


def marks(tmp_path: Path) -> list[str]:
    path = tmp_path / "mark"
    return path.read_text().split() if path.exists() else []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_at_the_next_step_and_says_how_to_go_on(start, tmp_path, number, code):
    module = ("lsc_continual",) if number == signal.SIGINT else ()  # once as users start it
    process = start("run", *slow(tmp_path, 0.2), module=module)
    process.wait_until(lambda: len(marks(tmp_path)) >= 2)
    process.send(number)
    returned, output, errors = process.end()
    assert (returned, errors) == (code, "")
    assert output.splitlines()[-1] == "interrupted; to go on: lsc-cl resume r"
    step = newest(tmp_path / "r")
    assert step == len(marks(tmp_path)) == 2  # the step under way was finished, and no other

    resumed = start("resume", "r", "--trust-code")
    resumed.wait_until(lambda: len(marks(tmp_path)) >= 4)
    resumed.send(number)
    returned, output, _ = resumed.end()
    assert returned == code
    assert "going on with experience 1/5, epoch 1, after 2 batches" in output
    assert newest(tmp_path / "r") > step


def test_a_second_ctrl_c_leaves_at_once(start, tmp_path):
    process = start("run", *slow(tmp_path, 60))
    process.wait_until(lambda: marks(tmp_path))
    process.send(signal.SIGINT)
    time.sleep(0.3)
    begin = time.monotonic()
    process.send(signal.SIGINT)
    assert process.end()[0] == 130
    assert time.monotonic() - begin < 10
    assert newest(tmp_path / "r") == 0


def test_an_evaluation_that_is_interrupted_is_repeated_and_the_training_is_not(start, tmp_path):
    process = start("run", *slow(tmp_path, 0.001, 0.2))
    process.wait_until(lambda: "test" in marks(tmp_path))
    process.send(signal.SIGINT)
    assert process.end()[0] == 130
    trained = marks(tmp_path).count("train")
    assert trained == newest(tmp_path / "r")
    resumed = start("resume", "r", "--trust-code")
    resumed.wait_until(lambda: (tmp_path / "r" / "metrics.json").exists())
    assert marks(tmp_path).count("train") in (trained, trained + 1)  # of the next experience
    resumed.send(signal.SIGINT)
    code, output, _ = resumed.end()
    assert code == 130
    assert "going on with experience 1/5, which is trained, with its evaluation" in output
    assert len(json.loads((tmp_path / "r" / "metrics.json").read_text())["experiences"]) == 1


def test_a_folder_that_a_process_is_at_work_in_is_left_alone(start, tmp_path):
    first = start("run", *slow(tmp_path, 60))
    first.wait_until(lambda: marks(tmp_path))
    code, output, errors = start("resume", "r", "--trust-code").end()
    assert code == 2
    assert errors == ("error: another process is at work in r: wait for it or stop it first\n"), (
        output
    )
    first.stop()
    resumed = start("resume", "r", "--trust-code")  # a dead process keeps nobody out
    resumed.wait_until(lambda: len(marks(tmp_path)) >= 2)
