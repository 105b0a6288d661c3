"""What the package asks of an Avalanche experience."""

from __future__ import annotations

from typing import Any


def arriving_classes(experience: Any) -> list[int]:
    """Class labels of an experience, ascending.

    A part of an online stream does not know its classes; they are those of its samples.
    """
    classes = getattr(experience, "classes_in_this_experience", None)
    if classes is None:
        classes = experience.dataset.targets
    return sorted({int(label) for label in classes})
