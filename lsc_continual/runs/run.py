"""One run: data in at one end, a run folder at the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from lsc_continual.catalog import PEERS
from lsc_continual.config import differences, read_stored, reopen
from lsc_continual.errors import LSCError, first_line
from lsc_continual.experiences.classes import arriving_classes
from lsc_continual.machine import distributed
from lsc_continual.machine.environment import describe_environment
from lsc_continual.machine.interruption import InterruptedRunError, Interruption
from lsc_continual.runs.checkpointing import Checkpointing
from lsc_continual.runs.checkpoints import Checkpoints
from lsc_continual.runs.folder import CONFIG, RunFolder
from lsc_continual.runs.recorder import Recorder
from lsc_continual.runs.trial import Trial, prepare
from lsc_continual.settings import CHANGEABLE
from lsc_continual.strategies.resumable import State


def run(config: DictConfig, console: Console) -> Path:
    """Train and evaluate as configured; returns the run folder.

    Everything the user may have got wrong is refused before the folder is made. After each
    experience, metrics, model and a checkpoint are on disk.

    Raises:
        LSCError: something the user can mend.
        InterruptedRunError: a signal came; there is a checkpoint to resume from.
    """
    distributed.start()
    trial = prepare(config, console)
    name = f"{config.scenario.name}-{config.strategy.name}-seed{config.seed}"
    with _on_all(lambda: RunFolder.create(config.run.dir, name)) as folder:
        return _carry_out(trial, folder, console, None)


def resume(path: str | Path, overrides: Sequence[str], console: Console) -> Path:
    """Go on with a run from its latest checkpoint, in the middle of an epoch if need be.

    On the CPU of one machine, the outcome is the same to the bit as without the interruption.

    Args:
        overrides: `key=value` settings that may change in the middle of a run.

    Raises:
        LSCError: no run is there, its files are damaged, or its data have changed.
        InterruptedRunError: a signal came again.
    """
    distributed.start()
    with _on_all(lambda: RunFolder.open(path)) as folder:
        checkpoints = Checkpoints(folder.checkpoints)
        state = checkpoints.latest() if distributed.rank() == 0 else None
        config = reopen(_stored_config(folder, state), overrides)
        if (name := config.strategy.name) in PEERS:
            raise LSCError(
                f"{folder.path} cannot be resumed: it is of strategy={name}, and Avalanche's "
                "strategies cannot save what they carry from one step to the next; run it anew"
            )
        trial = prepare(config, console)
        state = distributed.state_from_first(state)
        if state is None:
            line = "there is no checkpoint yet: starting from the beginning"
            console.print(line, highlight=False)
        else:
            _check_same_data(trial, state)
            _note_move(trial, state, console)
        return _carry_out(trial, folder, console, state)


def _carry_out(trial: Trial, folder: RunFolder, console: Console, state: State | None) -> Path:
    """Train from the beginning or from `state` to the end."""
    strategy, experiences = trial.strategy, len(trial.rounds)
    main = distributed.rank() == 0
    recorder = Recorder(folder, trial, console)
    checkpoints = Checkpoints(folder.checkpoints, trial.config.checkpoint.keep)
    resumable = trial.config.strategy.name not in PEERS

    def kept() -> State:
        return {
            "config": OmegaConf.to_container(trial.config),
            "fingerprint": trial.stream.fingerprint,
            "environment": recorder.metrics["environment"],
            "recorder": recorder.state(),
        }

    console.print(trial.summary, soft_wrap=True, highlight=False)
    with Interruption() as interruption, recorder:
        minutes = trial.config.checkpoint.minutes
        checkpointing = Checkpointing(
            folder.path, checkpoints if resumable else None, minutes, interruption, kept
        )
        strategy.plugins.append(checkpointing)  # after Avalanche's clock
        if state is not None:
            _restore(trial, recorder, checkpointing, state)
            console.print(_where(checkpointing, state, experiences), highlight=False)
        try:
            for index in range(checkpointing.experience, experiences):
                if not checkpointing.trained:
                    strategy.train(trial.rounds[index])
                    checkpointing.trained = True
                strategy.eval(trial.stream.benchmark.test_stream)
                result = trial.evaluation.result(trial.rounds[index][-1].current_experience)
                skipped = set().union(*(feeds.skipped for feeds in trial.feeds))
                skipped = set(chain(*distributed.everyone(sorted(skipped))))
                if main:
                    classes = sorted(chain(*map(arriving_classes, trial.rounds[index])))
                    recorder.record(classes, result, skipped)
                checkpointing.experience_done(strategy)
        except LSCError as error:
            if checkpointing.experience:
                message = f"{error}; what was learned before is in {folder.path}"
                raise type(error)(message) from None
            if main and not any(folder.checkpoints.glob("step-*")):
                folder.discard()
            raise
        finally:
            trial.progress.close()
            for feeds in trial.feeds:
                feeds.close()
        if main:
            recorder.finish()
    return folder.path


def _restore(trial: Trial, recorder: Recorder, checkpointing: Checkpointing, state: State) -> None:
    try:
        trial.strategy.load_state(state["strategy"], trial.stream.benchmark.train_stream)
        recorder.load_state(state["recorder"])
        checkpointing.experience, checkpointing.trained = state["experience"], state["trained"]
    except (KeyError, ValueError, TypeError, RuntimeError, IndexError) as error:
        raise LSCError(
            f"the checkpoint does not fit this run ({first_line(error)}): resume with the version "
            "that wrote it"
        ) from error


def _where(checkpointing: Checkpointing, state: State, experiences: int) -> str:
    """Where a resumed run goes on, in words."""
    if checkpointing.experience == experiences:
        return "all experiences are done: writing the report"
    place = f"going on with experience {checkpointing.experience + 1}/{experiences}"
    position = state["strategy"]["position"]
    if checkpointing.trained:
        return f"{place}, which is trained, with its evaluation"
    if position is not None:
        return f"{place}, epoch {position['epoch'] + 1}, after {position['done']} batches"
    return place


def _stored_config(folder: RunFolder, state: State | None) -> dict[str, Any]:
    """The configuration of a run that is to go on: that of the checkpoint, if there is one."""
    stored = None
    if distributed.rank() == 0:
        stored = read_stored(folder.path / CONFIG)
        if state is not None:
            changed = differences(state["config"], stored) - CHANGEABLE
            if changed:
                raise LSCError(
                    f"{folder.path / CONFIG} is not what the run was started with (it differs in "
                    f"{', '.join(sorted(changed))}): change it back or start a new run"
                )
    return distributed.from_first(stored)  # type: ignore[no-any-return]


def _check_same_data(trial: Trial, state: State) -> None:
    if trial.stream.fingerprint != state["fingerprint"]:
        raise LSCError(
            f"the data in {trial.config.data.root} are not those that the run was started with: "
            "put them back, say where they are (data.root=…), or start a new run"
        )


def _note_move(trial: Trial, state: State, console: Console) -> None:
    """Say so where a run goes on elsewhere."""
    before, now = state["environment"], describe_environment(trial.strategy.device)
    moved = [key for key in ("device", "torch", "processor") if before[key] != now[key]]
    if moved:
        console.print(
            f"note: the run was on {', '.join(str(before[key]) for key in moved)} and goes on "
            f"on {', '.join(str(now[key]) for key in moved)}; it will not be the same to the "
            "last bit",
            highlight=False,
            soft_wrap=True,
        )


def _on_all(make: Callable[[], RunFolder]) -> RunFolder:
    """A run folder that the first process makes, known to all."""
    folder = make() if distributed.rank() == 0 else None
    path = distributed.from_first(folder and str(folder.path))
    return folder or RunFolder(Path(path))


__all__ = ["InterruptedRunError", "resume", "run"]
