"""The strategies and collapse penalties by name. Nothing heavy is imported."""

from __future__ import annotations

from typing import Any

from lsc_continual.errors import LSCError
from lsc_continual.registry import Entry, Registry, is_own
from lsc_continual.settings.fields import Part
from lsc_continual.strategies.strategy import Strategy

_PENALTIES = "lsc_continual.strategies.point_collapse:"


def _peer(builder: str, line: str, bound: bool = False, **options: Any) -> Strategy:
    """One of Avalanche's own, with its options in their papers' values."""
    target = f"lsc_continual.strategies.peers.builders:{builder}"
    parts = frozenset({Part.LAYERS})
    return Strategy(target, f"Avalanche's: {line}", options=options, parts=parts, bound=bound)


STRATEGIES: Registry[Strategy] = Registry(
    "strategy",
    "a `Strategy`, or a function from Conditions to an Assembly",
    {
        "lsc": Strategy(
            "lsc_continual.strategies.lsc:build_lsc",
            "fixed targets, replay that knows its imbalance, distillation",
            parts=frozenset(Part) - {Part.RIDGE},
        ),
        "lsc-learned-head": Strategy(
            "lsc_continual.strategies.learned_head:build_learned_head",
            "the same with a linear head that grows by a row for each class, to compare with",
            parts=frozenset(Part) - {Part.RIDGE, Part.SYSTEM},
            goes_on=False,
        ),
        "lsc-analytic": Strategy(
            "lsc_continual.strategies.analytic:build_analytic",
            "ridge regression to fixed targets on a frozen encoder: one pass, no stored images",
            parts=frozenset({Part.TARGETS, Part.SYSTEM, Part.RIDGE, Part.CHECKPOINTS}),
        ),
        "naive": _peer("naive", "training on what arrives, nothing else"),
        "replay": _peer("replay", "cross-entropy on new and stored images"),
        "er-ace": _peer("er_ace", "replay, asymmetric cross-entropy"),
        "der": _peer("der", "replay with stored logits (DER++)", alpha=0.1, beta=0.5),
        "lwf": _peer("lwf", "distillation of logits, nothing stored", alpha=1.0, temperature=2.0),
        "ewc": _peer(
            "ewc",
            "weights held by their importance, nothing stored",
            ewc_lambda=100.0,
            mode="separate",
            decay_factor=None,
            keep_importance_data=False,
        ),
        "icarl": _peer("icarl", "herding, distillation, nearest class mean", fixed_memory=True),
        "scr": _peer("scr", "contrastive replay, nearest class mean", temperature=0.1),
        "slda": _peer(
            "slda",
            "linear discriminant analysis on a frozen encoder",
            shrinkage_param=1e-4,
            streaming_update_sigma=True,
        ),
        "gdumb": _peer("gdumb", "trained anew on the stored images alone"),
        "cumulative": _peer("cumulative", "on all data so far; a bound, not a competitor", True),
        "joint": _peer("joint", "on all data at once; a bound, not a competitor", True),
    },
)

COLLAPSES: Registry[Entry] = Registry(
    "collapse penalty",
    "a `PointPenalty`",
    {
        "iclr-2025": Entry(_PENALTIES + "ICLR_2025", "γz², γ from 1e-2 × 1.05 an epoch to 1e6"),
        "repository-2025": Entry(
            _PENALTIES + "REPOSITORY_2025",
            "γz², γ from 1e-4 × 2 each 5 epochs to 1e3, then × 1.25 to 1e6",
        ),
        "exponential": Entry(_PENALTIES + "EXPONENTIAL", "γ exp(z²), γ = 10: of the first version"),
    },
)


def find_strategy(name: str) -> Strategy:
    """The strategy `name`, or the user's own "module:attribute", imported.

    Raises:
        LSCError: unknown name, with the nearest valid one, or something that is no strategy.
    """
    if not is_own(name):
        return STRATEGIES[name]
    found = STRATEGIES.load(name)
    if isinstance(found, Strategy):
        return found
    if not callable(found):
        raise LSCError(f"strategy {name!r} is {type(found).__name__}, not a Strategy: make it one")
    return Strategy(found, (found.__doc__ or "your own").strip().splitlines()[0])


def who_has(part: Part) -> str:
    """The strategies of this package that have a part, for sentences."""
    return ", ".join(name for name, strategy in STRATEGIES.items() if part in strategy.parts)
