"""`lsc-cl compare`: many runs, one table."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner, Result

from lsc_continual import LSCError
from lsc_continual.cli.main import app
from lsc_continual.compare.compared import Comparison
from lsc_continual.compare.summary import figures_of, summarize, table_of
from lsc_continual.runs.metrics import ExperienceMetrics, RunMetrics
from tests.processes import PATIENCE, Process

QUICK = [
    "scenario=split-digits",
    "encoder=mlp",
    "encoder.options.width=32",
    "system.dim=32",
    "train.epochs=1",
    "data.train_per_class=30",
    "scenario.experiences=3",
    "replay.size=40",
]


def settings(folder: Path, *more: str) -> list[str]:
    of_lsc = [f"lsc.{s}" if s.startswith("system") else s for s in QUICK]
    return [*of_lsc, f"run.dir={folder}", *more]


def compare(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["compare", *arguments])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("compare") / "first"
    chosen = ["strategies=lsc,replay,joint", "seeds=2", "replay.train.lr=0.005", "--jobs", "2"]
    result = compare(*settings(folder), *chosen)
    assert result.exit_code == 0, result.output
    return folder, result


def metrics_of(folder: Path, run: str) -> dict:
    return json.loads((folder / run / "metrics.json").read_text(encoding="utf-8"))


def test_it_shows_means_and_deviations_of_the_runs(finished):
    folder, result = finished
    summary = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    assert [row["strategy"] for row in summary["rows"]] == ["lsc", "replay", "joint"]
    for row in summary["rows"]:
        runs = [metrics_of(folder, f"{row['strategy']}-seed{seed}") for seed in (0, 1)]
        last = [run["final"]["last_accuracy"] for run in runs]
        assert row["figures"]["last_accuracy"]["mean"] == pytest.approx(np.mean(last))
        assert row["figures"]["last_accuracy"]["sd"] == pytest.approx(np.std(last, ddof=1))
        seconds = [sum(e["train_seconds"] for e in run["experiences"]) for run in runs]
        assert row["figures"]["train_seconds"]["values"] == pytest.approx(seconds)
        assert row["problems"] == {}
    lsc, replay, joint = summary["rows"]
    # After the first experience too few images are held out to calibrate the score of the run, and
    # a mean without that experience, or of another score there, would be none of what others have.
    assert lsc["novelty_score"] == "auto"
    assert lsc["novelty_missing"].startswith("experience 1: a false-alarm rate of 0.05 needs 19")
    assert not {"auroc", "oscr"} & lsc["figures"].keys()
    runs = [metrics_of(folder, f"replay-seed{seed}") for seed in (0, 1)]
    score = replay["novelty_score"]
    auroc = [
        np.mean([entry["novelty"][score]["auroc"] for entry in run["experiences"][:2]])
        for run in runs
    ]
    assert (score, replay["novelty_missing"]) == ("vim", None)
    assert replay["figures"]["auroc"]["values"] == pytest.approx(auroc)
    assert "– AUROC and OSCR of lsc: experience 1: a false-alarm rate" in result.output
    assert [point["classes"] for point in replay["curve"]] == [4, 7, 10]
    assert replay["curve"][0]["mean"] == pytest.approx(
        np.mean(
            [
                metrics_of(folder, f"replay-seed{s}")["experiences"][0]["accuracy_seen"]
                for s in (0, 1)
            ]
        )
    )
    assert (joint["bound"], "auroc" in joint["figures"]) == (True, False)
    for word in ("lsc", "joint (bound)", "AUROC", "OSCR", "parameters", "stored", "seeds 0, 1"):
        assert word in result.output


def test_settings_reach_the_strategy_they_are_for(finished):
    folder, _ = finished
    rates = {}
    for strategy in ("lsc", "replay"):
        text = (folder / f"{strategy}-seed0" / "config.yaml").read_text(encoding="utf-8")
        rates[strategy] = "lr: 0.005" in text
        assert "epochs: 1" in text
    assert rates == {"lsc": False, "replay": True}


def test_the_plot_is_a_picture(finished, tmp_path):
    folder, _ = finished
    pixels = np.asarray(Image.open(folder / "comparison.png").convert("RGB"))
    assert min(pixels.shape[:2]) > 300
    assert pixels.std() > 5  # not blank
    arguments = [*settings(folder), "strategies=lsc,replay", "seeds=2", "replay.train.lr=0.005"]
    assert compare(*arguments, "--plot", str(tmp_path / "curves.svg")).exit_code == 0
    assert "<svg" in (tmp_path / "curves.svg").read_text(encoding="utf-8")


def test_finished_runs_are_read_and_others_done_anew(finished):
    folder, _ = finished
    runs = ("lsc-seed0", "replay-seed0", "replay-seed1")
    before = {run: (folder / run / "metrics.json").stat().st_mtime_ns for run in runs}
    (folder / "replay-seed1" / "report.html").unlink()  # as if it had been killed
    arguments = [*settings(folder), "strategies=lsc,replay", "seeds=2", "replay.train.lr=0.005"]
    result = compare(*arguments, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["rows"][1]["seeds"] == [0, 1]
    after = {run: (folder / run / "metrics.json").stat().st_mtime_ns for run in runs}
    assert [run for run in runs if before[run] != after[run]] == ["replay-seed1"]


def test_other_settings_are_refused(finished):
    folder, _ = finished
    result = compare(*settings(folder), "strategies=lsc", "seeds=1", "train.batch_size=16")
    assert isinstance(result.exception, LSCError)
    message = str(result.exception)
    assert "lsc-seed0 was run with other settings (it differs in train.batch_size)" in message


def test_runs_of_a_version_with_fewer_settings_are_read(finished):
    folder, _ = finished
    path = folder / "replay-seed0" / "config.yaml"
    before = path.read_text(encoding="utf-8")
    stored = yaml.safe_load(before)
    del stored["metrics"]
    stored["loss"]["scale"] = 9.0  # replay has no such thing
    path.write_text(yaml.safe_dump(stored), encoding="utf-8")
    try:
        arguments = ["strategies=lsc,replay", "seeds=1", "replay.train.lr=0.005"]
        result = compare(*settings(folder), *arguments)
        assert result.exit_code == 0, result.output
        assert "2 of 2 runs are there already" in result.output
    finally:
        path.write_text(before, encoding="utf-8")


def test_a_run_that_fails_leaves_the_others_alone(tmp_path):
    broken = ["strategies=lsc,naive", "seeds=1", "naive.train.lr=1e30", "--jobs", "2"]
    result = compare(*settings(tmp_path / "runs"), *broken)
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == 1, result.output
    rows = json.loads((tmp_path / "runs" / "comparison.json").read_text(encoding="utf-8"))["rows"]
    assert rows[0]["figures"]["last_accuracy"]["mean"] > 0.15  # one epoch; chance: 0.1
    assert rows[1]["figures"] == {}
    assert "the loss became nan" in rows[1]["problems"]["0"]
    assert "lower train.lr" in result.output.replace("\n", " ")


def test_what_the_user_can_mend_in_all_runs_is_one_sentence(tmp_path):
    nowhere = ["scenario=arrays", f"data.root={tmp_path / 'nothing.npz'}", f"run.dir={tmp_path}"]
    result = compare(*nowhere, "strategies=lsc,naive", "seeds=1")
    assert isinstance(result.exception, LSCError)
    assert "nothing.npz" in str(result.exception)


def test_ctrl_c_stops_all_quietly_and_the_same_command_goes_on(tmp_path):
    arguments = ["compare", *settings(tmp_path / "runs", "strategies=replay,lsc", "seeds=1")]
    arguments += ["train.epochs=400", "replay.train.epochs=1", "--jobs", "1"]
    process = Process(tmp_path, *arguments)
    try:
        process.wait_until((tmp_path / "runs" / "replay-seed0" / "report.html").exists)
        process.wait_until(lambda: any((tmp_path / "runs" / "lsc-seed0").glob("events*")))
        process.send(signal.SIGINT)
        code, output, errors = process.end()
    finally:
        process.stop()
    assert code == 130
    assert "finished runs are kept" in errors
    assert "Traceback" not in output + errors
    assert any((tmp_path / "runs" / "lsc-seed0" / "checkpoints").glob("step-*"))


def test_a_killed_comparison_leaves_no_run_behind(tmp_path):
    arguments = ["compare", *settings(tmp_path / "runs", "strategies=lsc", "seeds=1")]
    process = Process(tmp_path, *arguments, "train.epochs=4000", "--jobs", "1")
    run = tmp_path / "runs" / "lsc-seed0"
    try:
        process.wait_until(lambda: any(run.glob("events*")))
        process.send(signal.SIGKILL)
        _, output, errors = process.end()
    finally:
        process.stop()
    end = time.monotonic() + PATIENCE
    while not any((run / "checkpoints").glob("step-*")):  # written when it is told to stop
        assert time.monotonic() < end, "the run goes on"
        time.sleep(0.05)
    assert "Traceback" not in output + errors


def test_the_best_are_set_in_bold_but_never_a_bound():
    comparison = Comparison("toy", ("lsc",), (0,), (), Path(), ())
    summary = summarize(comparison, {})
    figures = {"last_accuracy": {"mean": 0.5, "sd": 0.1}, "forgetting": {"mean": 0.2, "sd": None}}
    other = {"last_accuracy": {"mean": 0.4, "sd": 0.1}, "forgetting": {"mean": 0.1, "sd": None}}
    bound = {"last_accuracy": {"mean": 0.9, "sd": 0.1}, "forgetting": {"mean": 0.0, "sd": None}}
    summary["rows"] = [
        {"strategy": name, "bound": name == "joint", "figures": f, "problems": {}}
        | {"novelty_score": None, "novelty_missing": None}
        for name, f in (("lsc", figures), ("der", other), ("joint", bound))
    ]
    table = table_of(summary)
    last, forgetting = ([*table.columns[i].cells] for i in (1, 3))
    assert last == ["[bold]50.0 ± 10.0[/]", "40.0 ± 10.0", "90.0 ± 10.0"]
    assert forgetting == ["20.0", "[bold]10.0[/]", "0.0"]


def test_novelty_is_left_out_where_none_was_measured():
    sizes = {"train_seconds": 1.0, "parameters": 2, "state_bytes": 3, "stored_bytes": 4}
    entry = ExperienceMetrics([0], 0.5, [0.5], images_per_second=9.0, **sizes)
    figures = figures_of(RunMetrics("toy", "lsc", 0, {}, "auto", experiences=[entry]))
    final = {"last_accuracy": 0.5, "average_incremental_accuracy": 0.5, "forgetting": 0.0}
    assert figures == sizes | final


def test_novelty_is_of_one_score_over_all_experiences_or_not_told():
    sizes = {"train_seconds": 1.0, "parameters": 2, "state_bytes": 3, "stored_bytes": 4}

    def entry(**novelty: float) -> ExperienceMetrics:
        measured = {name: {"auroc": value, "oscr": value} for name, value in novelty.items()}
        why = None if "auto" in novelty else "too few held out"
        more = {"novelty": measured, "novelty_missing": why}
        return ExperienceMetrics([0], 0.5, [0.5] * 3, images_per_second=9.0, **sizes, **more)

    def metrics(*entries: ExperienceMetrics) -> RunMetrics:
        return RunMetrics("toy", "lsc", 0, {}, "auto", experiences=list(entries))

    whole = metrics(entry(auto=0.8, mass=0.1), entry(auto=0.6), entry())
    assert whole.novelty() == ({"auroc": pytest.approx(0.7), "oscr": pytest.approx(0.7)}, None)
    assert figures_of(whole)["auroc"] == pytest.approx(0.7)
    broken = metrics(entry(mass=0.9), entry(auto=0.6, mass=0.1), entry())
    assert broken.novelty() == ({}, "experience 1: too few held out")
    assert "auroc" not in figures_of(broken)
    assert metrics(entry()).novelty() == ({}, "no class is left to come")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["strategies=lsc,dre"], "unknown strategy 'dre': did you mean 'der'"),
        (["strategies="], "names none"),
        (["seeds=0"], "says no seeds"),
        (["seeds=many"], "says no seeds"),
        (["seed=1"], "use seeds="),
        (["strategy=lsc"], "use strategies="),
        (["train.epoch=3"], "did you mean 'train.epochs'"),
        (["strategies=lsc", "der.train.lr=1"], "is for a strategy that is not compared"),
        (["strategies=lsc,der", "loss.scale=32"], "write lsc.loss.scale"),
        (["strategies=der", "der.strategy.options.alph=1"], "did you mean 'alpha'"),
        (["lsc.run.dir=here"], "the folder of the whole comparison"),
        (["lsc.seed=1"], "use seeds="),
        (["--jobs", "0"], "--jobs is a positive number"),
        (["--plot", "curves.txt"], "has to end in one of .png"),
    ],
)
def test_wrong_arguments_are_refused_in_a_sentence(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = compare(*arguments)
    assert isinstance(result.exception, LSCError)
    assert message in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_the_commands_in_the_documentation_are_right(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = Path(__file__).parents[2]
    text = (root / "README.md").read_text("utf-8") + (root / "docs/comparing.md").read_text("utf-8")
    commands = re.findall(r"^lsc-cl compare((?: [\w.]+=\S+)*)", text, flags=re.MULTILINE)
    assert len(commands) >= 3
    for command in commands:
        assert Comparison.parse(command.split()).runs


def test_seeds_are_counted_or_named():
    assert Comparison.parse(["strategies=lsc", "seeds=3"]).seeds == (0, 1, 2)
    assert Comparison.parse(["strategies=lsc", "seeds=[4,7]"]).seeds == (4, 7)
    assert Comparison.parse(["strategies=lsc", "seeds=5,"]).seeds == (5,)
