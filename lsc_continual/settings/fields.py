"""What is known about a setting, in one place: beside its name and type in the schema."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, get_args, get_origin, get_type_hints

from lsc_continual.errors import LSCError
from lsc_continual.registry import TABLES


class Part(StrEnum):
    """What a strategy may have or lack; settings of a part mean nothing to those that lack it."""

    TARGETS = "targets of a vector system"
    SYSTEM = "a choice of vector systems"
    LAYERS = "trained layers behind the encoder"
    DISTILLATION = "distillation"
    RIDGE = "ridge regression"
    CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class About:
    """Everything about a setting but its name, type and default.

    Args:
        help: what it means; one sentence or two.
        least, most: smallest and largest value.
        above: the largest value that is too small.
        choices: the values there are.
        names: the kind of names that its value is one of.
        changeable: whether it may change in the middle of a run.
        part: of strategies that it concerns; None: all.
        free: whether any key may be set in it.
    """

    help: str
    least: float | None = None
    above: float | None = None
    most: float | None = None
    choices: Sequence[str] = ()
    names: str | None = None
    changeable: bool = False
    part: Part | None = None
    free: bool = False


def setting(default: Any, help: str, **about: Any) -> Any:
    """A field of a settings class; a callable is called for each default.

    The keyword arguments are those of `About`.
    """
    metadata = {"about": About(help, **about)}
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def group(kind: Callable[[], Any], part: Part | None = None) -> Any:
    """A field that holds settings of its own, all of them for strategies that have a part."""
    return dataclasses.field(default_factory=kind, metadata={"part": part})


@dataclass(frozen=True)
class Setting:
    """A setting as users meet it."""

    key: str
    """Dotted, such as "train.epochs"."""
    type: Any
    default: Any
    about: About

    @cached_property
    def base(self) -> Any:
        """Its type, without None."""
        kept = [part for part in get_args(self.type) if part is not type(None)]
        return kept[0] if self.optional and len(kept) == 1 else self.type

    @cached_property
    def optional(self) -> bool:
        """Whether it may have no value."""
        return type(None) in get_args(self.type)

    @property
    def kind(self) -> str:
        """Its type in words."""
        if get_origin(self.base) is list:
            return f"list of {_WORDS[get_args(self.base)[0]]}s"
        return _WORDS.get(self.base, "any keys")

    @property
    def is_text(self) -> bool:
        """Whether values are text, or lists of text: they are taken as they are written."""
        return self.base is str or get_args(self.base) == (str,)

    @property
    def range(self) -> str:
        """The values that are in order, in words; empty where the type says it all."""
        if self.about.choices:
            return ", ".join(self.about.choices)
        least, above, most = (
            None if bound is None else _shown(bound)
            for bound in (self.about.least, self.about.above, self.about.most)
        )
        if above is not None:
            return f"above {above}" + ("" if most is None else f", to {most}")
        if least is None:
            return ""
        return f"{least} or more" if most is None else f"from {least} to {most}"

    def check(self, value: Any) -> None:
        """Refuse a value of the right type that is not in order.

        Raises:
            LSCError: it is out of range, or not one of the choices or names.
        """
        about = self.about
        if value is None:
            return
        if about.names is not None:
            TABLES[about.names].check(value)
        if about.choices and value not in about.choices:
            raise LSCError(f"{self.key}={value} is not one of {self.range}")
        low = about.least is not None and not value >= about.least
        low = low or (about.above is not None and not value > about.above)
        if low or (about.most is not None and value > about.most):
            raise LSCError(f"{self.key}={value} is out of range: use {self.range}")


def _shown(bound: float) -> str:
    return str(int(bound)) if float(bound).is_integer() else f"{bound:g}"


_WORDS = {int: "whole number", float: "number", bool: "true or false", str: "text"}


def settings_of(schema: type[Any], prefix: str = "", part: Part | None = None) -> Iterator[Setting]:
    """All settings of a settings class, those of its groups included, in their order."""
    types = get_type_hints(schema)
    for field in dataclasses.fields(schema):
        key, kind = f"{prefix}{field.name}", types[field.name]
        if dataclasses.is_dataclass(kind):
            assert isinstance(kind, type)
            yield from settings_of(kind, f"{key}.", field.metadata["part"])
        else:
            default, about = field.default, field.metadata["about"]
            if field.default_factory is not dataclasses.MISSING:
                default = field.default_factory()
            yield Setting(key, kind, default, replace(about, part=about.part or part))
