"""`lsc-cl` in processes of its own, which start in no time.

They are copies of a process that has loaded all libraries and done nothing else.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from multiprocessing import forkserver
from pathlib import Path

import torch

import lsc_continual

PACKAGE = Path(lsc_continual.__file__).parent
PATIENCE = 120  # seconds; for machines with other things to do


def environment() -> dict[str, str]:
    """In which the package that the tests import is found, installed or not."""
    path = os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))
    return {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def _context() -> multiprocessing.context.BaseContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lsc_continual.cli.main", "lsc_continual.runs.run"])
    before = dict(os.environ)
    os.environ.update(environment())
    try:
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return context


def _main(folder: Path, arguments: tuple[str, ...], variables: Mapping[str, str]) -> None:
    os.chdir(folder)
    os.environ.update(variables)
    # What the server was started with counts else: `lsc-cl compare` may have been first, and tests
    # that run in the background of a shell ignore Ctrl-C.
    torch.set_num_threads(int(variables["OMP_NUM_THREADS"]))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, name in ((1, "output"), (2, "errors")):
        handle = os.open(variables["OUTPUT"] + name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
    if arguments[0].endswith(".py"):
        runpy.run_path(arguments[0])
        return
    sys.argv = ["lsc-cl", *arguments]
    from lsc_continual.cli.main import main

    main()


class Process:
    """A command that runs in a folder.

    Args:
        arguments: of `lsc-cl`; or the path of a script.
        variables: of its environment.
        module: with which modules `python -m` is started afresh, in the place of `lsc-cl`.
    """

    _count = 0

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        variables: Mapping[str, str] | None = None,
        module: tuple[str, ...] = (),
    ) -> None:
        Process._count += 1
        self._output = str(folder / f".process{Process._count}-")
        variables = {**environment(), **(variables or {}), "OUTPUT": self._output}
        self._fresh: subprocess.Popen[bytes] | None = None
        if module:
            command = [sys.executable, "-m", *module, *arguments]
            everything = {**os.environ, **variables}
            with self._file("output").open("wb") as out, self._file("errors").open("wb") as err:
                self._fresh = subprocess.Popen(
                    command, cwd=folder, env=everything, stdout=out, stderr=err
                )
        else:
            self._copy = _context().Process(target=_main, args=(folder, arguments, variables))
            self._copy.start()

    @property
    def code(self) -> int | None:
        """Exit code, None before the end."""
        return self._fresh.poll() if self._fresh else self._copy.exitcode

    def wait_until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert self.code is None, (self.code, *self._said())
            assert time.monotonic() < end, "it takes too long"
            time.sleep(0.005)

    def send(self, number: int) -> None:
        pid = self._fresh.pid if self._fresh else self._copy.pid
        assert pid is not None
        os.kill(pid, number)

    def end(self) -> tuple[int, str, str]:
        """Exit code, output and errors."""
        if self._fresh:
            self._fresh.wait(PATIENCE)
        else:
            self._copy.join(PATIENCE)
        assert self.code is not None, "it takes too long"
        return self.code, *self._said()

    def stop(self) -> None:
        if self.code is None:
            self.send(signal.SIGKILL)
            self.end()

    def _file(self, name: str) -> Path:
        return Path(f"{self._output}{name}")

    def _said(self) -> list[str]:
        paths = [self._file(name) for name in ("output", "errors")]
        return [path.read_text(encoding="utf-8") if path.exists() else "" for path in paths]
