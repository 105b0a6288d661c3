"""Runs in processes of their own, several at a time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread

from rich.console import Console

from lsc_continual.compare.compared import ComparedRun
from lsc_continual.errors import LSCError, first_line

_PRELOADED = ["lsc_continual.runs.run", "lsc_continual.strategies.peers.builders"]
_UNSAID = "its process ended without a word, exit code {}: out of memory, perhaps"


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    run: ComparedRun
    problem: str | None = None
    """What went wrong, in a sentence; None where all went well."""
    mendable: bool = False
    """Whether the user can mend it."""


@dataclass(frozen=True)
class _Worker:
    run: ComparedRun
    process: BaseProcess
    answer: Connection
    device: str | None


def carry_out(todo: Sequence[ComparedRun], jobs: int, gpus: int) -> Iterator[Ended | ComparedRun]:
    """Carry out runs, `jobs` at a time; each one is told when it starts, and how it ended.

    A process for each, so that whatever happens in one leaves the others alone. They are copies of
    one that has loaded the libraries. When the caller stops listening (Ctrl-C) or is killed, they
    end after their next step; a run that can be resumed leaves a checkpoint then.

    Args:
        gpus: how many there are; with several, runs that may choose (`train.device=auto`) are dealt
            out to them.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)
    devices = [f"cuda:{number}" for number in range(gpus)] if gpus > 1 else []
    waiting, running = list(todo), list[_Worker]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                run = waiting.pop(0)
                used = [worker.device for worker in running]
                device = min(devices, key=used.count, default=None)
                running.append(_start(context, run, threads, device))
                yield run
            ready = wait([worker.process.sentinel for worker in running])
            for worker in [w for w in running if w.process.sentinel in ready]:
                running.remove(worker)
                yield _ended(worker)
    finally:
        for worker in running:
            worker.process.terminate()
        for worker in running:
            with suppress(KeyboardInterrupt):  # asked again: it will not take long
                worker.process.join()


def _start(
    context: multiprocessing.context.ForkServerContext,
    run: ComparedRun,
    threads: int,
    device: str | None,
) -> _Worker:
    answer, far_end = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(run, threads, device, far_end))
    process.start()
    far_end.close()
    return _Worker(run, process, answer, device)


def _ended(worker: _Worker) -> Ended:
    worker.process.join()
    problem, mendable = _UNSAID.format(worker.process.exitcode), False
    with suppress(EOFError):
        problem, mendable = worker.answer.recv()
    return Ended(worker.run, problem, mendable)


def _work(run: ComparedRun, threads: int, device: str | None, answer: Connection) -> None:
    """What a process does: carry out or go on with a run, and answer what the problem was."""
    Thread(target=_end_with_the_caller, daemon=True).start()
    try:
        # A filter would not do: Avalanche switches its deprecation warnings on again.
        warnings.showwarning = lambda *_: None
        import torch

        from lsc_continual.runs import run as runs
        from lsc_continual.strategies.names import find_strategy

        torch.set_num_threads(threads)
        console = Console(quiet=True)
        settings, folder = run.settings, run.folder
        changed = [f"data.root={settings.data.root}"]
        if device and settings.train.device == "auto":
            changed.append(f"train.device={device}")
            settings = replace(settings, train=replace(settings.train, device=device))
        try:
            if folder.holds_run and find_strategy(run.strategy).resumable:
                # Code that the user named for this comparison: the run has the same settings.
                runs.resume(folder.path, changed, console, trust_code=True)
            else:
                if folder.holds_run:
                    folder.discard()
                runs.run(settings, console)
            answer.send((None, False))
        except LSCError as error:
            answer.send((str(error), True))
        except runs.InterruptedRunError:
            with suppress(BrokenPipeError):  # nobody listens where the caller was killed
                answer.send(("it was interrupted", False))
        except Exception as error:
            answer.send((f"{type(error).__name__}: {first_line(error)}", False))
    except KeyboardInterrupt:  # the caller has it too, and speaks
        os._exit(130)


def _end_with_the_caller() -> None:
    """Wait for the end of the process that asked for this run, and stop the run then."""
    caller = multiprocessing.parent_process()
    assert caller is not None
    caller.join()
    os.kill(os.getpid(), signal.SIGTERM)
