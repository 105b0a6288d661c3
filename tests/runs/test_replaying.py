"""Models that live and learn by replay: made by `learn`, or left by runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from lsc_continual import Classifier
from lsc_continual.errors import LSCError
from lsc_continual.runs.replaying import ReplayClassifier
from lsc_continual.storage.folders import read_folder, write_folder
from tests.cli.test_learn import done, lsc_cl

QUICK = ["train.epochs=8", "encoder.options.width=4", "system.dim=32", "replay.size=60"]
_X, _Y = load_digits(return_X_y=True)
IMAGES = (_X.reshape(-1, 1, 8, 8) * 15).astype(np.uint8)
NAMES = np.array([f"n{label}" for label in _Y])


def of(classes: str, rows: slice = slice(0, 600)) -> tuple[np.ndarray, list[str]]:
    chosen = np.isin(NAMES[rows], [f"n{c}" for c in classes])
    return IMAGES[rows][chosen], NAMES[rows][chosen].tolist()


def accuracy(model: Classifier, classes: str) -> float:
    images, names = of(classes, slice(1200, 1700))
    said = model.predict(images, top=0)
    return float(np.mean([answer.label == name for answer, name in zip(said, names)]))


def made() -> Classifier:
    return Classifier.create(
        "resnet-small", learner="replay", input_shape=(1, 8, 8), arguments=QUICK
    )


@pytest.fixture(scope="module")
def grown() -> Classifier:
    """Told of five classes, then of three others and of further images of one."""
    model = made()
    assert len(model.learn(*of("01234")).new) == 5
    learned = model.learn(*of("0567", slice(600, 1200)), source="monday")
    assert (sorted(learned.new), learned.skipped) == (["n5", "n6", "n7"], [])
    return model


@pytest.fixture
def saved(grown: Classifier, tmp_path: Path) -> Path:
    grown.save(tmp_path / "m")
    return tmp_path / "m"


def test_it_goes_on_without_its_earlier_data(grown):
    assert accuracy(grown, "01234567") > 0.8
    assert accuracy(grown, "1234") > 0.7  # of which it saw nothing the second time
    assert set(grown.classes) == {f"n{c}" for c in "01234567"}
    assert grown.classes["n0"].examples == np.sum(NAMES[:1200] == "n0")
    assert grown.uncalibrated is None


def test_loaded_it_says_and_learns_what_it_would_have(saved, grown):
    loaded = Classifier.load(saved)
    assert isinstance(loaded, ReplayClassifier)
    images, _ = of("01234567", slice(1200, 1300))
    assert loaded.predict(images) == grown.predict(images)
    twice = [Classifier.load(saved) for _ in range(2)]
    for model in twice:
        model.learn(*of("89", slice(0, 300)))
    for name, weight in twice[0].model.state_dict().items():
        assert torch.equal(weight, twice[1].model.state_dict()[name])
    assert twice[0].predict(images) == twice[1].predict(images)


def test_what_it_keeps_does_not_grow(saved, tmp_path):
    model = Classifier.load(saved)
    model.learn(*of("89"))
    model.save(tmp_path / "n")
    sizes = [(tmp_path / name / "state.safetensors").stat().st_size for name in ("m", "n")]
    assert sizes[1] < 1.15 * sizes[0]  # the held-out images, which are fewer than they may be
    assert len(model._state["images"]["EmbeddingReplay"]) == 60


def test_the_name_says_the_target_in_any_order():
    one, other = made(), made()
    one.learn(*of("012"))
    other.learn(*of("21"))
    other.learn(*of("0"))

    def addresses(model):
        targets = model.model.head.targets
        names = [model.spec.class_names[label] for label in targets.labels]
        return dict(zip(names, targets.addresses().tolist(), strict=True))

    assert addresses(one) == addresses(other)


def test_a_forgotten_class_is_no_longer_answered_and_comes_back(saved, grown):
    model = Classifier.load(saved)
    targets = model.model.head.targets
    before = targets.addresses(targets.ordinals([3])).item()
    model.forget("n3")
    assert "n3" not in model.classes
    assert all(answer.label != "n3" for answer in model.predict(of("3")[0][:20]))
    replay = model._state["strategy"]["plugins"]["EmbeddingReplay"]
    assert 3 not in replay["buffer"]["labels"]
    assert len(replay["buffer"]["labels"]) == len(model._state["images"]["EmbeddingReplay"])
    model.save(saved)
    model = Classifier.load(saved)
    assert accuracy(model, "0124567") > 0.7
    assert model.learn(*of("3")).new == ["n3"]
    targets = model.model.head.targets
    assert targets.addresses(targets.ordinals([3])).item() == before
    assert accuracy(model, "3") > 0.5


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda m: m.forget("lion"), "does not know 'lion'"),
        (lambda m: m.forget_data(*of("3")), "cannot be taken out of it: forget the class"),
        (lambda m: m.merge(m), "do not add up"),
        (lambda m: m.cache_embeddings("x"), "no cache"),
        (lambda m: m.learn(IMAGES[:2, :, :5], ["a", "b"]), "example 0: the image has shape"),
        (lambda m: m.learn(IMAGES[:2], ["a"]), "2 examples and 1 labels"),
    ],
)
def test_what_it_cannot_do_is_told_and_changes_nothing(saved, act, message):
    model = Classifier.load(saved)
    with pytest.raises(LSCError, match=message):
        act(model)
    model.save(saved.parent / "again")
    before, after = read_folder(saved), read_folder(saved.parent / "again")
    assert {k: bytes(v) for k, v in after.items()} == {k: bytes(v) for k, v in before.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learner.json": b"{}"}, "is damaged"),
        ({"learner.json": b'{"settings": {}, "life": {"known": {}}}'}, "is damaged"),
        ({"state.json": b'{"$dict": []}'}, "is damaged"),
        ({"state.safetensors": b"x" * 30}, "is damaged"),
    ],
)
def test_files_that_make_no_sense_are_damaged(saved, change, message):
    files = {name: bytes(content) for name, content in read_folder(saved).items()}
    write_folder(saved, files | change)
    with pytest.raises(LSCError, match=message):
        Classifier.load(saved).learn(*of("8"))


def test_a_file_does_not_decide_what_code_runs(saved):
    files = {name: bytes(content) for name, content in read_folder(saved).items()}
    about = json.loads(files["learner.json"])
    for group, name in (("strategy", "stranger:build"), ("loss", "stranger:loss")):
        changed = {**about["settings"], group: {**about["settings"][group], "name": name}}
        text = json.dumps({**about, "settings": changed}).encode()
        write_folder(saved, files | {"learner.json": text})
        with pytest.raises(LSCError, match="which is code from elsewhere"):
            Classifier.load(saved).learn(*of("8"))


def test_a_file_does_not_decide_what_is_read(saved, tmp_path, monkeypatch):
    files = {name: bytes(content) for name, content in read_folder(saved).items()}
    about = json.loads(files["learner.json"])
    secret = tmp_path / "secret.pth"
    torch.save({"x": torch.zeros(1)}, secret)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("something was read"))
    for name, weights in (
        ("mlp", str(secret)),
        ("resnet18", "DEFAULT"),
        (f"hf:{tmp_path}", None),
        ("hf:nobody/nothing", None),
    ):
        encoder = {**about["settings"]["encoder"], "name": name, "weights": weights}
        text = json.dumps({**about, "settings": {**about["settings"], "encoder": encoder}}).encode()
        write_folder(saved, files | {"learner.json": text})
        model = Classifier.load(saved)
        model.learn(*of("8", slice(0, 100)))  # on the network that is there
        assert "n8" in model.classes


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "r"
    arguments = ["scenario.experiences=2", f"run.dir={folder}", *QUICK]
    result = lsc_cl("run", "data.classes=[1,2,4,7]", "encoder=resnet-small", *arguments)
    assert result.exit_code == 0, result.output
    return folder


def test_the_model_of_a_run_goes_on_living(run, tmp_path):
    folder = Path(shutil.copytree(run, tmp_path / "r"))
    metrics = (folder / "metrics.json").read_bytes()
    np.savez(tmp_path / "more.npz", x=of("89")[0], y=of("89")[1])
    assert done("learn", folder, tmp_path / "more.npz")["new"] == ["n8", "n9"]
    told = done("show", folder)
    assert set(told["classes"]) == {"1", "2", "4", "7", "n8", "n9"}
    assert [entry["what"] for entry in told["history"]] == ["run", "learn"]
    assert told["learner"] == "replay"
    images, names = of("89", slice(1200, 1700))
    said = Classifier.load(folder).predict(images, top=0)
    assert np.mean([answer.label == name for answer, name in zip(said, names)]) > 0.4
    assert (folder / "metrics.json").read_bytes() == metrics  # a run stays what it is
    assert "by the order of arrival" in str(lsc_cl("forget", folder, "1").exception)
    (folder / "report.html").unlink()
    result = lsc_cl("learn", folder, tmp_path / "more.npz")
    assert "is not finished: lsc-cl resume" in str(result.exception)
    (folder / "report.html").touch()
    shutil.rmtree(folder / "model")  # as a run of Avalanche's strategies
    result = lsc_cl("learn", folder, tmp_path / "more.npz")
    assert "holds no model, and is not empty" in str(result.exception)
    assert not (folder / "model").exists()


def test_images_without_an_encoder_have_one_trained(tmp_path):
    np.savez(tmp_path / "a.npz", x=of("01")[0], y=of("01")[1])
    np.savez(tmp_path / "b.npz", x=of("23")[0], y=of("23")[1])
    assert done("learn", tmp_path / "m", tmp_path / "a.npz", *QUICK)["classes"] == 2
    assert done("learn", tmp_path / "m", tmp_path / "b.npz")["classes"] == 4
    test = np.isin(NAMES[1200:], ["n0", "n1", "n2", "n3"])
    np.savez(tmp_path / "test.npz", x=IMAGES[1200:][test], y=NAMES[1200:][test])
    figures = done("eval", tmp_path / "m", tmp_path / "test.npz")
    assert figures["accuracy"] > 0.8
    assert set(figures["accuracy_by_class"]) == {"n0", "n1", "n2", "n3"}
    assert done("forget", tmp_path / "m", "n2")["gone"] == ["n2"]
    assert list(done("show", tmp_path / "m")["retired"]) == ["n2"]


@pytest.mark.parametrize("holdout", [0, 0.2])
def test_one_that_adds_up_goes_on_after_a_class_was_forgotten(tmp_path, holdout):
    arguments = ["strategy=lsc-analytic", "encoder=mlp", "analytic.base_epochs=2"]
    arguments += ["analytic.features=50", "system.dim=64", f"novelty.holdout={holdout}"]
    model = Classifier.create(learner="replay", input_shape=(1, 8, 8), arguments=arguments)
    model.learn(*of("0123"))
    model.forget("n1")
    model.save(tmp_path / "m")
    model = Classifier.load(tmp_path / "m")
    model.learn(*of("45"))
    assert accuracy(model, "02345") > 0.8
    assert model.uncalibrated is None
