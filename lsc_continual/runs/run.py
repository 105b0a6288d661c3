"""One run: data in at one end, a run folder at the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from lsc_continual.errors import LSCError, first_line
from lsc_continual.experiences import arriving_classes
from lsc_continual.inputs.base import Content
from lsc_continual.inputs.source import Recorded
from lsc_continual.machine import distributed
from lsc_continual.machine.devices import pick_device
from lsc_continual.machine.environment import describe_environment
from lsc_continual.machine.interruption import Interruption
from lsc_continual.machine.randomness import seed_everything
from lsc_continual.machine.terminal import say
from lsc_continual.registry import UntrustedCodeError, names_from_file
from lsc_continual.runs.checkpointing import Checkpointing
from lsc_continual.runs.checkpoints import Checkpoints
from lsc_continual.runs.configuration import by_name, read_stored, reopen
from lsc_continual.runs.data import check_same, load_unknown_sets, prepare_benchmark, recorded_data
from lsc_continual.runs.folder import CONFIG, RunFolder
from lsc_continual.runs.memory import files_of_run
from lsc_continual.runs.progress import TrainingProgress
from lsc_continual.runs.recorder import Recorder
from lsc_continual.settings import Settings
from lsc_continual.settings.reading import CHANGEABLE, differences
from lsc_continual.strategies.assembly import Assembly, Conditions
from lsc_continual.strategies.evaluation import OpenWorldEvaluation
from lsc_continual.strategies.names import STRATEGIES, find_strategy
from lsc_continual.strategies.resumable import State
from lsc_continual.strategies.stages import in_order


class Prepared(NamedTuple):
    """A run that has not begun."""

    assembly: Assembly
    """Its settings are complete: class order and unknown prior are filled in."""
    evaluation: OpenWorldEvaluation
    progress: TrainingProgress


def prepare(settings: Settings, console: Console, recorded: Recorded | None = None) -> Prepared:
    """Load the data and put the strategy together; writes nothing.

    Args:
        recorded: the data that the run was started with, if it was before.

    Raises:
        LSCError: something the user can mend.
    """
    device = pick_device(settings.train.device)
    seed_everything(settings.seed)
    data = distributed.one_first(lambda: prepare_benchmark(settings, recorded))
    unknown = distributed.one_first(lambda: load_unknown_sets(settings, data))
    scenario = replace(settings.scenario, class_order=data.class_order)
    settings = replace(settings, scenario=scenario)
    progress = TrainingProgress(console)
    conditions = Conditions(settings, data, device, progress)
    name = settings.strategy.name
    assembly = STRATEGIES.call(name, find_strategy(name).build, conditions, of=Assembly)
    progress.experiences = len(assembly.rounds)
    evaluation = OpenWorldEvaluation(assembly.scores, unknown)
    plugins = assembly.strategy.plugins
    plugins[:] = in_order([*plugins, evaluation])
    return Prepared(assembly, evaluation, progress)


def run(settings: Settings, console: Console) -> Path:
    """Train and evaluate as the settings say; returns the run folder.

    Everything the user may have got wrong is refused before the folder is made. After each
    experience, metrics, model and a checkpoint are on disk.

    Raises:
        LSCError: something the user can mend.
        InterruptedRunError: a signal came; there is a checkpoint to resume from.
    """
    distributed.start()
    prepared = prepare(settings, console)
    strategy = settings.strategy.name.replace(":", ".")
    scenario = settings.scenario.name.replace(":", ".")
    name = f"{scenario}-{strategy}-seed{settings.seed}"
    with _on_all(lambda: RunFolder.create(settings.run.dir, name)) as folder:
        return _carry_out(prepared, folder, console, None)


def resume(
    path: str | Path, overrides: Sequence[str], console: Console, *, trust_code: bool = False
) -> Path:
    """Go on with a run from its latest checkpoint, in the middle of an epoch if need be.

    On the CPU of one machine, the outcome is the same to the bit as without the interruption.

    Args:
        overrides: `key=value` settings that may change in the middle of a run.
        trust_code: whether code that the run's files name ("module:attribute") may be run.

    Raises:
        LSCError: no run is there, its files are damaged, or its data have changed.
        InterruptedRunError: a signal came again.
    """
    distributed.start()
    with _on_all(lambda: RunFolder.open(path)) as folder:
        latest = Checkpoints(folder.checkpoints).latest
        state = latest() if distributed.rank() == 0 else None
        recorded = recorded_data(folder.path) if distributed.rank() == 0 else None
        stored = _stored_settings(folder, state, recorded) if distributed.rank() == 0 else None
        sent = distributed.from_first(recorded and list(recorded))
        recorded = sent and Recorded(*sent)
        with names_from_file(folder.path / CONFIG, trust_code):
            settings = reopen(distributed.from_first(stored), overrides)
            if not find_strategy(settings.strategy.name).resumable:
                raise LSCError(
                    f"{folder.path} cannot be resumed: its strategy, {settings.strategy.name}, "
                    "cannot save what it carries from one step to the next, as Avalanche's "
                    "cannot; run it anew"
                )
            prepared = prepare(settings, console, recorded)
        state = distributed.from_first(state)
        if state is None:
            say(console, "there is no checkpoint yet: starting from the beginning")
        else:
            _check_same_data(prepared.assembly, state)
            _note_move(prepared.assembly, state, console)
        return _carry_out(prepared, folder, console, state, trust_code)


def _carry_out(
    prepared: Prepared,
    folder: RunFolder,
    console: Console,
    state: State | None,
    trust_code: bool = False,
) -> Path:
    """Train from the beginning or from `state` to the end."""
    assembly, evaluation, progress = prepared
    settings, strategy, rounds = assembly.settings, assembly.strategy, assembly.rounds
    main = distributed.rank() == 0
    checkpoints, chosen = None, find_strategy(settings.strategy.name)
    goes_on = chosen.resumable and chosen.goes_on and assembly.spec is not None
    if chosen.resumable:
        checkpoints = Checkpoints(folder.checkpoints, settings.checkpoint.keep)
    say(console, assembly.summary)
    say(console, f"images: {assembly.data.summary()}")
    if repeated := str(assembly.data.repeats):
        say(console, f"the same images: {repeated}")
    with (
        Interruption() as interruption,
        closing(Recorder(folder, assembly, progress, console)) as recorder,
    ):
        minutes = settings.checkpoint.minutes
        checkpointing = Checkpointing(folder, checkpoints, minutes, interruption, recorder.state)
        strategy.plugins.append(checkpointing)
        if state is not None:
            with names_from_file(folder.checkpoints, trust_code):
                _restore(assembly, recorder, checkpointing, state)
            say(console, _where(checkpointing, state, len(rounds)))
        try:
            for index in range(checkpointing.experience, len(rounds)):
                if not checkpointing.trained:
                    strategy.train(rounds[index])
                    checkpointing.trained = True
                strategy.eval(assembly.data.benchmark.test_stream)
                result = evaluation.result(rounds[index][-1].current_experience)
                skipped = set().union(*(feeds.skipped for feeds in assembly.feeds))
                skipped = set(chain(*distributed.everyone(sorted(skipped))))
                last = index == len(rounds) - 1
                further = files_of_run(assembly) if last and goes_on else {}
                if main:
                    classes = sorted(chain(*map(arriving_classes, rounds[index])))
                    recorder.record(classes, result, skipped, further)
                checkpointing.experience_done(strategy)
        except LSCError as error:
            if checkpointing.experience:
                message = f"{error}; what was learned before is in {folder.path}"
                raise type(error)(message) from None
            if main and not folder.has_checkpoint:
                folder.discard()
            raise
        finally:
            progress.close()
            for feeds in assembly.feeds:
                feeds.close()
        if main:
            recorder.finish()
    return folder.path


def _restore(
    assembly: Assembly, recorder: Recorder, checkpointing: Checkpointing, state: State
) -> None:
    try:
        assembly.strategy.load_state(state["strategy"], assembly.data.benchmark.train_stream)
        recorder.load_state(state)
        checkpointing.experience, checkpointing.trained = state["experience"], state["trained"]
    except UntrustedCodeError:
        raise
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


def _stored_settings(
    folder: RunFolder, state: State | None, recorded: Recorded | None
) -> dict[str, Any]:
    """The settings of a run that is to go on: those of the checkpoint, if there is one."""
    names = None if recorded is None else recorded.class_names
    stored = by_name(read_stored(folder.path / CONFIG), names)
    started = None if state is None else by_name(state["config"], names)
    if started and (changed := differences(started, stored) - CHANGEABLE):
        raise LSCError(
            f"{folder.path / CONFIG} is not what the run was started with (it differs in "
            f"{', '.join(sorted(changed))}): change it back or start a new run"
        )
    return stored


def _check_same_data(assembly: Assembly, state: State) -> None:
    data = assembly.data
    before = {name: Content(*content) for name, content in state.get("contents", {}).items()}
    other = data.fingerprint != state["fingerprint"]
    if other:
        check_same(data.contents, before, assembly.settings.data.root, told=True)


def _note_move(assembly: Assembly, state: State, console: Console) -> None:
    """Say so where a run goes on elsewhere."""
    before, now = state["environment"], describe_environment(assembly.strategy.device)
    moved = [key for key in ("device", "torch", "processor") if before[key] != now[key]]
    if moved:
        there, here = (", ".join(str(place[key]) for key in moved) for place in (before, now))
        line = f"note: the run was on {there} and goes on on {here}"
        say(console, f"{line}; it will not be the same to the last bit")


def _on_all(make: Callable[[], RunFolder]) -> RunFolder:
    """A run folder that the first process makes, known to all."""
    folder = make() if distributed.rank() == 0 else None
    path = distributed.from_first(folder and str(folder.path))
    return folder or RunFolder(Path(path))
