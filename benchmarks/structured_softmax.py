"""Exact softmax over millions of classes against an ordinary linear head.

    python benchmarks/structured_softmax.py

Time of forward and backward for one batch of embeddings, each system beside a 1,000-class linear
head with cross-entropy on the same embeddings in the same run. The ratio is what counts: rounds
alternate between the two, and the medians are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import nn

from lsc_continual import TargetHead, make_system
from lsc_continual.runs.environment import describe_environment


def milliseconds(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return 1e3 * (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--systems", nargs="+", default=["a", "v21", "v22", "hypercube"])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    z = torch.randn(arguments.batch, arguments.dim, requires_grad=True)
    labels = torch.randint(1000, (arguments.batch,))
    linear = nn.Linear(arguments.dim, 1000)

    def linear_step() -> None:
        F.cross_entropy(linear(z), labels).backward()

    rows = []
    for name in arguments.systems:
        dim = min(arguments.dim, 62) if name == "hypercube" else arguments.dim
        head = TargetHead(make_system(name, dim), unknown_prior=1.0)
        head.add_classes(range(1000))
        narrow = z.detach()[:, :dim].requires_grad_()

        def step(head: TargetHead = head, z: torch.Tensor = narrow) -> None:
            (-head.log_prob(z, labels)).mean().backward()  # the loss beyond 10,000 classes

        for warm_up in (step, linear_step) * 5:
            warm_up()
        times = [(milliseconds(step), milliseconds(linear_step)) for _ in range(arguments.rounds)]
        ours, theirs = (statistics.median(column) for column in zip(*times))
        ratio = statistics.median(a / b for a, b in times)
        rows.append(
            {
                "system": name,
                "dim": dim,
                "classes": head.system.size,
                "ms": ours,
                "linear_1000_ms": theirs,
                "ratio": ratio,
            }
        )

    environment = describe_environment(torch.device("cpu"))
    table = Table(
        title=f"forward + backward, batch {arguments.batch}; {environment['processor']}, "
        f"{environment['cpu_threads']} threads, torch {environment['torch']}"
    )
    for column in ("system", "dim", "classes", "ms", "linear head, 1,000 classes, ms", "ratio"):
        table.add_column(column, justify="left" if column == "system" else "right")
    for row in rows:
        table.add_row(
            row["system"],
            str(row["dim"]),
            f"{row['classes']:,}",
            f"{row['ms']:.2f}",
            f"{row['linear_1000_ms']:.2f}",
            f"{row['ratio']:.2f}",
        )
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"environment": environment, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
