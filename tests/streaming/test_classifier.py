"""What the classifier says about inputs, against an exhaustive search and the formulas."""

from __future__ import annotations

import itertools
import random
import threading
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lsc_continual import StreamClassifier
from lsc_continual.classifier.folder import load_model
from lsc_continual.errors import LSCError
from lsc_continual.inputs.preparation import Preparation
from lsc_continual.novelty import make_score


@pytest.fixture(scope="module")
def classifier(digits_run):
    return StreamClassifier.load(digits_run)


def embeddings(classifier, images):
    with torch.no_grad():
        return classifier.model.embed(torch.from_numpy(images).unsqueeze(1).float() / 255)


def test_labels_and_alternatives_are_the_nearest_targets(classifier, digits):
    images = digits[0][:50]
    z = embeddings(classifier, images)
    targets = classifier.model.head.targets
    cosines = F.normalize(z, dim=-1) @ targets.vectors().T
    names = [classifier.spec.class_names[label] for label in targets.labels]
    for said, row in zip(classifier.predict(torch.from_numpy(images).unsqueeze(1)), cosines):
        score, order = row.sort(descending=True)
        assert said.label == names[order[0]]
        assert [other.label for other in said.alternatives] == [names[i] for i in order[1:4]]
        torch.testing.assert_close(
            torch.tensor([other.score for other in said.alternatives]), score[1:4]
        )


def test_addresses_and_gaps_are_those_of_the_whole_system(classifier, digits):
    z = embeddings(classifier, digits[0][:50])
    system = classifier.model.head.system
    everything = F.normalize(z, dim=-1) @ system.vectors(torch.arange(system.size)).T
    best, address = everything.topk(2)
    said = classifier.predict(torch.from_numpy(digits[0][:50]).unsqueeze(1))
    assert [answer.address for answer in said] == address[:, 0].tolist()
    gaps = torch.tensor([answer.gap for answer in said])
    torch.testing.assert_close(gaps, best[:, 0] - best[:, 1], atol=1e-5, rtol=0)


def test_p_values_count_calibration_inputs_that_are_at_least_as_novel(classifier, digits):
    images, _ = digits
    reference = classifier.detector.score(classifier.detector.known)
    for said in classifier.predict(torch.from_numpy(images[:60]).unsqueeze(1)):
        least = (1 + (reference >= said.novelty).sum()) / (len(reference) + 1)
        assert said.p_value == pytest.approx(float(least), abs=2 / len(reference))
        assert said.known == (said.p_value > 0.05)


def test_digits_that_were_never_learned_are_unknown_more_often(classifier, digits):
    images, labels = digits
    said = classifier.predict(torch.from_numpy(images).unsqueeze(1))
    unknown = np.array([not answer.known for answer in said])
    assert unknown[labels < 8].mean() < 0.1
    assert unknown[labels >= 8].mean() > 0.3


def test_another_false_alarm_rate_and_score_can_be_asked_for(digits_run, digits):
    batch = torch.from_numpy(digits[0][:200]).unsqueeze(1)
    strict = StreamClassifier.load(digits_run, fpr=0.3, score="gap").predict(batch)
    assert [s.known for s in strict] == [s.p_value > 0.3 for s in strict]
    assert [s.novelty for s in strict] == pytest.approx([-s.gap for s in strict])


def test_without_calibration_labels_are_told_and_a_warning_says_what_is_missing(
    uncalibrated_run, digits
):
    with pytest.warns(UserWarning, match="holds no calibration") as warnings:
        plain = StreamClassifier.load(uncalibrated_run)
    assert len(warnings) == 1
    batch = torch.from_numpy(digits[0][:20]).unsqueeze(1)
    model, _ = load_model(uncalibrated_run)
    for image, said in zip(batch, plain.predict(batch), strict=True):
        assert (said.known, said.p_value) == (None, None)
        z = model.embed(image.unsqueeze(0).float() / 255)
        assert said.label == str(model.head.predict(z).item())
        assert said.novelty == pytest.approx(float(make_score("mass", model.head)(z)), rel=1e-4)
    assert (plain.score, "novelty is told by mass" in str(warnings[0].message)) == ("mass", True)
    with pytest.raises(LSCError, match="use a score such as mass"):
        StreamClassifier.load(uncalibrated_run, score="knn")


def test_one_batch_may_hold_paths_arrays_and_tensors(classifier, digits, photos):
    image = digits[0][0]  # a zero
    said = classifier.predict([photos / "0" / "0.png", image, torch.from_numpy(image) / 255])
    assert [answer.id for answer in said] == [0, 1, 2]
    assert {answer.label for answer in said} == {"0"}
    assert said[0].novelty == pytest.approx(said[1].novelty)
    assert said[1].novelty == pytest.approx(said[2].novelty, rel=1e-4)


def test_bad_inputs_are_answered_with_what_is_wrong(classifier, digits):
    images = [digits[0][0], "no such file", np.zeros((3, 3), np.uint8), digits[0][0]]
    said = list(classifier.stream(images, batch_size=3))
    assert [answer.id for answer in said] == [0, "no such file", 2, 3]
    assert [answer.error for answer in said] == [
        None,
        "no such file cannot be read (No such file or directory)",
        "the image has shape 3×3, and the model takes 1×8×8",
        None,
    ]
    assert said[1].label is None


def test_outputs_that_are_not_finite_are_errors_and_leave_the_others_alone(digits_run, digits):
    model, spec = load_model(digits_run)
    model.encoder.register_forward_hook(
        lambda module, inputs, output: output / (inputs[0].flatten(1).amax(-1, True) > 0)
    )
    classifier = StreamClassifier(model, spec)
    batch = np.stack([digits[0][0], np.zeros((8, 8), np.uint8), digits[0][1]])
    said = classifier.predict(torch.from_numpy(batch).unsqueeze(1))
    assert [answer.error for answer in said] == [None, "the network's output is not finite", None]
    assert (said[0].label, said[2].label) == ("0", "1")


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_the_stream_keeps_the_order_whatever_takes_how_long(
    digits_run, digits, batch_size, monkeypatch
):
    classifier = StreamClassifier.load(digits_run)
    prepare, draw = Preparation.__call__, random.Random(0)

    def slowly(self, content):
        time.sleep(draw.choice([0, 0, 0.002]))
        return prepare(self, content)

    monkeypatch.setattr(Preparation, "__call__", slowly)
    said = list(classifier.stream(list(digits[0][:150]), batch_size=batch_size, workers=4))
    assert [answer.id for answer in said] == list(range(150))
    together = classifier.predict(torch.from_numpy(digits[0][:150]).unsqueeze(1))
    assert [answer.label for answer in said] == [answer.label for answer in together]


def test_a_stream_that_is_left_early_leaves_no_threads(classifier, digits):
    before = threading.active_count()
    stream = classifier.stream(itertools.repeat(digits[0][0]), batch_size=8)
    assert next(stream).label == "0"
    stream.close()
    del stream
    end = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "the batch size is 1 or more, not 0"),
        ({"batch_seconds": -1.0}, "0 or more, not -1"),
        ({"workers": 0}, "the number of workers is 1 or more, not 0"),
    ],
)
def test_arguments_out_of_range_are_refused(classifier, arguments, message):
    with pytest.raises(LSCError, match=message):
        classifier.stream([], **arguments)


def test_wrong_devices_scores_and_rates_are_refused(digits_run):
    for arguments in ({"device": "gpu"}, {"score": "mas"}, {"fpr": 2.0}, {"top": -1}):
        with pytest.raises(LSCError):
            StreamClassifier.load(digits_run, **arguments)


def test_nothing_in_nothing_out(classifier):
    assert classifier.predict([]) == []
    assert list(classifier.stream([])) == []
