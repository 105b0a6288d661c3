"""Measurements of `lsc-cl bench`: each against what people use today, in one run on one machine."""

from __future__ import annotations

from lsc_continual.errors import unknown_name

PARTS = ("decode", "loss", "train")


def parts_named(name: str) -> tuple[str, ...]:
    """The parts that a name on the command line means.

    >>> parts_named("loss"), parts_named("all")
    (('loss',), ('decode', 'loss', 'train'))

    Raises:
        LSCError: unknown name.
    """
    if name == "all":
        return PARTS
    if name not in PARTS:
        raise unknown_name("benchmark", name, [*PARTS, "all"])
    return (name,)
