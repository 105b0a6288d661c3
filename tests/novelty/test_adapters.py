"""The detector under the conventions of scikit-learn and of pytorch-ood."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytorch_ood.api import RequiresFittingException
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from torch import nn

from lsc_continual import TargetClassifier
from lsc_continual.novelty.pytorch_ood import OODDetector
from lsc_continual.novelty.scikit_learn import OutlierDetector
from tests.novelty.embeddings import embeddings, make_head


@pytest.mark.parametrize("score", ["auto", "maxcos"])
def test_scikit_learn_says_minus_one_where_the_detector_does(score):
    head = make_head()
    known, new = embeddings(head, 600, 0.5, True), embeddings(head, 300, 0.5, False)
    outliers = OutlierDetector(head, score, contamination=0.1).fit(known.numpy())
    for z in (known, new):
        verdict = outliers.predict(z.numpy())
        assert np.array_equal(verdict == -1, (outliers.detector_.predict(z) == -1).numpy())
        assert np.array_equal(verdict == 1, outliers.decision_function(z.numpy()) >= 0)
        scores = outliers.score_samples(z.numpy())
        assert np.allclose(scores, -outliers.detector_.score(z).numpy())
        assert np.allclose(scores - outliers.offset_, outliers.decision_function(z.numpy()))
    assert (outliers.predict(new.numpy()) == -1).mean() > 0.8
    assert outliers.fit_predict(known.numpy()).shape == (600,)


def test_scikit_learn_can_clone_it_and_asks_for_fit_first():
    outliers = clone(OutlierDetector(make_head(), "knn", contamination=0.2))
    assert (outliers.score, outliers.contamination) == ("knn", 0.2)
    with pytest.raises(NotFittedError):
        outliers.predict(np.zeros((1, 12)))
    with pytest.raises(ValueError, match="NaN"):
        outliers.fit(np.full((50, 12), np.nan))


def test_pytorch_ood_scores_outliers_high_from_inputs_and_from_embeddings():
    head = make_head()
    encoder = nn.Flatten()
    encoder.num_features = 12
    model = TargetClassifier(encoder, head, standardize=False)
    nn.init.eye_(model.projection.weight)
    nn.init.zeros_(model.projection.bias)
    known, unknown = embeddings(head, 400, 0.5, True), embeddings(head, 200, 0.5, False)
    detector = OODDetector(model)
    with pytest.raises(RequiresFittingException):
        detector.predict(known)
    labels = torch.cat([torch.zeros(400), -torch.ones(200)]).long()
    both = torch.utils.data.TensorDataset(torch.cat([known, unknown]), labels)
    detector.fit(torch.utils.data.DataLoader(both, batch_size=64))
    assert len(detector.detector.known) + len(detector.detector.reference) == 400
    scores = detector.predict(torch.cat([known, unknown]))
    assert roc_auc_score((labels < 0).numpy(), scores.numpy()) > 0.95
    assert torch.allclose(scores[:400], detector.predict_features(known), atol=1e-5)
