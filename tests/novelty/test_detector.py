"""The detector: its false-alarm rate, its labels, and misuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lsc_continual import LSCError, NoveltyDetector, TargetHead, make_system
from lsc_continual.novelty.names import SCORES
from tests.novelty.embeddings import embeddings, make_head


@pytest.fixture
def head() -> TargetHead:
    return make_head()


@pytest.mark.parametrize("fpr", [0.05, 0.2])
@pytest.mark.parametrize("score", [name for name in SCORES if name not in ("unowned", "walk")])
def test_it_keeps_its_false_alarm_rate_on_known_inputs(head, score, fpr):
    detector = NoveltyDetector(head, score, fpr)
    detector.calibrate(embeddings(head, 4000, 0.8, True), embeddings(head, 500, 0.5, True))
    alarms = (detector.predict(embeddings(head, 4000, 0.8, True)) == -1).float().mean()
    assert float(alarms) == pytest.approx(fpr, abs=0.015)


@pytest.mark.parametrize("score", ["unowned", "walk"])
def test_scores_with_ties_never_alarm_too_often(head, score):
    detector = NoveltyDetector(head, score).calibrate(embeddings(head, 4000, 0.8, True))
    alarms = (detector.predict(embeddings(head, 4000, 0.8, True)) == -1).float().mean()
    assert float(alarms) <= 0.065


def test_without_a_reference_half_of_the_known_serve_as_one(head):
    known = embeddings(head, 4000, 0.8, True)
    detector = NoveltyDetector(head).calibrate(known)
    assert len(detector.known) == len(detector.reference) == 2000
    alarms = (detector.predict(embeddings(head, 4000, 0.8, True)) == -1).float().mean()
    assert float(alarms) == pytest.approx(0.05, abs=0.02)
    # Calibrating again does the same, though the score is fitted by now.
    assert torch.equal(detector.calibrate(known).known, known[1::2])


@given(count=st.integers(20, 300), fpr=st.floats(0.05, 0.6), seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_p_values_are_those_of_the_definition(count, fpr, seed):
    head = make_head()
    torch.manual_seed(seed)
    known, new = (embeddings(head, n, 0.6, True) for n in (count, 50))
    detector = NoveltyDetector(head, "gap", fpr).calibrate(known)
    scores = detector.score(known)
    at_least = (scores[None] >= detector.score(new)[:, None]).sum(-1)
    expected = (1 + at_least).double() / (count + 1)
    assert torch.allclose(detector.p_value(new), expected)
    flagged = detector.predict(new) == -1
    assert torch.equal(flagged, expected <= fpr)
    assert torch.equal(flagged, detector.score(new) > detector.threshold)


@pytest.mark.parametrize(("count", "fpr"), [(9, 0.1), (19, 0.05), (39, 0.05), (99, 0.05)])
@pytest.mark.parametrize("heavy_tailed", [False, True])
def test_the_rate_is_exact_however_few_the_calibration_inputs(head, count, fpr, heavy_tailed):
    """Over calibrations of m inputs, ⌊fpr (m + 1)⌋/(m + 1) of known inputs are flagged."""
    torch.manual_seed(count)

    def draw(number: int) -> torch.Tensor:
        targets = head.targets.vectors()[torch.randint(8, (number,))]
        noise = torch.randn(number, 12)
        if heavy_tailed:
            noise /= torch.distributions.Chi2(1.5).sample((number, 1)).div(1.5).sqrt()
        return 3 * targets + 0.4 * noise

    detector, rates = NoveltyDetector(head, fpr=fpr), []
    for _ in range(400):
        detector.calibrate(draw(count), draw(30))
        rates.append(float((~detector.judge(draw(200)).known).float().mean()))
    promised = int(fpr * (count + 1) + 1e-9) / (count + 1)
    error = torch.tensor(rates).std().item() / len(rates) ** 0.5
    assert abs(sum(rates) / len(rates) - promised) < 4 * error


@pytest.mark.parametrize("score", [name for name in SCORES if name not in ("unowned", "walk")])
def test_a_threshold_stays_what_it_was_calibrated_as_when_classes_arrive(score):
    """The default scale of a head grows with its classes; the scores of old inputs must not."""
    torch.manual_seed(0)
    head = TargetHead(make_system("v21", dim=32))
    head.add_classes(range(10))
    known = 3 * head.targets.vectors()[torch.randint(10, (1500,))]
    known, unknown = known + 0.4 * torch.randn_like(known), torch.randn(500, 32)
    detector = NoveltyDetector(head, score).calibrate(known[:400], known[400:800])
    before = [detector.judge(z).p_value for z in (known[800:], unknown)]
    threshold, scale = detector.threshold, head.scale
    head.add_classes(range(10, 3000))
    assert head.scale > 1.5 * scale
    after = [detector.judge(z) for z in (known[800:], unknown)]
    assert detector.threshold == threshold
    for z, verdict in zip((known[800:], unknown), after, strict=True):
        assert torch.equal(verdict.known, detector.score(z) <= threshold)
    assert float((~after[0].known).float().mean()) < 0.08
    if score in ("gap", "norm", "knn", "ambiguity"):  # those that do not ask who owns what
        assert torch.allclose(before[1], after[1].p_value)


def test_per_class_keeps_the_rate_within_every_predicted_class(head):
    """Class 0 is noisier than the others: one threshold for all flags it far too often."""

    def draw(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        labels = torch.randint(8, (count,))
        noise = torch.where(labels == 0, 0.9, 0.2)[:, None] * torch.randn(count, 12)
        return 3 * head.targets.vectors()[labels] + noise, labels

    rates = {}
    for per_class in (False, True):
        detector = NoveltyDetector(head, "maxcos", per_class=per_class).calibrate(draw(8000)[0])
        z, _ = draw(8000)
        flagged = detector.predict(z) == -1
        predicted = head.predict(z)
        rates[per_class] = [float(flagged[predicted == c].float().mean()) for c in range(8)]
    assert max(rates[False]) > 0.2
    assert all(0.03 < rate < 0.075 for rate in rates[True])


def test_classes_with_too_few_calibration_inputs_share_a_threshold(head):
    known = embeddings(head, 2000, 0.5, True)
    rare = head.predict(known) == 3
    known = torch.cat([known[~rare], known[rare][:5]])
    counts = head.predict(known).bincount(minlength=8)
    next_rarest = int(counts.masked_fill(counts == 5, 10**6).argmin())
    apart = NoveltyDetector(head, "maxcos", per_class=True).calibrate(known)
    both = torch.isin(head.predict(known), torch.tensor([3, next_rarest]))
    together = NoveltyDetector(head, "maxcos").calibrate(known[both])
    z = embeddings(head, 500, 0.5, True)
    of_rare = head.predict(z) == 3
    assert torch.equal(together.p_value(z)[of_rare], apart.p_value(z)[of_rare])
    assert not torch.equal(together.p_value(z)[~of_rare], apart.p_value(z)[~of_rare])


def test_rare_classes_are_compared_with_their_like(head):
    """Many easy inputs, each class with a threshold of its own, must not set that of the rest."""
    torch.manual_seed(0)
    head.add_classes(range(48))

    def draw(count: int) -> torch.Tensor:
        easy = torch.rand(count) < 0.5
        labels = torch.where(easy, torch.randint(2, (count,)), torch.randint(8, 48, (count,)))
        noise = torch.where(easy, 0.05, 0.5)[:, None] * torch.randn(count, 12)
        return 3 * head.targets.vectors()[labels] + noise

    alarms = []
    for _ in range(20):
        detector = NoveltyDetector(head, "maxcos", per_class=True).calibrate(draw(400))
        alarms.append(float((detector.predict(draw(2000)) == -1).float().mean()))
    assert sum(alarms) / len(alarms) == pytest.approx(0.05, abs=0.012)


def test_classes_that_arrive_after_the_calibration_are_compared_with_the_rest(head):
    detector = NoveltyDetector(head, per_class=True).calibrate(embeddings(head, 1000, 0.3, True))
    head.add_classes([8, 9])
    assert detector.p_value(3 * head.targets.vectors()).shape == (10,)


def test_a_calibration_that_fails_leaves_no_old_threshold(head):
    detector = NoveltyDetector(head).calibrate(embeddings(head, 1000, 0.3, True))
    with pytest.raises(LSCError, match="not finite"):
        detector.calibrate(torch.full((100, 12), torch.nan))
    with pytest.raises(LSCError, match=r"call calibrate\(\) first"):
        detector.predict(torch.randn(3, 12))


def test_it_flags_the_unknown_and_labels_the_rest(head):
    detector = NoveltyDetector(head).calibrate(embeddings(head, 1000, 0.3, True))
    assert torch.equal(detector.predict(3 * head.targets.vectors()), torch.arange(8))
    unknown = embeddings(head, 500, 0.3, False)
    assert (detector.predict(unknown) == -1).float().mean() > 0.9
    assert (detector.p_value(unknown) <= 1).all()
    assert (detector.p_value(unknown) > 0).all()


def test_an_embedding_that_is_not_finite_is_unknown(head):
    for score in ("auto", "norm", "maxcos"):
        reference = embeddings(head, 50, 0.3, True)
        detector = NoveltyDetector(head, score).calibrate(
            embeddings(head, 100, 0.3, True), reference
        )
        z = torch.stack([torch.full((12,), torch.nan), 3 * head.targets.vectors()[0]])
        assert detector.p_value(z)[0].item() == pytest.approx(1 / 101)
        assert detector.predict(z).tolist() == [-1, 0]
        assert detector.score(z)[0] == torch.inf


@pytest.mark.parametrize("score", SCORES)
def test_autocast_does_not_reach_scores_and_thresholds(head, score):
    known, reference, new = (embeddings(head, n, 0.5, True) for n in (60, 40, 30))
    expected = NoveltyDetector(head, score).calibrate(known, reference)
    with torch.autocast("cpu", torch.bfloat16):
        detector = NoveltyDetector(head, score).calibrate(known, reference)
        assert detector.threshold == expected.threshold
        assert torch.equal(detector.score(new), expected.score(new))
        found = detector.judge(new)
    assert torch.equal(found.p_value, expected.judge(new).p_value)


def test_misuse_is_refused(head):
    with pytest.raises(LSCError, match="did you mean 'mass'"):
        NoveltyDetector(head, "mas")
    with pytest.raises(LSCError, match="between 0 and 1"):
        NoveltyDetector(head, fpr=0)
    for ask in ("p_value", "predict", "score"):
        with pytest.raises(LSCError, match=r"call calibrate\(\) first"):
            getattr(NoveltyDetector(head), ask)(torch.zeros(1, 12))
    with pytest.raises(LSCError, match=r"call calibrate\(\) first"):
        _ = NoveltyDetector(head, "gap").threshold
    with pytest.raises(LSCError, match="19 or more known inputs"):
        NoveltyDetector(head, "gap").calibrate(torch.randn(18, 12))
    with pytest.raises(LSCError, match="not finite"):
        NoveltyDetector(head, "gap").calibrate(torch.full((30, 12), torch.nan))


@pytest.mark.parametrize("score", sorted(SCORES))
def test_what_has_no_length_is_nobodys_and_unknown(head, score):
    known = embeddings(head, 600, 0.3, True)
    detector = NoveltyDetector(head, score).calibrate(known[:400], known[400:])
    z = known[:6].clone()
    z[0, 0], z[1, 1], z[2, 2], z[3] = torch.nan, torch.inf, 1e30, -torch.inf
    verdict = detector.judge(z)
    assert verdict.ordinal[:4].tolist() == [-1] * 4
    assert not verdict.known[:4].any()
    assert (verdict.novelty[:4] == torch.inf).all()
    assert torch.equal(detector.score(z) > detector.threshold, ~verdict.known)
    assert torch.equal(verdict.ordinal[4:], detector.judge(known[4:6]).ordinal)


@pytest.mark.parametrize("score", ["auto", "knn", "mahalanobis", "maxcos"])
def test_embeddings_may_be_of_another_precision_than_the_calibration(head, score):
    known = embeddings(head, 600, 0.3, True)
    detector = NoveltyDetector(head, score)
    for calibrated, reference in ((torch.float32, torch.float64), (torch.float64, torch.float32)):
        detector.calibrate(known[:400].to(calibrated), known[400:].to(reference))
        one, other = detector.judge(known.float()), detector.judge(known.double())
        assert (one.known == other.known).float().mean() > 0.99


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda head: NoveltyDetector(head, fpr="0.05"), "lies between 0 and 1, not at '0.05'"),
        (lambda head: NoveltyDetector(head, score=None), "is called by text"),
        (lambda head: NoveltyDetector(head).calibrate([[1.0] * 12] * 60), "real numbers.*not list"),
        (lambda head: NoveltyDetector(head).calibrate(np.ones((60, 12))), "not ndarray"),
        (lambda head: head.system.decode(torch.ones(2, 12) * 1j), "real numbers"),
        (lambda head: head.targets.add("abc"), "labels come one by one"),
        (lambda head: head.targets.add(5), "labels come one by one"),
        (lambda head: head.targets.add(None), "labels come one by one"),
        (lambda head: head.targets.add([[1, 2]]), "cannot be a label"),
        (lambda head: make_system(None, 5), "is called by text"),
        (lambda head: TargetHead("v21"), "make_system"),
    ],
)
def test_what_is_of_another_kind_is_refused_in_a_sentence(head, wrong, message):
    with pytest.raises(LSCError, match=message):
        wrong(head)
