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


def classes_in_training(strategy: Any) -> list[int]:
    """Class labels that a strategy is being trained on, ascending.

    Those of its experience; of all experiences where it learns them at once, as Avalanche's
    `JointTraining` does.
    """
    experiences = getattr(strategy, "_experiences", None) or [strategy.experience]
    return sorted({label for experience in experiences for label in arriving_classes(experience)})
