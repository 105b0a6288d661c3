"""A classifier that lives: what is learned in parts against what is learned at once.

The data are vectors with names of classes, in an .npz file (x_train, y_train, x_test, y_test and,
if there, x_unknown). They are learned in calls of some classes, in as many orders as there are
seeds; by halves that are merged; and with a part that is forgotten again. Every outcome is
compared with that of one call, answer by answer. Logistic regression of scikit-learn on the same
vectors, all at once, stands beside them. Then, of as many examples as classes are asked for: how
long twenty more take, and how often known inputs are flagged when nothing was held out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from experiments.outcome import Outcome, Row, Table
from experiments.settings import Settings, option
from lsc_continual import Classifier
from lsc_continual.encoders.random_features import FEATURES
from lsc_continual.inputs.npz import read_arrays

TITLE = "A classifier that lives: parts against the whole"
PAGE = "docs/living.md"
_TIMES = 5  # that a command is called

Vectors = NDArray[np.float32]
Names = NDArray[np.str_]


@dataclass(frozen=True)
class Options:
    """What is measured, and how much."""

    data: str = option("", help="the .npz file; by default classes drawn at random")
    calls: int = option(15, help="in which the classes are learned")
    features: int = option(FEATURES, help="random features beside the vectors")
    many: int = option(1000, help="classes, of which one more is timed")


class Data(NamedTuple):
    """Vectors with names, and others of no class."""

    x: Vectors
    y: Names
    test: Vectors
    truth: Names
    unknown: Vectors


def measure(settings: Settings, options: Options) -> Outcome:
    """Three tables: outcomes, alarms, seconds."""
    data = _read(Path(options.data)) if options.data else _drawn()
    settings.say(f"{len(data.x):,} vectors of {len(set(data.y)):,} classes")
    return Outcome(
        tables=[
            Table("learned in parts and at once", _outcomes(settings, options, data)),
            Table("false alarms after each call, nothing held out", _alarms(options, data)),
            Table(f"one class more than {options.many:,}", [_one_more(options)]),
        ]
    )


def _read(path: Path) -> Data:
    names = ("x_train", "y_train", "x_test", "y_test", "x_unknown")
    a = read_arrays(path, names)
    x, test = (a[name].astype(np.float32) for name in ("x_train", "x_test"))
    unknown = a.get("x_unknown", np.empty((0, x.shape[1]))).astype(np.float32)
    return Data(x, a["y_train"].astype(str), test, a["y_test"].astype(str), unknown)


def _drawn(classes: int = 30, width: int = 32, seed: int = 0) -> Data:
    """Classes around centres, with as much noise."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((2 * classes, width))

    def some(first: int, each: int) -> tuple[Vectors, Names]:
        labels = np.repeat(np.arange(first, first + classes), each)
        x = centres[labels] + rng.standard_normal((len(labels), width))
        return x.astype(np.float32), np.array([f"class {n}" for n in labels])

    return Data(*some(0, 40), *some(0, 20), some(classes, 10)[0])


def _learned(
    options: Options, x: Vectors, y: Names, parts: Sequence[NDArray[np.bool_]]
) -> Classifier:
    model = Classifier.create(features=options.features)
    for rows in parts:
        model.learn(x[rows], y[rows])
    return model


def _parts(y: Names, calls: int, seed: int) -> list[NDArray[np.bool_]]:
    """Which samples are learned in each call: those of some classes, in an order by the seed."""
    names = np.random.default_rng(seed).permutation(np.unique(y))
    return [np.isin(y, some) for some in np.array_split(names, calls) if len(some)]


def _outcomes(settings: Settings, options: Options, data: Data) -> list[Row]:
    x, y, test, truth, unknown = data
    everything = np.ones(len(x), bool)

    def row(
        way: str,
        model: Classifier,
        seconds: float,
        beside: list[str] | None,
        known: NDArray[np.bool_] | None = None,
    ) -> Row:
        start = time.perf_counter()
        assert model.detector is not None  # weights and threshold follow what was learned
        settled = time.perf_counter() - start
        said = model.predict(test)
        labels = [one.label or "" for one in said]
        right = np.array(labels) == truth
        if known is not None:  # of the others, nothing is right
            said, right = [one for one, is_known in zip(said, known) if is_known], right[known]
        figures: Row = {
            "way": way,
            "accuracy, %": round(100 * float(np.mean(right)), 2),
            "AUROC, %": None,
            "flagged known / unknown, %": None,
            "learning, s": round(seconds, 1),
            "solving, s": round(settled, 1),
            "answers as at once, %": None,
        }
        if len(unknown):
            others = model.predict(unknown)
            scores = [one.novelty for one in (*said, *others)]
            figures["AUROC, %"] = round(
                100 * roc_auc_score([0] * len(said) + [1] * len(others), scores), 2
            )
            flagged = [100 * np.mean([one.known is False for one in a]) for a in (said, others)]
            figures["flagged known / unknown, %"] = f"{flagged[0]:.1f} / {flagged[1]:.1f}"
        if beside is not None:
            same = np.mean([a == b for a, b in zip(labels, beside, strict=True)])
            figures["answers as at once, %"] = round(100 * float(same), 2)
        return figures

    rows = []
    start = time.perf_counter()
    whole = _learned(options, x, y, [everything])
    rows.append(row("one call", whole, time.perf_counter() - start, None))
    at_once = [one.label or "" for one in whole.predict(test)]
    for seed in range(settings.seeds):
        settings.say(f"{options.calls} calls, order {seed}")
        start = time.perf_counter()
        model = _learned(options, x, y, _parts(y, options.calls, seed))
        seconds = time.perf_counter() - start
        rows.append(row(f"{options.calls} calls, order {seed}", model, seconds, at_once))
    half = _parts(y, 2, 0)
    start = time.perf_counter()
    merged = _learned(options, x, y, [half[0]])
    merged.merge(_learned(options, x, y, [half[1]]))
    rows.append(row("two halves, merged", merged, time.perf_counter() - start, at_once))
    gone = _parts(y, 5, 1)[0]
    without = _learned(options, x, y, [~gone])
    never = [one.label or "" for one in without.predict(test)]
    start = time.perf_counter()
    whole.forget_data(x[gone], y[gone])
    rows.append(
        row(
            "a fifth forgotten (beside: never learned; on the rest)",
            whole,
            time.perf_counter() - start,
            never,
            ~np.isin(truth, y[gone]),
        )
    )
    start = time.perf_counter()
    logistic = LogisticRegression(C=100, max_iter=1000).fit(x, y)
    accuracy = 100 * float((logistic.predict(test) == truth).mean())
    seconds = time.perf_counter() - start
    rows.append(
        {"way": "logistic regression", "accuracy, %": round(accuracy, 2)}
        | ({"AUROC, %": _max_logit(logistic, test, unknown)} if len(unknown) else {})
        | {"learning, s": round(seconds, 1)}
    )
    return rows


def _max_logit(logistic: LogisticRegression, test: Vectors, unknown: Vectors) -> float:
    scores = [-logistic.decision_function(part).max(1) for part in (test, unknown)]
    labels = [0] * len(test) + [1] * len(unknown)
    return round(100 * float(roc_auc_score(labels, np.concatenate(scores))), 2)


def _alarms(options: Options, data: Data) -> list[Row]:
    """On a third of the training data, which is set aside: inputs of the same kind."""
    aside = np.random.default_rng(0).random(len(data.x)) < 1 / 3
    x, y = data.x[~aside], data.y[~aside]
    model, rows = Classifier.create(features=options.features), []
    for number, some in enumerate(_parts(y, options.calls, 0), 1):
        model.learn(x[some], y[some])
        seen = aside & np.isin(data.y, list(model.classes))
        said = model.predict(data.x[seen])
        flagged = 100 * float(np.mean([one.known is False for one in said]))
        rows.append(
            {
                "call": number,
                "classes": len(model.classes),
                "known inputs": int(seen.sum()),
                "flagged at 5 %, %": round(flagged, 2),
            }
        )
    return rows


def _one_more(options: Options) -> Row:
    """Twenty examples of a new class, with two thousand random features."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((options.many + 1, 384))

    def some(label: int, count: int) -> Vectors:
        x = centres[label] + 0.7 * rng.standard_normal((count, 384))
        return x.astype(np.float32)

    model = Classifier.create(features=min(2000, options.features))
    x = np.concatenate([some(label, 15) for label in range(options.many)])
    model.learn(x, np.repeat([f"class {n}" for n in range(options.many)], 15))
    assert model.detector is not None
    with tempfile.TemporaryDirectory() as folder:
        place, more = Path(folder) / "m", Path(folder) / "new.npz"
        model.save(place)
        size = sum(path.stat().st_size for path in place.iterdir())
        np.savez(more, x=some(options.many, 20), y=np.array(["new"] * 20))
        torch_alone, command = [], []
        for _ in range(_TIMES):
            torch_alone.append(_seconds("-c", "import torch"))
            copy = shutil.copytree(place, Path(folder) / "copy")
            command.append(_seconds("-m", "lsc_continual", "learn", str(copy), str(more)))
            shutil.rmtree(copy)
    start = time.perf_counter()
    model.learn(some(options.many, 20), ["new"] * 20)
    model.settle()
    learning = time.perf_counter() - start
    start = time.perf_counter()
    assert model.detector is not None
    settling = time.perf_counter() - start
    said = model.predict(some(options.many, 50))
    return {
        "features": model.learner.sums.features,
        "learning 20, ms": round(1000 * learning, 1),
        "threshold anew, ms": round(1000 * settling, 1),
        "known a moment later, %": round(
            100 * float(np.mean([one.label == "new" for one in said])), 1
        ),
        "folder, MB": round(size / 1e6, 1),
        "whole command, s": round(median(command), 2),
        "of import torch": round(median(command) / median(torch_alone), 2),
    }


def _seconds(*arguments: str) -> float:
    """How long Python takes for something, on one thread."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        check=True,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return time.perf_counter() - start
