"""A classifier that learns, forgets and merges: exact where it says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from lsc_continual import Classifier
from lsc_continual.classifier.creating import VECTORS
from lsc_continual.errors import LSCError
from lsc_continual.storage.folders import read_folder, write_folder

WIDTH, CLASSES = 12, 9
NAMES = np.array([f"class {n}" for n in range(CLASSES)])


def vectors(count: int, seed: int = 0, spread: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Of classes around centres that are the same for all seeds."""
    centres = np.random.default_rng(99).standard_normal((CLASSES, WIDTH))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    x = centres[labels] + spread * rng.standard_normal((count, WIDTH))
    return x.astype(np.float32), NAMES[labels]


def new(**settings) -> Classifier:
    return Classifier.create(VECTORS, **{"features": 60, "dim": 16, **settings})


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    return vectors(600)


@pytest.fixture(scope="module")
def whole(data) -> Classifier:
    model = new()
    model.learn(*data)
    model.settle()
    return model


def answers(model: Classifier, x: np.ndarray) -> list[tuple]:
    return [(one.label, one.known, round(one.p_value, 6)) for one in model.predict(x)]


def weights(model: Classifier) -> torch.Tensor:
    model.settle()
    return torch.cat([model.model.projection.weight, model.model.projection.bias[:, None]], 1)


def alike(one: Classifier, other: Classifier) -> bool:
    """The same weights to rounding, and the same answers."""
    test, _ = vectors(400, seed=5)
    assert torch.allclose(weights(one), weights(other), rtol=1e-4, atol=1e-5)
    assert one.learner.penalty == other.learner.penalty
    return answers(one, test) == answers(other, test)


def test_it_answers_with_names_and_knows_what_it_does_not_know(whole):
    x, labels = vectors(1000, seed=1)
    said = whole.predict(x)
    assert np.mean([one.label == label for one, label in zip(said, labels, strict=True)]) > 0.9
    assert [one.id for one in said] == list(range(1000))
    unknown = 3 * np.random.default_rng(0).standard_normal((300, WIDTH)).astype(np.float32)
    flagged = np.mean([one.known is False for one in whole.predict(unknown)])
    assert flagged > 0.5
    assert said[0].alternatives[0].label in NAMES


@pytest.mark.parametrize("seed", range(3))
def test_order_and_grouping_do_not_matter(data, whole, seed):
    x, labels = data
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(x))
    model = new()
    for rows in np.split(order, np.sort(rng.integers(1, len(x), 6))):
        if len(rows):
            model.learn(x[rows], labels[rows])
            if seed == 1:
                model.settle()  # small changes follow the solution, large ones are solved anew
    assert set(model.classes) == set(NAMES)
    assert alike(model, whole)


def test_few_examples_change_a_solution_as_if_it_were_made_anew(data, whole):
    x, labels = data
    model = new()
    model.learn(x[:590], labels[:590])
    model.settle()
    solution = model.learner._solution
    for row in range(590, 600):
        model.learn(x[row : row + 1], labels[row : row + 1])
    assert model.learner._solution is solution
    assert solution.rank == 10
    assert alike(model, whole)


def test_two_that_learned_apart_merge_to_one_that_learned_all(data, whole):
    x, labels = data
    for half in (np.isin(labels, NAMES[::2]), np.arange(len(x)) < 200):
        one, other = new(), new()
        one.learn(x[half], labels[half])
        other.learn(x[~half], labels[~half])
        one.merge(other)
        assert alike(one, whole)
        assert {n: k.examples for n, k in one.classes.items()} == {
            n: k.examples for n, k in whole.classes.items()
        }


def test_what_is_forgotten_with_its_data_was_never_learned(data):
    x, labels = data
    more, names = vectors(150, seed=7)
    gone = np.isin(labels, NAMES[:2])
    model, never = new(), new()
    model.learn(x, labels)
    model.learn(more, names)
    assert sorted(model.forget_data(x[gone], labels[gone])) == []  # some came later
    model.forget_data(more, names)
    never.learn(x[~gone], labels[~gone])
    assert set(model.classes) == set(NAMES[2:])
    assert alike(model, never)


@pytest.mark.parametrize("first", ["class 3", "no class"])
def test_a_class_that_is_forgotten_is_not_answered_and_its_target_is_nobody_elses(data, first):
    x, labels = data
    model = new()
    model.learn(x, labels)
    owned = int(model.targets.addresses(model.targets.ordinals(["class 3"])))
    model.forget("class 3")
    assert "class 3" not in model.classes
    said = {one.label for one in model.predict(x)}
    assert said == set(NAMES) - {"class 3"}
    others = [f"new {n}" for n in range(200)]
    model.targets.add(others)
    assert owned not in model.targets.addresses().tolist()
    model.targets.retire(others, reserve=False)
    again = labels == "class 3"
    if first == "class 3":  # it comes again, and has its own back
        model.learn(x[again][:5], labels[again][:5])
        assert int(model.targets.addresses(model.targets.ordinals(["class 3"]))) == owned
        assert model.classes["class 3"].examples == again.sum() + 5
    else:  # what it taught is taken out later
        model.forget_data(x[again], labels[again])
        never = new()
        never.learn(x[~again], labels[~again])
        assert alike(model, never)


def test_data_that_were_not_learned_are_not_forgotten(data, whole):
    x, labels = data
    model = new()
    model.learn(x, labels)
    before = weights(model).clone()
    other = np.where(labels == NAMES[0], NAMES[1], NAMES[0])
    for wrong in ((x + 1, labels), (x[:3], other[:3]), (x[[0, 0]], labels[[0, 0]])):
        with pytest.raises(LSCError, match="were never learned with these labels"):
            model.forget_data(*wrong)
    with pytest.raises(LSCError, match="does not know 'nobody'"):
        model.forget_data(x[:1], ["nobody"])
    with pytest.raises(LSCError, match="does not know 'nobody'"):
        model.forget("nobody")
    assert torch.equal(weights(model), before)


def test_known_inputs_are_flagged_at_the_rate_though_nothing_is_held_out():
    rates = []
    for seed in range(5):
        model = new(fpr=0.1)
        for part in range(3):
            model.learn(*vectors(700, seed=100 * seed + part))
        x, _ = vectors(3000, seed=100 * seed + 50)
        rates.append(np.mean([one.known is False for one in model.predict(x)]))
    assert np.mean(rates) == pytest.approx(0.1, abs=0.01)


def test_what_is_learned_again_does_not_make_the_rest_look_unknown():
    x, labels = vectors(1200)
    test, _ = vectors(3000, seed=50)
    rates = []
    for times in (1, 3):
        model = new(fpr=0.1)
        for _ in range(times):
            learned = model.learn(x, labels)
        rates.append(np.mean([one.known is False for one in model.predict(test)]))
    assert learned.again == 1200
    assert rates[1] == pytest.approx(rates[0], abs=0.02)
    model.learn(test[:1], ["another"])  # the only one of its class
    assert all(one.error is None for one in model.predict(test[:50]))


def test_a_model_that_forgot_everything_begins_anew():
    x, labels = vectors(60)
    model, fresh = new(), new()
    model.learn(x, labels)
    model.settle()
    model.forget_data(x, labels)
    other = np.roll(labels, 1)
    model.learn(x, other)
    fresh.learn(x, other)
    assert alike(model, fresh)


def test_one_example_is_a_model():
    model = new()
    model.learn(vectors(1)[0], ["a"])
    assert model.predict(vectors(3)[0])[0].label == "a"


def test_five_examples_of_a_class_are_enough_to_begin_with():
    x, labels = vectors(2000)
    rows = np.concatenate([np.flatnonzero(labels == name)[:5] for name in NAMES])
    model = new()
    model.learn(x[rows], labels[rows])
    test, truth = vectors(500, seed=3)
    said = model.predict(test)
    assert np.mean([one.label == name for one, name in zip(said, truth, strict=True)]) > 0.75
    assert model.uncalibrated is None
    few = new()
    few.learn(x[rows[:10]], labels[rows[:10]])
    assert {one.known for one in few.predict(test)} == {None}
    assert few.uncalibrated is not None
    assert "needs 19 or more known inputs" in few.uncalibrated


def test_merging_keeps_what_was_retired_there(data):
    x, labels = data
    one, other = new(), new()
    first = labels < NAMES[4]
    one.learn(x[first], labels[first])
    other.learn(x[~first], labels[~first])
    address = other.targets.addresses(other.targets.ordinals([NAMES[7]])).item()
    other.forget(NAMES[7])
    one.merge(other)
    assert NAMES[7] in one.life.retired
    assert NAMES[7] not in one.classes
    gone = labels == NAMES[7]
    one.forget_data(x[gone], labels[gone])  # what it taught there is in the sums here
    without = new()
    without.learn(x[~gone], labels[~gone])
    assert alike(one, without)
    again, third = new(), new()
    third.learn(x[gone], labels[gone])
    third.forget(NAMES[7])
    again.learn(x[first], labels[first])
    again.merge(third)
    again.learn(x[gone], labels[gone])
    assert again.targets.addresses(again.targets.ordinals([NAMES[7]])).item() == address


def test_a_few_more_after_loading_are_as_if_all_came_at_once(data, tmp_path):
    x, labels = data
    parts = [slice(0, 500), slice(500, 520), slice(520, 530)]
    model = new()
    for part in parts:
        model.learn(x[part], labels[part])
        before = model.detector
        model.save(tmp_path / "m")
        model = Classifier.load(tmp_path / "m")
        assert model.learner._solution is not None
        assert before is not None
        test, _ = vectors(50, seed=9)
        z = model.model.embed(torch.from_numpy(test)[:, :, None, None])
        assert torch.allclose(model.detector.p_value(z), before.p_value(z), atol=0.02)
    at_once = new()
    at_once.learn(x[:530], labels[:530])
    at_once.settle()
    assert model.learner.penalty == at_once.learner.penalty
    assert torch.allclose(weights(model), weights(at_once), atol=1e-5)


def test_the_threshold_follows_what_is_learned(data):
    x, labels = data
    model = new()
    model.learn(x[:300], labels[:300])
    first = model.detector
    model.learn(x[300:], labels[300:])
    assert model.detector is not first
    assert len(model.detector.known) == min(len(x), 3072)


def test_the_first_living_models_go_on(data, tmp_path):
    x, labels = data
    model = new()
    model.learn(x, labels)
    model.save(tmp_path / "m")
    files = {name: bytes(content) for name, content in read_folder(tmp_path / "m").items()}
    description = json.loads(files["model.json"]) | {"format": 8}
    del description["life"]["memory"]["solved"]  # they kept no solution
    memory = load(files["memory.safetensors"])
    for name in ("weight", "leverages"):
        del memory[name]
    old = {"model.json": json.dumps(description).encode(), "memory.safetensors": save(memory)}
    write_folder(tmp_path / "m", files | old)
    test, _ = vectors(50, seed=9)
    assert Classifier.load(tmp_path / "m").predict(test) == model.predict(test)


def test_it_is_kept_in_a_folder_of_one_size(data, whole, tmp_path):
    whole.save(tmp_path / "m")
    again = Classifier.load(tmp_path / "m")
    assert alike(again, whole)
    assert again.classes == whole.classes
    assert again.life == whole.life
    x, labels = vectors(300, seed=11)
    for model in (again, whole_copy := Classifier.load(tmp_path / "m")):
        model.learn(x, labels)
    assert alike(again, whole_copy)
    many = new()
    many.learn(vectors(3000, seed=4)[0], [f"name {n}" for n in range(3000)])
    many.save(tmp_path / "many")
    sizes = [
        sum(p.stat().st_size for p in (tmp_path / name).glob("memory.safetensors"))
        for name in ("m", "many")
    ]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.001)


WRONG = {
    "another length": (lambda x, y: (x[:, :5], y), "has 5 numbers, and the model takes 12"),
    "not finite": (lambda x, y: (np.where(x > 1, np.nan, x), y), "not finite"),
    "too few labels": (lambda x, y: (x, y[:5]), "600 examples and 5 labels"),
    "no labels": (lambda x, y: (x[:0], y[:0]), "there are no examples"),
    "numbers for names": (lambda x, y: (x, range(600)), "classes are called by text, not by 0"),
    "an empty name": (lambda x, y: (x, ["", *y[1:]]), "a class has no name"),
    "paths": (lambda x, y: (["nowhere.png"] * 600, y), "example 0: .*channels|cannot be read"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_does_not_fit_is_refused_and_nothing_is_learned(data, kind):
    change, message = WRONG[kind]
    model = new()
    model.learn(*data)
    before, counts = weights(model).clone(), model.classes
    with pytest.raises(LSCError, match=message):
        model.learn(*change(*data))
    assert torch.equal(weights(model), before)
    assert model.classes == counts


def test_models_that_do_not_fit_do_not_merge(data):
    model = new()
    model.learn(*data)
    for settings, message in (
        ({"dim": 20}, "differ in dim"),
        ({"seed": 1}, "differ in head, random_features"),
        ({"features": 61}, "differ in random_features"),
    ):
        other = new(**settings)
        other.learn(*data)
        with pytest.raises(LSCError, match=message):
            model.merge(other)
    other = new()
    other.learn(data[0][:, :11], data[1])
    with pytest.raises(LSCError, match="differ in input_shape"):
        model.merge(other)


def test_names_that_met_another_name_there_do_not_merge():
    """In a system so small that many meet."""
    x, labels = vectors(300)
    one, other = (new(system="v21", dim=8) for _ in range(2))
    one.learn(x, labels)
    other.learn(x, [f"{name} there" for name in labels])
    both = new(system="v21", dim=8)
    names = sorted(set(labels)) + [f"{name} there" for name in sorted(set(labels))]
    both.learn(x[:18], names)
    if both.targets.allocation.collisions:
        with pytest.raises(LSCError, match="have other targets there, as they met other names"):
            one.merge(other)


def test_a_name_is_one_name_however_it_is_typed(data):
    model = new()
    model.learn(data[0][:2], ["cafe\u0301", " caf\u00e9 "])
    assert list(model.classes) == ["caf\u00e9"]
    assert model.classes["caf\u00e9"].examples == 2


@pytest.mark.parametrize(
    "change",
    [
        {"kept": 10**9},
        {"kept": -1},
        {"penalty": "x"},
        {"chosen": None},
    ],
)
def test_a_memory_that_makes_no_sense_is_refused(whole, tmp_path, change):
    from lsc_continual.storage.folders import write_folder

    whole.save(tmp_path / "m")
    files = {p.name: p.read_bytes() for p in (tmp_path / "m").iterdir() if p.name != "SHA256SUMS"}
    description = json.loads(files["model.json"])
    description["life"]["memory"] |= change
    files["model.json"] = json.dumps(description).encode()
    shutil.rmtree(tmp_path / "m")
    write_folder(tmp_path / "m", files)
    with pytest.raises(LSCError, match="is damaged"):
        Classifier.load(tmp_path / "m").predict(np.zeros((1, WIDTH), np.float32))


def test_runs_of_earlier_versions_do_not_go_on_but_their_encoder_does(digits_run, photos, tmp_path):
    files = read_folder(digits_run / "model")
    kept = {name: bytes(files[name]) for name in files if not name.startswith(("learner", "state"))}
    write_folder(tmp_path / "m", kept)
    with pytest.raises(LSCError, match="kept nothing to go on from"):
        Classifier.load(tmp_path / "m")
    model = Classifier.create(str(digits_run), features=100)
    paths = sorted(Path(photos).rglob("*.png"))
    model.learn(paths, [path.parent.name for path in paths])
    said = model.predict(paths[:20])
    assert np.mean([one.label == p.parent.name for one, p in zip(said, paths, strict=False)]) > 0.8
