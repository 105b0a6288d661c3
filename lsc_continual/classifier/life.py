"""What a living model remembers beside its weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from lsc_continual.errors import LSCError

_HISTORY = 1000  # entries that are kept


@dataclass(frozen=True)
class KnownClass:
    """A class that a model knows."""

    examples: int
    """How many it was learned from."""
    since: str
    """When it came, in ISO 8601."""


class Learned(NamedTuple):
    """What `learn` took in."""

    examples: int
    new: list[str]
    """Names that the model did not know before."""
    skipped: list[str]
    """What was wrong with inputs that were left out."""
    again: int
    """Examples that were learned before, and count twice now."""


@dataclass
class Life:
    """The classes by name, and what was done."""

    known: dict[str, KnownClass] = field(default_factory=dict)
    """In order of arrival."""
    retired: dict[str, KnownClass] = field(default_factory=dict)
    """Classes that are no longer answered, though what they taught is still in the sums."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """What was done, when and with what; the latest 1,000 entries."""

    @classmethod
    def of_run(cls, examples: Mapping[str, int], source: str, when: str) -> Life:
        """That of a model that an experiment left.

        Args:
            examples: by class, how many it was trained on.
            source: its scenario.
            when: it ended, in ISO 8601.
        """
        known = {name: KnownClass(count, when) for name, count in examples.items()}
        entry = {"when": when, "what": "run", "source": source, "examples": sum(examples.values())}
        return cls(known, history=[entry])

    def add(self, names: Iterable[str]) -> None:
        """Count examples of classes."""
        now = _now()
        for name, count in Counter(names).items():
            before = self.known.get(name) or self.retired.pop(name, None) or KnownClass(0, now)
            self.known[name] = replace(before, examples=before.examples + count)

    def subtract(self, names: Iterable[str]) -> list[str]:
        """Count examples that are forgotten; the known classes that have none left."""
        gone = []
        for name, count in Counter(names).items():
            part = self.known if name in self.known else self.retired
            left = part[name].examples - count
            part[name] = replace(part[name], examples=left)
            if not left:
                del part[name]
                gone += [name] if part is self.known else []
        return gone

    def require(self, names: Iterable[str]) -> None:
        """Make sure that classes are known.

        Raises:
            LSCError: some are not.
        """
        if unknown := [name for name in dict.fromkeys(names) if name not in self.known]:
            raise LSCError(
                f"the model does not know {', '.join(map(repr, unknown[:3]))}: see its classes "
                "with lsc-cl show"
            )

    def retire(self, names: Sequence[str]) -> None:
        """No longer answer with classes."""
        for name in names:
            self.retired[name] = self.known.pop(name)

    def merge(self, other: Life) -> None:
        """Count all that another model learned."""
        for name, theirs in other.known.items():
            ours = self.known.get(name) or self.retired.pop(name, None)
            since = min(ours.since, theirs.since) if ours else theirs.since
            self.known[name] = KnownClass(theirs.examples + (ours.examples if ours else 0), since)
        for name, theirs in other.retired.items():
            part = self.known if name in self.known else self.retired
            ours = part.get(name, KnownClass(0, theirs.since))
            since = min(ours.since, theirs.since)
            part[name] = KnownClass(ours.examples + theirs.examples, since)

    def note(self, what: str, source: str | None, **more: Any) -> None:
        """Write down what was done."""
        entry = {"when": _now(), "what": what, "source": source, **more}
        self.history = [*self.history, entry][-_HISTORY:]

    def to_json(self) -> dict[str, Any]:
        """In JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Life:
        """The inverse of `to_json`."""
        return msgspec.convert(content, cls)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
