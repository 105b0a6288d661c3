"""Every name that the command line accepts, with one line on each.

Nothing heavy is imported here: entries name their code as "module:attribute" and load it on use.
To add a scenario, an encoder, …, write it and add its line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, NamedTuple

from lsc_continual.errors import unknown_name


class Entry(NamedTuple):
    """Where the code is, and what it is."""

    target: str
    """"module:attribute"."""
    line: str
    options: Mapping[str, Any] = MappingProxyType({})
    """Settings of its own, with their defaults."""


class Catalog(Mapping[str, Entry]):
    """A read-only table of names of one kind."""

    def __init__(self, kind: str, entries: dict[str, Entry]) -> None:
        self.kind = kind
        self._entries = entries

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries)
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def load(self, name: str) -> Any:
        """Import and return what `name` stands for.

        Raises:
            LSCError: unknown name, with the nearest valid one.
        """
        module, attribute = self[name].target.split(":")
        return getattr(import_module(module), attribute)


_ORBIT = "lsc_continual.systems.orbit:"
_UNION = "lsc_continual.systems.union:"

SYSTEMS = Catalog(
    "system",
    {
        "a": Entry(_ORBIT + "PermutationSystem", "roots of A_n: one +1, one −1 (= v11)"),
        "v21": Entry(_ORBIT + "PermutationSystem", "two +1, one −1; the default"),
        "v22": Entry(_ORBIT + "PermutationSystem", "two +1, two −1"),
        "v{m}{k}": Entry(_ORBIT + "PermutationSystem", "m entries +1, k entries −1, any m and k"),
        "permutohedron": Entry(_ORBIT + "Permutohedron", "all permutations of n spaced values"),
        "a-interpolated": Entry(_UNION + "InterpolatedRoots", "A_n and midpoints of its roots"),
        "dyadic{level}": Entry(_UNION + "DyadicScattering", "lattice points of a root polytope"),
        "hypercube": Entry("lsc_continual.systems.hypercube:Hypercube", "all sign vectors"),
        "simplex": Entry("lsc_continual.systems.simplex:Simplex", "n + 1 equiangular vectors"),
        "orthogonal": Entry(_ORBIT + "PermutationSystem", "the n unit vectors (= v10)"),
    },
)

_RULES = "lsc_continual.targets:"

ALLOCATIONS = Catalog(
    "allocation",
    {
        "affine": Entry(_RULES + "AffineAllocation", "a·i + b mod size: no table at all"),
        "random": Entry(_RULES + "RandomAllocation", "a seeded random free vector"),
        "spread": Entry(_RULES + "SpreadAllocation", "as far as possible from the owned targets"),
        "affinity": Entry(_RULES + "AffinityAllocation", "the free vector nearest to the class"),
    },
)

ENCODERS = Catalog(
    "encoder",
    {
        "mlp": Entry("lsc_continual.encoders.mlp:MLP", "two hidden layers of 256 units"),
        "resnet-small": Entry(
            "lsc_continual.encoders.resnet:resnet_small", "3 residual blocks, for 8×8 to 64×64"
        ),
        "resnet18-cifar": Entry(
            "lsc_continual.encoders.resnet:resnet18_cifar", "ResNet-18 with a 3×3 stem"
        ),
    },
)

_DATA = "lsc_continual.scenarios."

SCENARIOS = Catalog(
    "scenario",
    {
        "split-digits": Entry(
            _DATA + "digits:load_digits", "1,797 real 8×8 digits that come with scikit-learn"
        ),
        "split-mnist": Entry(
            _DATA + "mnist:load_mnist", "70,000 handwritten digits, 28×28; downloaded"
        ),
        "split-fashion-mnist": Entry(
            _DATA + "mnist:load_fashion_mnist", "70,000 articles of clothing, 28×28; downloaded"
        ),
        "split-cifar10": Entry(
            _DATA + "cifar:load_cifar10", "60,000 photographs in 10 classes, 32×32; downloaded"
        ),
        "split-cifar100": Entry(
            _DATA + "cifar:load_cifar100", "60,000 photographs in 100 classes, 32×32; downloaded"
        ),
        "split-omniglot": Entry(
            _DATA + "omniglot:load_omniglot", "1,623 handwritten characters, 28×28; downloaded"
        ),
        "split-cub200": Entry(
            _DATA + "cub200:load_cub200", "11,788 photographs of 200 birds, 224×224; downloaded"
        ),
        "core50": Entry(
            _DATA + "core50:load_core50", "164,866 frames of 50 objects, 64×64; downloaded"
        ),
        "split-tiny-imagenet": Entry(
            _DATA + "tiny_imagenet:load_tiny_imagenet",
            "110,000 photographs in 200 classes, 64×64; downloaded",
        ),
        "split-imagenet100": Entry(
            _DATA + "imagenet:load_imagenet100", "100 of ImageNet's classes, 224×224"
        ),
        "split-imagenet": Entry(
            _DATA + "imagenet:load_imagenet", "1.3 million photographs in 1,000 classes, 224×224"
        ),
        "folder": Entry(_DATA + "folder:load_folder", "your images, in a folder for each class"),
        "arrays": Entry(_DATA + "arrays:load_arrays", "your images or features, in an .npz file"),
        "python": Entry(
            _DATA + "python:load_benchmark", "any Avalanche benchmark: benchmark=module:function"
        ),
    },
)

_PEERS = "lsc_continual.strategies.peers.builders:"

PEERS = Catalog(
    "peer",
    {
        "naive": Entry(_PEERS + "naive", "Avalanche's: training on what arrives, nothing else"),
        "replay": Entry(_PEERS + "replay", "Avalanche's: cross-entropy on new and stored images"),
        "er-ace": Entry(_PEERS + "er_ace", "Avalanche's: replay, asymmetric cross-entropy"),
        "der": Entry(
            _PEERS + "der",
            "Avalanche's: replay with stored logits (DER++)",
            {"alpha": 0.1, "beta": 0.5},  # of its paper, for CIFAR-10
        ),
        "lwf": Entry(
            _PEERS + "lwf",
            "Avalanche's: distillation of logits, nothing stored",
            {"alpha": 1.0, "temperature": 2.0},  # of its paper
        ),
        "ewc": Entry(
            _PEERS + "ewc",
            "Avalanche's: weights held by their importance, nothing stored",
            {
                "ewc_lambda": 100.0,
                "mode": "separate",
                "decay_factor": None,
                "keep_importance_data": False,
            },
        ),
        "icarl": Entry(
            _PEERS + "icarl",
            "Avalanche's: herding, distillation, nearest class mean",
            {"fixed_memory": True},
        ),
        "scr": Entry(
            _PEERS + "scr",
            "Avalanche's: contrastive replay, nearest class mean",
            {"temperature": 0.1},
        ),
        "slda": Entry(
            _PEERS + "slda",
            "Avalanche's: linear discriminant analysis on a frozen encoder",
            {"shrinkage_param": 1e-4, "streaming_update_sigma": True},
        ),
        "gdumb": Entry(_PEERS + "gdumb", "Avalanche's: trained anew on the stored images alone"),
        "cumulative": Entry(
            _PEERS + "cumulative", "Avalanche's: on all data so far; a bound, not a competitor"
        ),
        "joint": Entry(
            _PEERS + "joint", "Avalanche's: on all data at once; a bound, not a competitor"
        ),
    },
)

STRATEGIES = Catalog(
    "strategy",
    {
        "lsc": Entry(
            "lsc_continual.runs.build:build_lsc",
            "fixed targets, replay that knows its imbalance, distillation",
        ),
        "lsc-analytic": Entry(
            "lsc_continual.runs.build:build_analytic",
            "ridge regression to fixed targets on a frozen encoder: one pass, no stored images",
        ),
        **PEERS,
    },
)

LOSSES = Catalog(
    "loss",
    {
        "softmax": Entry(
            "lsc_continual.network.losses:StructuredSoftmaxLoss",
            "cross-entropy against the whole system, with unknown prior ω",
        ),
        "cosine": Entry("lsc_continual.network.losses:CosineLoss", "1 − cosine to the target"),
        "euclidean": Entry(
            "lsc_continual.network.losses:EuclideanLoss", "squared distance to the target"
        ),
    },
)

_COLLAPSE = "lsc_continual.strategies.point_collapse:"

COLLAPSES = Catalog(
    "collapse penalty",
    {
        "iclr-2025": Entry(_COLLAPSE + "ICLR_2025", "γz², γ from 1e-2 × 1.05 an epoch to 1e6"),
        "repository-2025": Entry(
            _COLLAPSE + "REPOSITORY_2025",
            "γz², γ from 1e-4 × 2 each 5 epochs to 1e3, then × 1.25 to 1e6",
        ),
        "exponential": Entry(_COLLAPSE + "EXPONENTIAL", "γ exp(z²), γ = 10: of the first version"),
    },
)

_NOVELTY = "lsc_continual.novelty."

SCORES = Catalog(
    "novelty score",
    {
        "auto": Entry(_NOVELTY + "auto:Auto", "doubt, knn and mahalanobis together; the default"),
        "doubt": Entry(_NOVELTY + "scores:Doubt", "1 − P(nearest owned target)"),
        "mass": Entry(_NOVELTY + "scores:Mass", "−log P(some owned target)"),
        "ambiguity": Entry(_NOVELTY + "scores:Ambiguity", "1 − P(decoded address)"),
        "gap": Entry(_NOVELTY + "scores:Gap", "how near the second nearest vector is"),
        "unowned": Entry(_NOVELTY + "scores:Unowned", "nobody owns the decoded address"),
        "walk": Entry(_NOVELTY + "scores:Walk", "vectors that are nearer than any owned one"),
        "energy": Entry(_NOVELTY + "scores:Energy", "−log of the owned targets' sum"),
        "maxcos": Entry(_NOVELTY + "scores:MaxCosine", "−cosine to the nearest owned target"),
        "norm": Entry(_NOVELTY + "scores:Norm", "−norm of the embedding"),
        "knn": Entry(_NOVELTY + "fitted:KNearest", "distance to the nearest known embeddings"),
        "mahalanobis": Entry(
            _NOVELTY + "fitted:Mahalanobis", "distance to the target by the spread of known inputs"
        ),
        "relative-mahalanobis": Entry(
            _NOVELTY + "fitted:RelativeMahalanobis", "the same less the distance to all known ones"
        ),
    },
)
