"""The learners by name. Nothing heavy is imported."""

from __future__ import annotations

from lsc_continual.registry import Entry, Registry

LEARNERS: Registry[Entry] = Registry(
    "learner",
    "a class with the methods of `Classifier`",
    {
        "analytic": Entry(
            "lsc_continual.classifier.analytic_classifier:AnalyticClassifier",
            "ridge regression on a ready encoder: one pass, exact in any order, merges, subtracts",
        ),
        "replay": Entry(
            "lsc_continual.runs.replaying:ReplayClassifier",
            "an encoder trained as strategy=lsc does, with stored images",
        ),
    },
)
