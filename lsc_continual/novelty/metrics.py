"""How well a novelty score tells known from unknown inputs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from lsc_continual.errors import LSCError

Floats = NDArray[np.floating]


def novelty_metrics(known: Floats, unknown: Floats, correct: NDArray[np.bool_]) -> dict[str, float]:
    """Quality of a score (higher = more novel), in the conventions of the field.

    Args:
        known: scores of inputs of known classes.
        unknown: scores of inputs of unknown classes.
        correct: for each known input, whether its class was predicted rightly.

    Returns:
        auroc: area under the ROC curve, unknown being the positive class.
        fpr95: share of unknown inputs that are accepted at the threshold that accepts 95 % of the
            known ones (0 is best).
        aupr: area under the precision-recall curve (average precision), unknown being the positive
            class; it depends on how many of either kind there are.
        oscr: area under correct classification rate of known inputs against the share of
            accepted unknown ones (Dhamija et al., NeurIPS 2018).

    >>> known, unknown = np.array([0.1, 0.2, 0.3, 0.7]), np.array([0.5, 0.9])
    >>> m = novelty_metrics(known, unknown, np.array([True, True, False, True]))
    >>> m["auroc"], m["fpr95"], m["oscr"]
    (0.875, 0.5, 0.625)
    """
    if not len(known) or not len(unknown):
        raise LSCError("novelty metrics need known and unknown inputs: got none of one kind")
    known, unknown = (_finite(scores) for scores in (known, unknown))
    labels = np.concatenate([np.zeros(len(known)), np.ones(len(unknown))])
    threshold = np.quantile(known, 0.95, method="higher")
    scores = np.concatenate([known, unknown])
    return {
        "auroc": float(roc_auc_score(labels, scores)),
        "fpr95": float((unknown <= threshold).mean()),
        "aupr": float(average_precision_score(labels, scores)),
        "oscr": _oscr(known[correct], unknown, len(known)),
    }


def _finite(scores: Floats) -> Floats:
    """Scores that are infinite or not a number count as the most novel."""
    most = float(np.finfo(np.float32).max)
    return np.nan_to_num(scores.astype(np.float64), nan=most, posinf=most, neginf=-most)


def _oscr(correct_known: Floats, unknown: Floats, known_count: int) -> float:
    """∫ CCR d(FPR): for each unknown input, the correct known ones that score lower (ties half)."""
    ordered = np.sort(correct_known)
    lower = np.searchsorted(ordered, unknown, side="left")
    tied = np.searchsorted(ordered, unknown, side="right") - lower
    return float((lower + tied / 2).mean() / known_count)
