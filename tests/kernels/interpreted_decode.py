"""The decoder for GPUs in Triton's interpreter, against plain torch; a program of its own.

Triton looks once, when it is imported, whether to interpret. What is wrong is printed.
"""

from __future__ import annotations

import warnings
from unittest import mock

import torch
from torch import Tensor

from lsc_continual.kernels import gpu
from lsc_continual.systems import make_system
from lsc_continual.systems.numbering import Numbering
from lsc_continual.systems.orbit import Orbit
from lsc_continual.targets import Targets

SYSTEMS = [
    make_system("v11", 3),
    make_system("v21", 5),
    make_system("v10", 40),
    make_system("v22", 64),
    make_system("v21", 100),
    make_system("permutohedron", 7),
    make_system("v42", 300),
    make_system("v21", 1000),
    Orbit("three values", (2.0, 1.0, 0.0, -1.0), (1, 2, 90, 3)),
    Orbit("positive", (3.0, 1.0, 0.0), (2, 1, 30)),
    Orbit("negative", (0.0, -1.0), (30, 2)),
]

LARGE = [
    make_system("v22", 384),  # of 33 bits
    make_system("v66", 64),  # 52
    make_system("v77", 79),  # 62
    make_system("v88", 65),  # 63
]


def embeddings(n: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(4, n, generator=generator)
    sizes = 10.0 ** torch.randint(-18, 18, z.shape, generator=generator)
    zeros = torch.where(z > 0, 0.0, -0.0)
    return torch.cat([z, z.round(), z.relu(), 1 + 1e-6 * z, zeros, z * sizes, torch.ones(1, n)])


def check(system: Orbit, what: str, z: Tensor) -> None:
    address, score, gap = system._on_gpu.kernel(z)
    plain = system._decode_plain(z.float())
    same = address.equal(plain.address)
    if not (same and score.allclose(plain.score, atol=1e-6) and gap.allclose(plain.gap, atol=1e-6)):
        print(f"{what} in {system.dim} dimensions by {system.name!r} are decoded otherwise")


def check_numbers(system: Orbit) -> None:
    """Of addresses, against Python's own integers."""
    z = torch.randn(8, system.dim, generator=torch.Generator().manual_seed(0))
    for seed in range(3):
        numbering = Numbering.drawn(system.size, seed)
        size, offset, step, _ = numbering
        address, *_, number = system._on_gpu.kernel(z, numbering, size)
        if [(step * each + offset) % size for each in number.tolist()] != address.tolist():
            print(f"addresses of {system.name!r} in {system.dim} dimensions get other numbers")
        count = int(number.sort().values[4])
        few = system._on_gpu.kernel(z, numbering, count)[-1]
        if not few.equal(torch.where(number < count, number, -1)):
            print(f"numbers of {system.name!r} in {system.dim} dimensions go beyond their end")


def check_labels(targets: Targets) -> None:
    """All the way that embeddings on a GPU take."""
    z = torch.cat([targets.vectors(torch.arange(5)), torch.randn(5, targets.system.dim)])
    plain = targets.labels_of(targets.nearest(z).ordinal)
    decoded = targets.allocation.decode(z)[1]
    with mock.patch.object(gpu, "usable", return_value=True):
        if not targets.allocation.decode(z)[1].equal(decoded):
            print("owners are others")
        if not targets.labels_of(targets.nearest(z).ordinal).equal(plain):
            print("labels are others")


def main() -> None:
    warnings.simplefilter("error", UserWarning)  # a kernel that fails its trial warns
    for system in SYSTEMS:
        check(system, "numbers", embeddings(system.dim))
    system = make_system("v21", 70)
    z = embeddings(70)
    check(system, "numbers of 16 bits", z.clamp(-100, 100).half())
    check(system, "short numbers", z.bfloat16())
    check(system, "columns", z.T.contiguous().T)
    check(system, "rows among others", torch.cat([z, z], -1)[::2, 35:105])
    check(system, "no rows", z[:0])
    for each in [SYSTEMS[0], SYSTEMS[4], *LARGE]:
        check_numbers(each)
    targets = Targets(make_system("v21", 24))
    targets.add([7, 3, *range(10, 3000)])
    check_labels(targets)

    z[0], z[1], z[2], z[3, ::2] = torch.nan, torch.inf, -torch.inf, -torch.inf
    z[4:8, 3], z[8:12, 5] = torch.nan, -torch.nan
    address = system._on_gpu.kernel(z)[0]
    if not ((address >= 0) & (address < system.size)).all():
        print("numbers that are none lead out of the system")


if __name__ == "__main__":
    main()
