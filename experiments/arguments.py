"""What stands on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import Field, fields
from itertools import takewhile
from pathlib import Path
from typing import Any, NoReturn, get_args, get_type_hints

from experiments import __doc__ as about
from experiments.registry import Experiment, named
from lsc_continual.errors import LSCError, unknown_name


class _Parser(argparse.ArgumentParser):
    """Refuses arguments in one sentence."""

    def error(self, message: str) -> NoReturn:
        raise LSCError(f"{message}: see python -m experiments --help")


def parse(arguments: Sequence[str]) -> tuple[list[Experiment], argparse.Namespace, dict[str, Any]]:
    """The experiments named, the options of all, and those given of the experiments' own.

    Raises:
        LSCError: an unknown name or option, with the nearest valid one, or a wrong value.
    """
    names = list(takewhile(lambda text: not text.startswith("-"), arguments))
    chosen = named(names)
    parser = _common()
    own: dict[str, dict[str, Any]] = {}
    for experiment in chosen:
        own |= {
            one.name: _how(experiment.options, one)
            for one in fields(experiment.options)
            if one.metadata["help"]
        }
    group = parser.add_argument_group("options of the experiment")
    for name, how in own.items():
        group.add_argument("--" + name.replace("_", "-"), **how)
    found, unknown = parser.parse_known_args(arguments[len(names) :])
    if unknown:
        known = [text for action in parser._actions for text in action.option_strings]
        if unknown[0].startswith("-"):
            raise unknown_name("option", unknown[0].partition("=")[0], known)
        raise LSCError(f"{unknown[0]!r} is out of place: experiments are named before the options")
    given = {name: value for name in own if (value := vars(found).pop(name)) is not None}
    # As tuples, options can be compared and hashed.
    return chosen, found, {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}


def _common() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m experiments",
        usage="%(prog)s [NAME … | all] [options]",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--full", action="store_true", help="the setting for a GPU")
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder of the data")
    parser.add_argument(
        "--arrays", nargs="+", default=[], metavar="SCENARIO=FILE", help=".npz files instead"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, …")
    parser.add_argument("--seeds", type=_positive, default=1, help="how many to average over")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder for JSON")
    parser.add_argument("--figures", type=Path, default=Path("docs/figures/papers"))
    parser.add_argument("--page", type=Path, help="write a page of all claims' results")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def _how(options: type, one: Field[Any]) -> dict[str, Any]:
    """What argparse is told of a field; where it is not given, there is no value."""
    kind = get_type_hints(options)[one.name]
    inner = next((part for part in get_args(kind) if isinstance(part, type)), kind)
    how: dict[str, Any] = {"default": None, "help": one.metadata["help"]}
    if kind is bool:
        return how | {"action": "store_true"}
    how |= {"type": _positive if inner is int else inner}
    how |= {"nargs": "+"} if isinstance(one.default, tuple) else {}
    choices = one.metadata["choices"]
    return how | ({"choices": choices} if choices else {"metavar": one.name.upper()})


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return number


def arrays(given: Sequence[str]) -> dict[str, Path]:
    """Scenario -> file, of --arrays.

    Raises:
        LSCError: anything else was given.
    """
    pairs = [text.partition("=") for text in given]
    for scenario, equals, path in pairs:
        if not (scenario and equals and path):
            raise LSCError("--arrays takes SCENARIO=FILE, for example split-omniglot=omniglot.npz")
    return {scenario: Path(path) for scenario, _, path in pairs}
