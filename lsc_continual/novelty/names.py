"""The novelty scores by name. Nothing heavy is imported."""

from __future__ import annotations

from lsc_continual.registry import Entry, Registry

_SCORES, _FITTED = "lsc_continual.novelty.scores:", "lsc_continual.novelty.fitted:"

SCORES: Registry[Entry] = Registry(
    "novelty score",
    "a subclass of NoveltyScore, called with a head",
    {
        "auto": Entry(
            "lsc_continual.novelty.auto:Auto", "doubt, whitened-knn and both Mahalanobis scores"
        ),
        "doubt": Entry(_SCORES + "Doubt", "1 − P(nearest owned target)"),
        "mass": Entry(_SCORES + "Mass", "−log P(some owned target)"),
        "ambiguity": Entry(_SCORES + "Ambiguity", "1 − P(decoded address)"),
        "gap": Entry(_SCORES + "Gap", "how near the second nearest vector is"),
        "unowned": Entry(_SCORES + "Unowned", "nobody owns the decoded address"),
        "walk": Entry(_SCORES + "Walk", "vectors that are nearer than any owned one"),
        "energy": Entry(_SCORES + "Energy", "−log of the owned targets' sum"),
        "maxcos": Entry(_SCORES + "MaxCosine", "−cosine to the nearest owned target"),
        "norm": Entry(_SCORES + "Norm", "−norm of the embedding"),
        "knn": Entry(_FITTED + "KNearest", "distance to the nearest known embeddings"),
        "whitened-knn": Entry(
            _FITTED + "WhitenedKNearest",
            "the same where all classes spread alike in all directions",
        ),
        "mahalanobis": Entry(
            _FITTED + "Mahalanobis", "distance to the target by the spread of known inputs"
        ),
        "relative-mahalanobis": Entry(
            _FITTED + "RelativeMahalanobis", "the same less the distance to all known ones"
        ),
    },
)
