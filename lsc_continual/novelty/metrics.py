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
        fpr95: share of known inputs that are flagged at the highest threshold that flags 95 % of
            the unknown ones (0 is best): unknown being the positive class, as in OpenOOD and
            pytorch-ood.
        fpr95_known_positive: share of unknown inputs that are accepted at the lowest threshold that
            accepts 95 % of the known ones (0 is best), as in ODIN (Liang et al., ICLR 2018).
        aupr: area under the precision-recall curve (average precision), unknown being the positive
            class; it depends on how many of either kind there are.
        oscr: area under correct classification rate of known inputs against the share of
            accepted unknown ones (Dhamija et al., NeurIPS 2018).

    >>> known, unknown = np.array([0.1, 0.2, 0.3, 0.7]), np.array([0.5, 0.9])
    >>> m = novelty_metrics(known, unknown, np.array([True, True, False, True]))
    >>> m["auroc"], m["fpr95"], m["fpr95_known_positive"], m["oscr"]
    (0.875, 0.25, 0.5, 0.625)
    """
    if not len(known) or not len(unknown):
        raise LSCError("novelty metrics need known and unknown inputs: got none of one kind")
    known, unknown = (_finite(scores) for scores in (known, unknown))
    labels = np.concatenate([np.zeros(len(known)), np.ones(len(unknown))])
    scores = np.concatenate([known, unknown])
    return {
        "auroc": float(roc_auc_score(labels, scores)),
        "fpr95": _fpr95(unknown, known),
        "fpr95_known_positive": _fpr95(-known, -unknown),
        "aupr": float(average_precision_score(labels, scores)),
        "oscr": _oscr(known[correct], unknown, len(known)),
    }


def _finite(scores: Floats) -> Floats:
    """Scores that are infinite or not a number count as the most novel."""
    most = float(np.finfo(np.float32).max)
    return np.nan_to_num(scores.astype(np.float64), nan=most, posinf=most, neginf=-most)


def _fpr95(positive: Floats, negative: Floats) -> float:
    """Share of negatives at or above the highest threshold that 95 % of positives reach."""
    ordered = np.sort(positive)[::-1]
    reached = np.arange(1, len(ordered) + 1) / len(ordered)
    threshold = ordered[np.searchsorted(reached, 0.95)]
    return float((negative >= threshold).mean())


def _oscr(correct_known: Floats, unknown: Floats, known_count: int) -> float:
    """∫ CCR d(FPR): for each unknown input, the correct known ones that score lower (ties half)."""
    ordered = np.sort(correct_known)
    lower = np.searchsorted(ordered, unknown, side="left")
    tied = np.searchsorted(ordered, unknown, side="right") - lower
    return float((lower + tied / 2).mean() / known_count)
