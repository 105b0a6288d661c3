"""Errors that the user can mend: one sentence that says what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

_NAMED = 100  # choices that an error lists
_LONGEST = 300  # characters of a sentence of somebody else's


class LSCError(ValueError):
    """Something the user can mend. The command line prints the message and exits with code 2."""


class MistakesError(LSCError):
    """Several of them in one command, a sentence each."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = tuple(sentences)


class CapacityError(LSCError):
    """A vector system holds fewer vectors than were asked for, or more than addresses can name."""


class NotTractableError(LSCError):
    """A quantity that has no known polynomial-time formula for this vector system."""


class NotCalibratedError(LSCError):
    """A novelty threshold was asked for that no data have set."""


class UnknownLabelError(LSCError):
    """A class label that owns no target."""


def first_line(error: BaseException) -> str:
    """What an exception of somebody else's says, short enough for a sentence of ours."""
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    line = lines[0].rstrip(":")
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"


def inert(text: str) -> str:
    r"""Text of somebody else's, such as a file name, as it may be shown on a terminal.

    Control characters would do what they say there, and surrogates cannot be written.

    >>> inert("cat\x1b[2J\n.png")
    'cat\\x1b[2J\\n.png'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def unknown_name(kind: str, name: object, known: Iterable[str]) -> LSCError:
    """The error for a name that is not among `known`, with the nearest valid one.

    >>> unknown_name("scenario", "split-digit", ["split-digits", "split-mnist"])
    LSCError("unknown scenario 'split-digit': did you mean 'split-digits'?")
    >>> unknown_name("scenario", "x", ["split-digits", "split-mnist"])
    LSCError("unknown scenario 'x': choose one of split-digits, split-mnist")
    """
    names = sorted(known)
    near = get_close_matches(str(name), names, n=1, cutoff=0.6)
    choice = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of {choice}"
    return LSCError(f"unknown {kind} {name!r}: {hint}")
