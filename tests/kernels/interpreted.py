"""The kernel for GPUs in Triton's interpreter, against plain torch; a program of its own.

Triton looks once, when it is imported, whether to interpret. What is wrong is printed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lsc_continual.systems import make_system
from lsc_continual.systems.orbit import Orbit

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


def embeddings(n: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(4, n, generator=generator)
    sizes = 10.0 ** torch.randint(-18, 18, z.shape, generator=generator)
    zeros = torch.where(z > 0, 0.0, -0.0)
    return torch.cat([z, z.round(), z.relu(), 1 + 1e-6 * z, zeros, z * sizes, torch.ones(1, n)])


def check(system: Orbit, what: str, z: Tensor) -> None:
    address, score, gap = system._on_gpu._decoder(z)
    plain = system._decode_plain(z.float())
    same = address.equal(plain.address)
    if not (same and score.allclose(plain.score, atol=1e-6) and gap.allclose(plain.gap, atol=1e-6)):
        print(f"{what} in {system.dim} dimensions by {system.name!r} are decoded otherwise")


def main() -> None:
    for system in SYSTEMS:
        check(system, "numbers", embeddings(system.dim))
    system = make_system("v21", 70)
    z = embeddings(70)
    check(system, "numbers of 16 bits", z.clamp(-100, 100).half())
    check(system, "short numbers", z.bfloat16())
    check(system, "columns", z.T.contiguous().T)
    check(system, "rows among others", torch.cat([z, z], -1)[::2, 35:105])
    check(system, "no rows", z[:0])

    z[0], z[1], z[2], z[3, ::2] = torch.nan, torch.inf, -torch.inf, -torch.inf
    z[4:8, 3], z[8:12, 5] = torch.nan, -torch.nan
    address = system._on_gpu._decoder(z)[0]
    if not ((address >= 0) & (address < system.size)).all():
        print("numbers that are none lead out of the system")


if __name__ == "__main__":
    main()
