"""The false-alarm rate that a detector is set to. Nothing heavy is imported."""

from __future__ import annotations

from lsc_continual.errors import LSCError


def checked_rate(fpr: float) -> float:
    """The rate itself.

    Raises:
        LSCError: it does not lie between 0 and 1.
    """
    if not isinstance(fpr, int | float) or not 0 < fpr < 1:
        raise LSCError(f"a false-alarm rate lies between 0 and 1, not at {fpr!r}")
    return fpr
