"""Streaming inference: speed against the bare network, cost by classes, memory.

1. Images/s of `lsc-cl stream`, from files to JSON lines in a file, beside the encoder's forward
   pass alone, on batches of floats that are ready on the device. They take turns, and ratios are
   medians over the turns, as machines are noisy.
2. Milliseconds from a batch of embeddings to answers, by the number of owned classes, with none
   or three alternatives, for embeddings near a target that somebody owns and for such that lie
   anywhere.
3. Resident memory as a stream goes by.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from torch import nn

from experiments.outcome import Outcome, Row, Table
from experiments.settings import Settings, option
from experiments.training import Identity
from lsc_continual import NoveltyDetector, StreamClassifier
from lsc_continual.bench.memory import peak_resident_bytes, resident_bytes
from lsc_continual.bench.timing import Ways, ratio, take_turns
from lsc_continual.classifier import ModelSpec
from lsc_continual.streaming.command import StreamOptions, answer_all
from lsc_continual.streaming.lines import read_inputs

TITLE = "Streaming inference: speed, cost by classes, memory"
PAGE = "docs/streaming.md"

_CLASSES, _CALIBRATION, _DIM, _EMBEDDINGS = 100, 2000, 384, 256
PARTS = ("memory", "classes", "speed")
"""Memory first, before anything else has left its mark on the process."""


class Encoder(NamedTuple):
    """Name, input shape, options, and how many times as many images as for the largest."""

    name: str
    shape: tuple[int, int, int]
    options: dict[str, int]
    times: int


ENCODERS = {
    "resnet18, 224×224": Encoder("resnet18", (3, 224, 224), {}, 1),
    "resnet-small, 64×64": Encoder("resnet-small", (3, 64, 64), {"width": 32}, 4),
    "resnet-small, 28×28": Encoder("resnet-small", (1, 28, 28), {"width": 16}, 16),
}
_TINY = Encoder("resnet-small", (1, 8, 8), {"width": 8}, 1)
_NONE = Encoder(f"{Identity.__module__}:{Identity.__name__}", (_DIM, 1, 1), {"width": _DIM}, 1)
"""Its inputs are embeddings."""


@dataclass(frozen=True)
class Options:
    """What is measured, and how much."""

    parts: tuple[str, ...] = option(PARTS, help="which", choices=PARTS)
    images: int = option(256, help="of the largest size")
    batch_size: int = option(64, help="images at a time")
    turns: int = option(5, help="how often the ways alternate")
    inputs: int = option(1_000_000, help="of the memory measurement")
    scores: tuple[str, ...] = option(("auto", "gap", "mass"), help="of novelty")
    encoders: tuple[str, ...] = option(tuple(ENCODERS), help="which", choices=tuple(ENCODERS))
    owned: tuple[int, ...] = option((100, 1_000_000), help="numbers of classes")


def measure(settings: Settings, options: Options) -> Outcome:
    """The parts asked for, each a table."""
    size, device = options.batch_size, settings.device
    tables = []
    for part in (part for part in PARTS if part in options.parts):
        if part == "memory":
            tables.append(Table("memory", _memory(options, device)))
        elif part == "classes":
            title = f"decoding and scoring {_EMBEDDINGS} embeddings, n = {_DIM}"
            tables.append(Table(title, _costs_by_classes(options)))
        else:
            rows = [_speed(name, options, device) for name in options.encoders]
            tables.append(Table(f"images/s on {device}, batches of {size}", rows))
    return Outcome(tables=tables)


def _serving(
    encoder: Encoder,
    device: torch.device,
    classes: int = _CLASSES,
    score: str = "auto",
    top: int = 3,
) -> StreamClassifier:
    """A calibrated classifier that has learned nothing, because speed does not depend on it."""
    torch.manual_seed(0)
    names = [str(label) for label in range(classes)]
    spec = ModelSpec(encoder.name, encoder.shape, names, encoder_options=encoder.options, dim=_DIM)
    model = spec.build().eval()
    model.head.add_classes(range(classes))
    detector = NoveltyDetector(model.head, score).calibrate(torch.randn(_CALIBRATION, _DIM))
    return StreamClassifier(model, spec, detector, device=str(device), top=top)


def _make_photos(folder: Path, count: int, side: int) -> None:
    """JPEG files larger than the network's input, with about as much detail as photographs."""
    folder.mkdir()
    generator = np.random.RandomState(0)
    for number in range(count):
        coarse = generator.randint(256, size=(side // 8, side // 6, 3)).astype(np.uint8)
        photo = Image.fromarray(coarse).resize((2 * side, 3 * side // 2), Image.Resampling.BICUBIC)
        photo.save(folder / f"{number:06d}.jpg", quality=90)


def _speed(title: str, options: Options, device: torch.device) -> Row:
    encoder = ENCODERS[title]
    count, serving = options.images * encoder.times, _serving(encoder, device)
    batch = torch.rand(options.batch_size, *encoder.shape, device=device)
    if device.type == "cuda":
        batch = batch.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def bare() -> None:
        for start in range(0, count, len(batch)):
            serving.model.encoder(batch[: count - start])

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _make_photos(folder / "photos", count, encoder.shape[1])
        pixels = np.random.RandomState(0).randint(256, size=(count, *encoder.shape))
        np.savez(folder / "x.npz", x=pixels.astype(np.uint8))

        def stream(source: str) -> None:
            (folder / "out").unlink(missing_ok=True)
            written = StreamOptions(folder / "out", batch_size=options.batch_size)
            answer_all(serving, [str(folder / source)], written, Console(quiet=True))

        ways: Ways
        ways = {"bare": bare, "files": partial(stream, "photos"), "npz": partial(stream, "x.npz")}
        times = take_turns(ways, options.turns, device, patience=inf)
    row: Row = {"encoder": title, "images": count}
    row |= {f"{way}/s": count / median(took) for way, took in times.items()}
    return row | {f"{way}/bare": ratio(times["bare"], times[way]) for way in ("files", "npz")}


def _costs_by_classes(options: Options) -> list[Row]:
    """Milliseconds a batch for everything after the network, by the number of classes."""
    rows: list[Row] = []
    for score, near, top in itertools.product(options.scores, (True, False), (0, 3)):
        row: Row = {"score": score, "embeddings": "near" if near else "anywhere"}
        row["alternatives"] = top
        for classes in options.owned:
            serving = _serving(_NONE, torch.device("cpu"), classes, score, top)
            nn.init.eye_(serving.model.projection.weight)
            nn.init.zeros_(serving.model.projection.bias)
            z = torch.randn(_EMBEDDINGS, _DIM) / _DIM**0.5
            if near:
                chosen = torch.randint(classes, (len(z),))
                z += 8 * serving.model.head.targets.vectors(chosen)
            ways = {"": partial(serving.predict, z[:, :, None, None])}
            times = take_turns(ways, options.turns, serving.device, patience=inf)[""]
            row[f"{classes:,} classes, ms"] = 1000 * median(times)
        rows.append(row)
    return rows


def _memory(options: Options, device: torch.device) -> list[Row]:
    """Resident memory as paths come in through a pipe."""
    serving, inputs = _serving(_TINY, device), options.inputs
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "x.png"
        Image.fromarray(np.zeros(_TINY.shape[1:], np.uint8)).save(path)
        read, write = os.pipe()

        def feed() -> None:
            with os.fdopen(write, "wb") as file:
                file.writelines(itertools.repeat(f"{path}\n".encode(), inputs))

        threading.Thread(target=feed, daemon=True).start()
        done, marks = 0, iter([inputs // 10, inputs // 2, inputs])
        mark = next(marks)
        answered: Any = serving.stream_inputs(read_inputs(read), batch_size=options.batch_size)
        for _, answers in answered:
            done += len(answers)
            if done >= mark:
                now, most = resident_bytes() / 2**20, peak_resident_bytes() / 2**20
                rows.append({"inputs": done, "MiB": now, "peak MiB": most})
                mark = next(marks, inputs + 1)
        os.close(read)
    return rows
