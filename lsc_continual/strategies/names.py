"""The strategies and collapse penalties by name. Nothing heavy is imported."""

from __future__ import annotations

from lsc_continual.errors import LSCError
from lsc_continual.registry import Entry, Registry, is_own
from lsc_continual.settings.fields import Part
from lsc_continual.strategies.strategy import Strategy

_PEERS = "lsc_continual.strategies.peers.builders:"
_PENALTIES = "lsc_continual.strategies.point_collapse:"
_NONE: frozenset[Part] = frozenset()

STRATEGIES: Registry[Strategy] = Registry(
    "strategy",
    "a `Strategy`, or a function from Conditions to an Assembly",
    {
        "lsc": Strategy(
            "lsc_continual.strategies.lsc:build_lsc",
            "fixed targets, replay that knows its imbalance, distillation",
            parts=frozenset(Part) - {Part.RIDGE},
        ),
        "lsc-analytic": Strategy(
            "lsc_continual.strategies.analytic:build_analytic",
            "ridge regression to fixed targets on a frozen encoder: one pass, no stored images",
            parts=frozenset({Part.TARGETS, Part.RIDGE, Part.CHECKPOINTS}),
        ),
        "naive": Strategy(
            _PEERS + "naive", "Avalanche's: training on what arrives, nothing else", parts=_NONE
        ),
        "replay": Strategy(
            _PEERS + "replay", "Avalanche's: cross-entropy on new and stored images", parts=_NONE
        ),
        "er-ace": Strategy(
            _PEERS + "er_ace", "Avalanche's: replay, asymmetric cross-entropy", parts=_NONE
        ),
        "der": Strategy(
            _PEERS + "der",
            "Avalanche's: replay with stored logits (DER++)",
            options={"alpha": 0.1, "beta": 0.5},  # of its paper, for CIFAR-10
            parts=_NONE,
        ),
        "lwf": Strategy(
            _PEERS + "lwf",
            "Avalanche's: distillation of logits, nothing stored",
            options={"alpha": 1.0, "temperature": 2.0},  # of its paper
            parts=_NONE,
        ),
        "ewc": Strategy(
            _PEERS + "ewc",
            "Avalanche's: weights held by their importance, nothing stored",
            options={
                "ewc_lambda": 100.0,
                "mode": "separate",
                "decay_factor": None,
                "keep_importance_data": False,
            },
            parts=_NONE,
        ),
        "icarl": Strategy(
            _PEERS + "icarl",
            "Avalanche's: herding, distillation, nearest class mean",
            options={"fixed_memory": True},
            parts=_NONE,
        ),
        "scr": Strategy(
            _PEERS + "scr",
            "Avalanche's: contrastive replay, nearest class mean",
            options={"temperature": 0.1},
            parts=_NONE,
        ),
        "slda": Strategy(
            _PEERS + "slda",
            "Avalanche's: linear discriminant analysis on a frozen encoder",
            options={"shrinkage_param": 1e-4, "streaming_update_sigma": True},
            parts=_NONE,
        ),
        "gdumb": Strategy(
            _PEERS + "gdumb", "Avalanche's: trained anew on the stored images alone", parts=_NONE
        ),
        "cumulative": Strategy(
            _PEERS + "cumulative",
            "Avalanche's: on all data so far; a bound, not a competitor",
            parts=_NONE,
            bound=True,
        ),
        "joint": Strategy(
            _PEERS + "joint",
            "Avalanche's: on all data at once; a bound, not a competitor",
            parts=_NONE,
            bound=True,
        ),
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
