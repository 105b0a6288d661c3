"""Novelty scores from embeddings alone. Higher = more novel, all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import Tensor

from lsc_continual.errors import unknown_name
from lsc_continual.heads import TargetHead


def mass(head: TargetHead, z: Tensor) -> Tensor:
    """−log P(known), with P(known) = O/Z: the owned targets' share of the whole system."""
    return head.log_total(z) - head.log_owned(z)


def ambiguity(head: TargetHead, z: Tensor) -> Tensor:
    """1 − P(decoded address), under the softmax over the whole system."""
    nearest = head.system.vectors(head.system.decode(z).address)
    logit = (head.logits_per_coordinate(z) * nearest).sum(-1)
    return 1 - (logit - head.log_total(z)).exp()


def gap(head: TargetHead, z: Tensor) -> Tensor:
    """−(runner-up gap): small gaps between nearest and second nearest vector are novel."""
    return -head.system.decode(z).gap


def max_cosine(head: TargetHead, z: Tensor) -> Tensor:
    """−cosine to the nearest owned target."""
    return -head.targets.nearest(z).score


def norm(head: TargetHead, z: Tensor) -> Tensor:
    """−‖z‖: inputs that excite few features are novel."""
    length: Tensor = z.norm(dim=-1)
    return -length


SCORES: dict[str, Callable[[TargetHead, Tensor], Tensor]] = {
    "mass": mass,
    "ambiguity": ambiguity,
    "gap": gap,
    "max_cosine": max_cosine,
    "norm": norm,
}
_NEED_PARTITION = {"mass", "ambiguity"}


def novelty_scores(
    head: TargetHead, z: Tensor, names: Iterable[str] | None = None
) -> dict[str, Tensor]:
    """Several scores of the same embeddings.

    Args:
        z: FloatTensor[batch, dim].
        names: of scores; by default all that the system allows.

    Returns:
        FloatTensor[batch] for each name.
    """
    if names is None:
        names = [n for n in SCORES if head.system.has_log_partition or n not in _NEED_PARTITION]
    return {name: score_named(name)(head, z) for name in names}


def score_named(name: str) -> Callable[[TargetHead, Tensor], Tensor]:
    """The score `name`.

    Raises:
        LSCError: unknown name.
    """
    if name not in SCORES:
        raise unknown_name("novelty score", name, SCORES)
    return SCORES[name]
