"""What the user chose: for all experiments, and for one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import torch

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """What every experiment is told.

    Args:
        root: folder of the data, as `data.root` of a run.
        arrays: .npz files (as scenario `arrays` reads them) to take instead, by scenario.
        device: where to compute.
        seeds: how many, counted from 0.
        say: shows a line of progress.
    """

    root: Path = Path("data")
    arrays: Mapping[str, Path] = field(default_factory=dict, hash=False)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    seeds: int = 1
    say: Callable[[str], None] = print


def option(
    quick: T, full: T | None = None, *, help: str | None = None, choices: Sequence[str] = ()
) -> T:
    """A field of an experiment's options, which are a frozen dataclass.

    Args:
        quick: its value in the quick setting, for two CPU cores.
        full: in the setting for a GPU, if that is another one.
        help: with it, the field is an option of the command line.
        choices: of the values, or of each of them.
    """
    metadata = {"full": quick if full is None else full, "help": help, "choices": choices}
    made: T = field(default=quick, metadata=metadata)
    return made


def chosen(kind: type[T], full: bool, given: Mapping[str, Any]) -> T:
    """The options in one setting or the other, but for those given.

    >>> @dataclass(frozen=True)
    ... class Options:
    ...     epochs: int = option(2, 9)
    ...     turns: int = option(5)
    >>> chosen(Options, True, {"turns": 1})
    Options(epochs=9, turns=1)
    """
    values = {}
    for one in fields(kind):  # type: ignore[arg-type]
        if one.name in given:
            values[one.name] = given[one.name]
        elif full:
            values[one.name] = one.metadata["full"]
    return kind(**values)
