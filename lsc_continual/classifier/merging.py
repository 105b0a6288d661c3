"""What two models have to share, so that their sums add up."""

from __future__ import annotations

from dataclasses import asdict

import torch
from torch import nn

from lsc_continual.classifier.spec import ModelSpec
from lsc_continual.errors import LSCError
from lsc_continual.targets import Targets


def require_alike(mine: ModelSpec, theirs: ModelSpec) -> None:
    """Make sure that two networks are built alike.

    Raises:
        LSCError: they are not.
    """
    here, there = asdict(mine), asdict(theirs)
    if mine.architecture:  # which says what it is, wherever it came from
        there["encoder"] = here["encoder"]
    if differ := sorted(key for key in here if here[key] != there[key]):
        raise LSCError(
            f"the models differ in {', '.join(differ)}, so that their sums do not add up: learn "
            "with the same settings"
        )


def require_same_weights(mine: nn.Module, theirs: nn.Module) -> None:
    """Make sure that two encoders say the same, to rounding.

    Raises:
        LSCError: they have other weights.
    """
    others = theirs.state_dict()
    for name, tensor in mine.state_dict().items():
        if not torch.allclose(tensor.double(), others[name].double(), rtol=1e-4, atol=1e-6):
            raise LSCError(
                f"the models' encoders have other weights ({name}), so that their sums do not add "
                "up: learn with the same encoder"
            )


def require_same_targets(mine: Targets, theirs: Targets) -> list[str]:
    """Make sure that classes would have the same targets here as there; their names.

    Raises:
        LSCError: some would not, because they met other names at an address.
    """
    names = [str(name) for name in theirs.labels]
    trial = Targets.from_dict(mine.to_dict())
    trial.add(names)
    same = trial.addresses(trial.ordinals(names)) == theirs.addresses()
    differ = [name for name, is_same in zip(names, same.tolist(), strict=True) if not is_same]
    retired = theirs.allocation.retired
    differ += [name for name in retired if not _can_be_reserved(name, retired[name], trial)]
    if differ:
        raise LSCError(
            f"{', '.join(map(repr, differ[:3]))} have other targets there, as they met other "
            "names: learn both sets of data with one model, or with another seed"
        )
    return names


def _can_be_reserved(name: str, address: int, here: Targets) -> bool:
    """Whether an address that is kept for a name elsewhere is free here, or that name's own."""
    kept = here.allocation.retired
    if name in here:
        return int(here.addresses(here.ordinals([name]))) == address
    if name in kept:
        return kept[name] == address
    owner = int(here.allocation.owner(torch.tensor([address])))
    return owner < 0 and address not in kept.values()
