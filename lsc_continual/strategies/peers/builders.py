"""One small builder for each peer: Avalanche's classes, put together.

What is put right here, outside Avalanche, because its version 0.6.0 leaves it wrong or unequal, is
said in docs/comparing.md.
"""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from avalanche.benchmarks.utils import _make_taskaware_tensor_classification_dataset
from avalanche.benchmarks.utils.utils import concat_datasets
from avalanche.core import BasePlugin, SupervisedPlugin
from avalanche.models import SCRModel
from avalanche.training.plugins import EWCPlugin, GDumbPlugin, LwFPlugin, ReplayPlugin
from avalanche.training.supervised import (
    DER,
    ER_ACE,
    SCR,
    Cumulative,
    ICaRL,
    JointTraining,
    Naive,
    StreamingLDA,
)
from torch import Tensor, nn
from torch.nn import CrossEntropyLoss

from lsc_continual.errors import LSCError
from lsc_continual.experiences.classes import arriving_classes
from lsc_continual.strategies.peers.batches import (
    AllData,
    EqualBatches,
    MixedBatches,
    OnePass,
    SeparateBatches,
    WholeStream,
)
from lsc_continual.strategies.peers.network import LinearNetwork
from lsc_continual.strategies.peers.setup import Memory, Peer, Setup, peer

_PROJECTION = 128  # dimensions of SCR's projection, as in its paper


@peer
def naive(setup: Setup) -> Peer:
    """Training on what arrives, and nothing else."""
    return _naive(setup, EqualBatches(*setup.batching))


@peer
def replay(setup: Setup) -> Peer:
    """Arriving and stored images in equal parts (Chaudhry et al., arXiv 1902.10486)."""
    plugin = ReplayPlugin(setup.stored)
    batches = MixedBatches(*setup.batching, memory=plugin.storage_policy)
    return _naive(setup, batches, plugin, memory=plugin.storage_policy)


@peer
def lwf(setup: Setup) -> Peer:
    """Learning without forgetting: distillation of logits (Li and Hoiem, ECCV 2016)."""
    return _naive(setup, EqualBatches(*setup.batching), LwFPlugin(**setup.options))


@peer
def ewc(setup: Setup) -> Peer:
    """Elastic weight consolidation (Kirkpatrick et al., PNAS 2017)."""
    return _naive(setup, EqualBatches(*setup.batching), EWCPlugin(**setup.options))


@peer
def gdumb(setup: Setup) -> Peer:
    """A new network for every experience, trained on the memory (Prabhu et al., ECCV 2020)."""
    plugin = GDumbPlugin(setup.stored)
    batches = EqualBatches(*setup.batching)
    return _naive(setup, batches, plugin, memory=plugin.storage_policy)


def _naive(setup: Setup, batches: EqualBatches, *plugins: BasePlugin, memory: Any = None) -> Peer:
    strategy = _linear(Naive, setup, batches, *plugins)
    return Peer(strategy, batches, memory)


def _linear(
    kind: Any, setup: Setup, batches: EqualBatches, *plugins: BasePlugin, **arguments: Any
) -> Any:
    """A strategy of class `kind`, whose network has a linear head and learns by cross-entropy."""
    model = LinearNetwork(setup.features, setup.classes).to(setup.device)
    return kind(
        model=model,
        optimizer=setup.optimizer(model),
        criterion=CrossEntropyLoss(),
        **arguments,
        **setup.avalanche_arguments(batches, *plugins),
    )


@peer
def er_ace(setup: Setup) -> Peer:
    """Replay with an asymmetric cross-entropy (Caccia et al., ICLR 2022)."""
    batches = SeparateBatches(*setup.batching, change=setup.augmentation)
    strategy = _linear(ER_ACE, setup, batches, mem_size=setup.stored)
    return Peer(strategy, batches, strategy.storage_policy)


@peer
def der(setup: Setup) -> Peer:
    """Dark experience replay; DER++ with beta above 0 (Buzzega et al., NeurIPS 2020)."""
    batches = SeparateBatches(*setup.batching, change=setup.augmentation, beside="logits")
    strategy = _linear(DER, setup, batches, mem_size=setup.stored, **setup.options)
    stored = strategy.storage_policy
    return Peer(strategy, batches, stored, floats=setup.classes)


@peer
def icarl(setup: Setup) -> Peer:
    """iCaRL: herding, distillation, nearest class mean (Rebuffi et al., CVPR 2017)."""
    arriving = [arriving_classes(experience) for experience in setup.data.experiences]
    if len({label for labels in arriving for label in labels}) < sum(map(len, arriving)):
        raise LSCError("strategy=icarl is for classes that arrive once; some here arrive again")
    known = SimpleNamespace(
        classes_order=[label for labels in arriving for label in labels],
        n_classes_per_exp=[len(labels) for labels in arriving],
    )
    for experience in setup.data.experiences:  # those of newer benchmarks know none
        if not hasattr(getattr(experience, "benchmark", None), "classes_order"):
            experience.benchmark = known
    head = nn.Linear(setup.features.width, setup.classes)
    model = nn.ModuleList([setup.features, head]).to(setup.device)
    batches = EqualBatches(*setup.batching)
    strategy = ICaRL(
        feature_extractor=setup.features,
        classifier=head,
        optimizer=setup.optimizer(model),
        memory_size=setup.stored,
        buffer_transform=None,
        **setup.options,
        **setup.avalanche_arguments(batches),
    )
    plugins = strategy.plugins
    (herd,) = (plugin for plugin in plugins if hasattr(plugin, "x_memory"))
    # Avalanche puts its own plugins last, but herding is a part of the time that training takes.
    plugins.remove(setup.progress)
    plugins.insert(plugins.index(strategy.evaluator), setup.progress)

    def stored() -> Any:
        labels = torch.tensor([label for same in herd.y_memory for label in same])
        return _make_taskaware_tensor_classification_dataset(torch.cat(herd.x_memory).cpu(), labels)

    return Peer(strategy, batches, Memory(stored))


@peer
def scr(setup: Setup) -> Peer:
    """Supervised contrastive replay, nearest class mean (Mai et al., CVPR Workshops 2021)."""
    model = SCRModel(setup.features, _Projection(setup.features.width)).to(setup.device)
    batches = MixedBatches(*setup.batching, views=2)
    strategy = SCR(
        model=model,
        optimizer=setup.optimizer(model),
        augmentations=setup.changed,  # the second view; the first are the images themselves
        mem_size=setup.stored,
        **setup.options,
        **setup.avalanche_arguments(batches, changed=False),
    )
    batches.memory = strategy.replay_plugin.storage_policy
    return Peer(strategy, batches, batches.memory)


class _Projection(nn.Sequential):
    """SCR's projection onto a sphere. (Avalanche leaves the last step to its user.)"""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, _PROJECTION))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(super().forward(x), dim=1)  # type: ignore[no-untyped-call]


@peer
def slda(setup: Setup) -> Peer:
    """Streaming linear discriminant analysis (Hayes and Kanan, CVPR Workshops 2020)."""
    features = setup.features.to(setup.device)
    base = None
    if not setup.settings.encoder.weights:
        counted = dataclasses.replace(setup, progress=_Counted(setup.progress))
        base = _naive(counted, EqualBatches(*counted.batching)).strategy
    strategy = _BaseTrainedLDA(
        base=base,
        slda_model=features,
        criterion=CrossEntropyLoss(),
        input_size=features.width,
        num_classes=setup.classes,
        train_epochs=1,
        plugins=[batches := OnePass(*setup.batching), setup.progress],
        **setup.options,
        **setup.base(),
    )
    return Peer(
        strategy,
        batches,
        beside_model=lambda: [strategy.muK, strategy.cK, strategy.Sigma],
    )


class _BaseTrainedLDA(StreamingLDA):
    """Has another strategy train the encoder on the first experience, and freezes it then.

    So does the paper, where it does not start from an encoder trained on ImageNet.
    """

    def __init__(self, *, base: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.base = base

    def _train_exp(self, experience: Any, *args: Any, **kwargs: Any) -> None:
        if self.base is not None:
            self.base.train(experience)
            self.base = None
        super()._train_exp(experience, *args, **kwargs)


class _Counted(SupervisedPlugin, supports_distributed=False):  # type: ignore[call-arg]
    """Has the steps of a strategy inside another one counted as that one's."""

    def __init__(self, progress: Any) -> None:
        super().__init__()
        self.progress = progress

    def after_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        self.progress.after_training_iteration(strategy)


@peer
def cumulative(setup: Setup) -> Peer:
    """Training on all data so far, all of them stored: a bound for the others."""
    batches = AllData(*setup.batching)
    strategy = _linear(Cumulative, setup, batches)
    return Peer(strategy, batches, Memory(lambda: strategy.dataset))


@peer
def joint(setup: Setup) -> Peer:
    """Training on all experiences at once: a bound for the others."""
    datasets = [experience.dataset for experience in setup.data.experiences]
    batches = WholeStream(*setup.batching, sizes=[len(dataset) for dataset in datasets])
    strategy = _linear(JointTraining, setup, batches)
    memory = Memory(lambda: concat_datasets(datasets))
    return Peer(strategy, batches, memory, at_once=True)
