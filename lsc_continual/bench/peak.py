"""Print the bytes that a head and its training steps take, in a process of its own.

python -m lsc_continual.bench.peak HEAD SYSTEM DIM CLASSES THREADS
"""

from __future__ import annotations

import sys

import torch

from lsc_continual.bench.heads import make_batch, make_head
from lsc_continual.bench.memory import Peak
from lsc_continual.systems import make_system

_STEPS = 2
_WARM_UP_CLASSES = 300


def main(name: str, system_name: str, dim: str, classes: str, threads: str) -> None:
    torch.set_num_threads(int(threads))
    system = make_system(system_name, int(dim))

    def train(classes: int) -> None:
        device = torch.device("cpu")
        head, batch = make_head(name, system, classes, device), make_batch(system, classes, device)
        for _ in range(_STEPS):
            head.step(*batch)
            head.update()

    train(_WARM_UP_CLASSES)  # libraries, compiled loops and pools of threads are not counted
    peak = Peak()
    train(int(classes))
    print(peak.bytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
