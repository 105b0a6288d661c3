"""What the package asks of an Avalanche experience."""

from __future__ import annotations

from typing import Any

from lsc_continual.errors import LSCError


def arriving_classes(experience: Any) -> list[int]:
    """Class labels of an experience, ascending.

    A part of an online stream does not know its classes; they are those of its samples.
    """
    classes = getattr(experience, "classes_in_this_experience", None)
    if classes is None:
        classes = experience.dataset.targets
    return sorted({int(label) for label in classes})


def require_images(experience: Any) -> None:
    """Make sure that there is something to learn or to measure.

    Raises:
        LSCError: the experience is empty.
    """
    if not len(experience.dataset):
        number = getattr(experience, "current_experience", None)
        which = "an experience" if number is None else f"experience {number + 1}"
        raise LSCError(f"{which} of the stream is empty: leave it out")


def classes_in_training(strategy: Any) -> list[int]:
    """Class labels that a strategy is being trained on, ascending.

    Those of its experience; of all experiences where it learns them at once, as Avalanche's
    `JointTraining` does.
    """
    experiences = getattr(strategy, "_experiences", None) or [strategy.experience]
    return sorted({label for experience in experiences for label in arriving_classes(experience)})
