"""Streaming inference: speed against the bare network, cost by classes, memory.

    python benchmarks/streaming.py               # tables; --json FILE writes the numbers too
    python benchmarks/streaming.py --device cuda --images 20000 --batch-size 256

1. Images/s of `lsc-cl stream`, from files to JSON lines in a file, beside the encoder's forward
   pass alone, on batches of floats that are ready on the device. They take turns, and ratios are
   medians over the turns, as machines are noisy.
2. Milliseconds from a batch of embeddings to answers, by the number of owned classes, with none
   or three alternatives, for embeddings near a target that somebody owns and for such that lie
   anywhere.
3. Resident memory as a stream goes by.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from torch import nn

from lsc_continual import NoveltyDetector, StreamClassifier, TargetClassifier, make_system
from lsc_continual.bench.tables import show
from lsc_continual.classifier.folder import ModelSpec
from lsc_continual.machine.environment import describe_environment
from lsc_continual.network.heads import TargetHead
from lsc_continual.streaming.command import StreamOptions, answer_all
from lsc_continual.streaming.lines import read_inputs

CLASSES, CALIBRATION = 100, 2000
ENCODERS = {
    "resnet18, 224×224": ("resnet18", (3, 224, 224), {}, 1),
    "resnet-small, 64×64": ("resnet-small", (3, 64, 64), {"width": 32}, 4),
    "resnet-small, 28×28": ("resnet-small", (1, 28, 28), {"width": 16}, 16),
}
"""Name, input shape, options, and how many times as many images."""


def classifier(encoder: str, shape: tuple[int, int, int], device: str, **options: Any):
    """A calibrated classifier that has learned nothing, because speed does not depend on it."""
    torch.manual_seed(0)
    names = [str(label) for label in range(CLASSES)]
    spec = ModelSpec(encoder, shape, names, encoder_options=options, dim=384)
    model = spec.build().eval()
    model.head.add_classes(range(CLASSES))
    detector = NoveltyDetector(model.head).calibrate(torch.randn(CALIBRATION, 384))
    return StreamClassifier(model, spec, detector, device=device)


def make_photos(folder: Path, count: int, side: int) -> None:
    """JPEG files larger than the network's input, with about as much detail as photographs."""
    generator = np.random.RandomState(0)
    for number in range(count):
        coarse = generator.randint(256, size=(side // 8, side // 6, 3)).astype(np.uint8)
        photo = Image.fromarray(coarse).resize((2 * side, 3 * side // 2), Image.Resampling.BICUBIC)
        photo.save(folder / f"{number:06d}.jpg", quality=90)


def timed(call: Callable[[], Any], device: torch.device) -> float:
    start = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def speeds(device: str, images: int, batch_size: int, turns: int) -> list[dict[str, Any]]:
    rows = []
    for title, (name, shape, options, times) in ENCODERS.items():
        count, serving = images * times, classifier(name, shape, device, **options)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            (folder / "photos").mkdir()
            make_photos(folder / "photos", count, shape[1])
            pixels = np.random.RandomState(0).randint(256, size=(count, *shape)).astype(np.uint8)
            np.savez(folder / "x.npz", x=pixels)
            batch = torch.rand(batch_size, *shape, device=serving.device)
            if serving.device.type == "cuda":
                batch = batch.contiguous(memory_format=torch.channels_last)

            @torch.inference_mode()
            def bare(serving=serving, batch=batch, count=count) -> None:
                for start in range(0, count, len(batch)):
                    serving.model.encoder(batch[: count - start])

            def stream(source: str, serving=serving, folder=folder) -> None:
                (folder / "out").unlink(missing_ok=True)
                options = StreamOptions(folder / "out", batch_size=batch_size)
                answer_all(serving, [str(folder / source)], options, Console(quiet=True))

            ways = {
                "bare": bare,
                "files": lambda stream=stream: stream("photos"),
                "npz": lambda stream=stream: stream("x.npz"),
            }
            seconds: dict[str, list[float]] = {way: [] for way in ways}
            for turn in range(turns + 1):
                for way, call in ways.items():
                    took = timed(call, serving.device)
                    if turn:  # the first one warms up
                        seconds[way].append(took)
        row: dict[str, Any] = {"encoder": title, "images": count}
        row |= {f"{way}/s": count / statistics.median(took) for way, took in seconds.items()}
        for way in ("files", "npz"):
            pairs = zip(seconds["bare"], seconds[way], strict=True)
            row[f"{way}/bare"] = statistics.median(bare / took for bare, took in pairs)
        rows.append(row)
    return rows


class Embeddings(nn.Module):
    """An encoder of which nothing remains: its input are embeddings."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.num_features = dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def costs_by_classes(scores: list[str], turns: int, batch_size: int = 256) -> list[dict[str, Any]]:
    """Milliseconds a batch for everything after the network, for two numbers of classes."""
    system, rows = make_system("v21", dim=384), []
    for score, near, top in itertools.product(scores, (True, False), (0, 3)):
        row: dict[str, Any] = {"score": score, "embeddings": "near" if near else "anywhere"}
        row["alternatives"] = top
        for classes in (100, 1_000_000):
            torch.manual_seed(0)
            head = TargetHead(system)
            head.add_classes(range(classes))
            model = TargetClassifier(Embeddings(system.dim), head, standardize=False)
            nn.init.eye_(model.projection.weight)
            nn.init.zeros_(model.projection.bias)
            spec = ModelSpec("none", (384, 1, 1), [str(label) for label in range(classes)])
            with torch.no_grad():
                detector = NoveltyDetector(head, score).calibrate(torch.randn(400, system.dim))
            serving = StreamClassifier(model, spec, detector, device="cpu", top=top)
            z = torch.randn(batch_size, system.dim) / system.dim**0.5
            if near:
                z += 8 * head.targets.vectors(torch.randint(classes, (batch_size,)))
            took = [
                timed(lambda s=serving, z=z: s.predict(z[:, :, None, None]), serving.device)
                for _ in range(turns + 1)
            ]
            row[f"{classes:,} classes, ms"] = 1000 * statistics.median(took[1:])
        rows.append(row)
    return rows


def memory(inputs: int, batch_size: int, device: str) -> list[dict[str, Any]]:
    """Resident memory as paths come in through a pipe."""
    serving, rows = classifier("resnet-small", (1, 8, 8), device, width=8), []
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "x.png"
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
        read, write = os.pipe()

        def feed() -> None:
            with os.fdopen(write, "wb") as file:
                file.writelines(itertools.repeat(f"{path}\n".encode(), inputs))

        threading.Thread(target=feed, daemon=True).start()
        done, marks = 0, iter([inputs // 10, inputs // 2, inputs])
        mark = next(marks)
        for _, answers in serving.stream_inputs(read_inputs(read), batch_size=batch_size):
            done += len(answers)
            if done >= mark:
                pages = int(Path("/proc/self/statm").read_text().split()[1])
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                row = {"inputs": done, "MiB": pages * os.sysconf("SC_PAGE_SIZE") / 2**20}
                rows.append(row | {"peak MiB": peak})
                mark = next(marks, inputs + 1)
        os.close(read)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--images", type=int, default=256, help="of the largest size")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="of the memory measurement")
    parser.add_argument("--scores", nargs="+", default=["auto", "gap", "mass"], metavar="SCORE")
    parser.add_argument(
        "--parts", nargs="+", default=["speed", "classes", "memory"], metavar="PART"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()

    device, size = arguments.device, arguments.batch_size
    figures: dict[str, Any] = {"environment": describe_environment(torch.device(device))}
    figures |= {"batch": size, "threads": torch.get_num_threads()}
    console = Console()
    # Memory first, before anything else has left its mark on the process.
    if "memory" in arguments.parts:
        figures["memory"] = memory(arguments.inputs, size, device)
        show(console, "memory", figures["memory"])
    if "classes" in arguments.parts:
        figures["classes"] = costs_by_classes(arguments.scores, arguments.turns)
        show(console, "decoding and scoring 256 embeddings, n = 384", figures["classes"])
    if "speed" in arguments.parts:
        figures["speed"] = speeds(device, arguments.images, size, arguments.turns)
        show(console, f"images/s on {device}, batches of {size}", figures["speed"])
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
