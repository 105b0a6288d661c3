"""From image to label: an encoder and three ways to predict, as classes grow."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor, nn

from lsc_continual.bench.noise import make_queries
from lsc_continual.bench.plots import draw_lines
from lsc_continual.bench.settings import Settings
from lsc_continual.bench.tables import Row
from lsc_continual.bench.timing import Ways, ratio, take_turns
from lsc_continual.encoders import make_encoder
from lsc_continual.targets import Targets

REPORTED = 11.6
"""The largest overall acceleration that arXiv 2604.00779 reports."""

OURS, LINEAR, COSINE = "nearest owned target", "linear head", "cosine to prototypes"
MISSES = 0.1
_MOST = 10_000_000
_BATCH = {"cpu": 32, "cuda": 256}
_BATCH_QUICK = 8
_PATIENCE = 20.0


def vision_transformer(
    side: int, patch: int, layers: int, heads: int, width: int, mlp: int
) -> nn.Module:
    """torchvision's, of any size, without its last layer."""
    from torchvision.models import VisionTransformer

    model: nn.Module = VisionTransformer(side, patch, layers, heads, width, mlp)
    model.heads = nn.Identity()
    model.num_features = width  # type: ignore[assignment]
    return model


ENCODERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "resnet-small, 32×32": (partial(make_encoder, "resnet-small", (3, 32, 32)), (3, 32, 32)),
    "ResNet-50, 224×224": (partial(make_encoder, "resnet50", (3, 224, 224)), (3, 224, 224)),
    "ViT-S/16, 224×224": (partial(vision_transformer, 224, 16, 12, 6, 384, 1536), (3, 224, 224)),
}


def rows(settings: Settings, encoders: Collection[str] | None = None) -> Iterator[Row]:
    """A row for each encoder, number of classes and way to predict.

    Args:
        encoders: names of those to measure; by default all.
    """
    batch = _BATCH_QUICK if settings.quick else _BATCH[settings.device.type]
    for name in ENCODERS if encoders is None else encoders:
        build, shape = ENCODERS[name]
        torch.manual_seed(0)
        body = build()
        projection = nn.Linear(int(body.num_features), settings.system.dim)  # type: ignore[arg-type]
        encoder = nn.Sequential(body, projection).eval().to(settings.device)
        images = torch.rand(batch, *shape, device=settings.device)
        for classes in settings.class_counts(fewest=1_000, most=_MOST):
            settings.say(f"train: {name}, {classes:,} classes")
            for row in _measure(settings, encoder, images, classes):
                yield {"encoder": name} | row


def draw(rows: Sequence[Row], *, title: str = "") -> Figure:
    """How much longer the other ways take than ours."""
    return draw_lines(
        [row for row in rows if row["prediction"] != OURS],
        title=title,
        x="classes",
        y=["time/ours"],
        line="prediction",
        panel="encoder",
        mark=(REPORTED, f"{REPORTED}×, reported in arXiv 2604.00779"),
    )


@torch.inference_mode()
def _measure(settings: Settings, encoder: nn.Module, images: Tensor, classes: int) -> list[Row]:
    system, device = settings.system, settings.device
    targets = Targets(system)
    targets.add(range(classes))
    # Embeddings of an untrained encoder lie anywhere; these stand in for those of a trained one.
    # Where every vector is owned no noise makes any miss, and none is added.
    queries = make_queries(targets, MISSES, len(images), device) or make_queries(
        targets, 0.0, len(images), device
    )
    assert queries is not None
    z = queries.z
    ways: Ways = {
        "encoder": lambda: encoder(images),
        OURS: lambda: targets.label_tensor(z)[targets.nearest(z).ordinal],
    }
    reason = settings.too_large(4 * classes * (system.dim + 2 * len(images)))
    if reason is None:
        weight = F.normalize(torch.randn(classes, system.dim, device=device))  # unit prototypes
        ways[LINEAR] = lambda: (z @ weight.T).argmax(-1)
        ways[COSINE] = lambda: (F.normalize(z, dim=-1) @ weight.T).argmax(-1)
    times = take_turns(ways, settings.turns, device, _PATIENCE)
    whole = {way: [sum(pair) for pair in zip(times["encoder"], times[way])] for way in times}
    rows: list[Row] = []
    for way in (OURS, LINEAR, COSINE):
        row: Row = {"classes": classes, "prediction": way}
        if way in times:
            row |= {
                "images/s": len(images) / statistics.median(whole[way]),
                "prediction, %": 100 * ratio(times[way], whole[way]),
                "prediction/encoder, %": 100 * ratio(times[way], times["encoder"]),
                "time/ours": ratio(whole[way], whole[OURS]),
            }
        else:
            row["remark"] = reason
        rows.append(row)
    return rows
