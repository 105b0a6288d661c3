"""Training as all strategies of this package do it: fast, in one process or many, resumable."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from avalanche.evaluation import PluginMetric
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.templates import SupervisedTemplate
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

from lsc_continual.errors import LSCError
from lsc_continual.experiences.classes import require_images
from lsc_continual.experiences.feeds import Feeds, Loading
from lsc_continual.experiences.loader import BatchLoader, Step
from lsc_continual.experiences.plan import Plan
from lsc_continual.machine import distributed
from lsc_continual.machine.randomness import random_state, restore_random_state
from lsc_continual.strategies.forward import explained
from lsc_continual.strategies.parallel import replicate
from lsc_continual.strategies.resumable import Resumable, State
from lsc_continual.strategies.stages import in_order

_CLOCK = (
    "train_iterations",
    "train_exp_counter",
    "train_exp_epochs",
    "train_exp_iterations",
    "train_epoch_iterations",
    "total_iterations",
)
_STEP_EVENTS = (
    "before_training_iteration",
    "before_forward",
    "after_forward",
    "before_backward",
    "after_backward",
    "before_update",
    "after_update",
    "after_training_iteration",
)
_DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class TrainingTemplate(SupervisedTemplate):
    """Avalanche's supervised template with loading, precision, processes and state of our own.

    Images that lie in one tensor are cut into batches on the device. Where `torchrun` started
    several processes, each trains on its part of every batch, and the result is that of one
    process. `state()` is all that it takes to go on from any step.

    Args:
        loading: how samples get to the device.
        precision: "fp32", "bf16" (autocast), or "fp16" (autocast with scaled gradients).

    The other arguments are those of Avalanche's `SupervisedTemplate`.
    """

    train_epochs: int

    def __init__(
        self, *, loading: Loading | None = None, precision: str = "fp32", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if precision not in _DTYPES:
            raise LSCError(f"precision is one of {', '.join(_DTYPES)}, not {precision!r}")
        self.precision = precision
        self.feeds = Feeds(loading or Loading(), self.device)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "fp16")
        self._replica: nn.Module | None = None
        self._resumed: State | None = None
        self._shape: torch.Size | None = None  # of an input
        if self.device.type == "cuda":  # convolutions are faster so; on CPUs torch 2.15 crashed
            for module in self.model.modules():
                if isinstance(module, nn.Conv2d) and not isinstance(module, LazyModuleMixin):
                    module.to(memory_format=torch.channels_last)

    def _before_training(self, **kwargs: Any) -> None:
        """Put the plugins into the order that they declare; they may be added at any time."""
        self.plugins[:] = in_order(self.plugins)
        super()._before_training(**kwargs)

    def check_model_and_optimizer(self, **kwargs: Any) -> None:
        """Before an experience: adapt the model, update the optimizer, join the processes."""
        super().check_model_and_optimizer(**kwargs)
        if distributed.world_size() > 1 and self._replica is None:
            self._replica = replicate(self.model, self.device)

    def make_train_dataloader(
        self, num_workers: int | None = None, shuffle: bool = True, **kwargs: Any
    ) -> None:
        """Batches of the arriving samples (see `BatchLoader`)."""
        require_images(self.experience)
        seed = distributed.from_first(int(torch.randint(2**62, ())))
        plan = Plan(len(self.adapted_dataset), self.train_mb_size, seed=seed, shuffle=shuffle)
        if plan.new // len(plan) < distributed.world_size():
            raise LSCError(
                f"batches of {plan.new // len(plan)} images cannot be shared by "
                f"{distributed.world_size()} processes: raise train.batch_size or start fewer"
            )
        self._set_workers(num_workers)
        self.dataloader = BatchLoader([self.adapted_dataset], plan, self.feeds, training=True)

    def add_to_dataloader(self, memory: Any, batch_size: int) -> None:
        """Put `batch_size` samples of a replay memory into each batch."""
        loader: BatchLoader = self.dataloader
        assert isinstance(loader.plan, Plan)
        plan = replace(loader.plan, stored=len(memory), stored_batch=batch_size)
        parts = [self.adapted_dataset, memory]
        self.dataloader = BatchLoader(parts, plan, self.feeds, training=True)

    def make_eval_dataloader(self, num_workers: int | None = None, **kwargs: Any) -> None:
        """Batches of test samples, in their own order."""
        require_images(self.experience)
        self._set_workers(num_workers)
        self.dataloader = self.batches(self.adapted_dataset)

    def batches(self, dataset: Any) -> BatchLoader:
        """Samples in their own order, as for evaluation; of several processes, each gets a part."""
        plan = Plan(len(dataset), self.eval_mb_size, shuffle=False)
        return BatchLoader([dataset], plan, self.feeds, training=False)

    def _set_workers(self, number: int | None) -> None:
        """Take `num_workers` as Avalanche's users pass it to `train` and `eval`."""
        if number is not None and number != self.feeds.loading.workers:
            skipped = self.feeds.skipped
            self.feeds = Feeds(replace(self.feeds.loading, workers=number), self.device)
            self.feeds.skipped = skipped

    def training_epoch(self, **kwargs: Any) -> None:
        """Avalanche's loop, which asks only those plugins that do something at an event.

        Asking all of them at every event is a good part of a small network's step.
        """
        listeners = {event: self._listeners(event) for event in _STEP_EVENTS}

        def announce(event: str) -> None:
            for callback in listeners[event]:
                callback(self, **kwargs)

        for self.mbatch in self.dataloader:  # noqa: B020 (as Avalanche does)
            if self._stop_training:
                break
            self._unpack_minibatch()
            announce("before_training_iteration")
            self.optimizer.zero_grad()
            self.loss = self._make_empty_loss()
            announce("before_forward")
            self.mb_output = self.forward()
            announce("after_forward")
            self.loss += self.criterion()
            announce("before_backward")
            self.backward()
            announce("after_backward")
            announce("before_update")
            self.optimizer_step()
            announce("after_update")
            announce("after_training_iteration")

    def _listeners(self, event: str) -> list[Callable[..., Any]]:
        """What the plugins do at an event, in their order."""
        callbacks = []
        for plugin in self.plugins:
            method = getattr(type(plugin), event, None)
            idle = method is not None and method.__module__ == "avalanche.core"  # does nothing
            if isinstance(plugin, EvaluationPlugin) and method is None:  # makes them up when asked
                nothing = (None, getattr(PluginMetric, event, None))
                idle = not plugin.loggers and all(
                    getattr(type(metric), event, None) in nothing for metric in plugin.metrics
                )
            if not idle and hasattr(plugin, event):
                callbacks.append(getattr(plugin, event))
        return callbacks

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of the encoder's forward passes."""
        dtype = _DTYPES[self.precision]
        return nullcontext() if dtype is None else torch.autocast(self.device.type, dtype)

    def forward(self) -> Tensor:
        """The model's output for the batch; by way of the replica where several processes train."""
        model, images = self._replica if self.is_training else None, self.mb_x
        if self.device.type == "cuda" and images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        with self.autocast(), explained(images, self._shape):
            output: Tensor = (model or self.model)(images)
        self._shape = images.shape[1:]
        return output

    def criterion(self) -> Tensor:
        """The loss of the batch. Its mean over processes is the loss of the whole batch."""
        loss: Tensor = super().criterion()
        step = getattr(self.dataloader, "step", None)
        if self.is_training and isinstance(step, Step) and distributed.world_size() > 1:
            loss = loss * (len(self.mb_y) * distributed.world_size() / len(step.labels))
        return loss

    def backward(self) -> None:
        """Gradients, scaled where half precision could lose them."""
        self._scaler.scale(self.loss).backward(retain_graph=self.retain_graph)

    def optimizer_step(self) -> None:
        """A step, unless scaled gradients overflowed."""
        self._scaler.step(self.optimizer)
        self._scaler.update()

    def state(self) -> State:
        """All it takes to go on from here: tensors and JSON values.

        In the middle of an experience, take it between two steps, when all plugins have seen the
        latest one.
        """
        position, loader = None, self.dataloader
        if self.is_training and isinstance(loader, BatchLoader):  # evaluation has one of its own
            position = {"seed": loader.plan.seed, "epoch": loader.epoch, "done": loader.done}
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "clock": {name: getattr(self.clock, name) for name in _CLOCK},
            "plugins": {name: part.state() for name, part in self._resumables().items()},
            "random": distributed.everyone(random_state(self.device)),
            "skipped": sorted(self.feeds.skipped),
            "position": position,
        }

    def load_state(self, state: State, stream: Any) -> None:
        """Take over a `state()` of the same model and plugins, trained on `stream`.

        If it is from the middle of an experience, the next `train` goes on from there.
        """
        self.model.to(self.device)
        self.model.load_state_dict(state["model"])
        self.feeds.skipped.update(state["skipped"])
        for plugin, part in self._with_states(state["plugins"]):
            plugin.load_state(part, self, stream)
        self.make_optimizer()  # Avalanche's first look at the parameters forgets the state
        self._load_progress(state)
        self._resumed = state if state["position"] else None

    def _load_progress(self, state: State) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        for parameter, values in self.optimizer.state.items():
            for name, value in values.items():  # fused optimizers go by the order in memory
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    values[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        self._scaler.load_state_dict(state["scaler"])
        for name, value in state["clock"].items():
            setattr(self.clock, name, value)
        if distributed.rank() < len(state["random"]):
            restore_random_state(state["random"][distributed.rank()], self.device)

    def _before_training_exp(self, **kwargs: Any) -> None:
        super()._before_training_exp(**kwargs)
        if self._resumed is None:
            return
        state, self._resumed = self._resumed, None
        position, loader = state["position"], self.dataloader
        loader.plan = replace(loader.plan, seed=position["seed"])
        loader.epoch, loader.done = position["epoch"], position["done"]
        for plugin, part in self._with_states(state["plugins"]):
            plugin.take_up(part)
        self._load_progress(state)

    def _train_exp(self, experience: Any, eval_streams: Any = None, **kwargs: Any) -> None:
        epochs = self.train_epochs
        self.train_epochs -= getattr(self.dataloader, "epoch", 0)  # those done before
        try:
            super()._train_exp(experience, eval_streams, **kwargs)
        finally:
            self.train_epochs = epochs

    def _resumables(self) -> dict[str, Resumable]:
        """What carries something from step to step, by class; a second of a class is numbered."""
        found: dict[str, Resumable] = {}
        for part in [*self.plugins, *self.evaluator.metrics]:
            if isinstance(part, Resumable):
                name = type(part).__name__
                same = sum(type(other) is type(part) for other in found.values())
                found[f"{name}-{same + 1}" if same else name] = part
        return found

    def _with_states(self, states: dict[str, State]) -> list[tuple[Resumable, State]]:
        """Each with its state.

        Raises:
            KeyError: a state is missing; or there is one for something that is not here.
        """
        found = self._resumables()
        if unknown := states.keys() - found.keys():
            raise KeyError(f"there is no {', '.join(sorted(unknown))}")
        return [(part, states[name]) for name, part in found.items()]
