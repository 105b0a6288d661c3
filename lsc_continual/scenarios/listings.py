"""Text files that list images, labels or names."""

from __future__ import annotations

from pathlib import Path

from lsc_continual.errors import LSCError, first_line


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, without empty ones.

    Raises:
        LSCError: it is missing or not text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or first_line(error)
        raise LSCError(f"{path} cannot be read ({reason}): unpack the data again") from error
    return [line for line in lines if line.strip()]


def read_pairs(path: Path, separator: str | None = None) -> dict[str, str]:
    """Key and value from lines such as "1 001.Black_footed_Albatross".

    Args:
        separator: between the two; by default white space.

    Raises:
        LSCError: the file is missing, or a line has no value.
    """
    pairs = {}
    for line in read_lines(path):
        key, *rest = line.split(separator, 1)
        if not rest:
            raise LSCError(
                f"{path} is damaged, it has the line {line[:40]!r}: unpack the data again"
            )
        pairs[key] = rest[0].strip()
    return pairs
