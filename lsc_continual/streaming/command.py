"""What `lsc-cl stream` does: inputs in at one end, JSON lines out at the other."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from pathlib import Path

from rich.console import Console

from lsc_continual.errors import LSCError
from lsc_continual.streaming.classifier import BATCH_SIZE, StreamClassifier
from lsc_continual.streaming.inputs import Stop, never
from lsc_continual.streaming.output import Answered, LineFile, json_line
from lsc_continual.streaming.progress import StreamProgress
from lsc_continual.streaming.sources import open_sources
from lsc_continual.streaming.unknown import UnknownFolder

_SWITCH = 5e-4  # seconds: the thread that runs the network must not wait long for the others


@dataclass(frozen=True)
class StreamOptions:
    """The options of `lsc-cl stream`."""

    output: Path | None = None
    resume: bool = False
    watch: bool = False
    save_unknown: Path | None = None
    batch_size: int = BATCH_SIZE
    batch_seconds: float | None = None
    workers: int | None = None


def answer_all(
    classifier: StreamClassifier,
    sources: Sequence[str],
    options: StreamOptions,
    console: Console,
    stop: Stop = never,
) -> int:
    """Write a line for each input; returns how many lines have an error.

    Raises:
        LSCError: something the user can mend.
        BrokenPipeError: nobody reads standard output any more.
    """
    sys.setswitchinterval(_SWITCH)
    if options.resume and options.output is None:
        raise LSCError("--resume goes on with a file: name it with --output")
    if options.save_unknown is not None and classifier.detector is None:
        raise LSCError("--save-unknown needs a run with a calibrated detector: leave it out")
    _check_apart(sources, options.save_unknown)
    answered = None
    if options.resume and options.output is not None and options.output.exists():
        answered = Answered(options.output)
    passed_over = answered.ids() if answered and options.watch else ()
    source = open_sources(
        sources,
        watch=options.watch,
        answered=passed_over,
        stop=stop,
        numbers=prod(classifier.spec.input_shape),
        kind=classifier.spec.kind,
    )
    if answered and not options.watch:
        source = answered.skip(source, stop)
    batches = classifier.stream_inputs(
        source,
        batch_size=options.batch_size,
        batch_seconds=options.batch_seconds,
        workers=options.workers,
    )
    with ExitStack() as stack:
        write: Callable[[bytes], None] = _to_standard_output
        if options.output is not None:
            write = stack.enter_context(LineFile(options.output, options.resume)).write
        unknown = None
        if options.save_unknown is not None:
            unknown = UnknownFolder(options.save_unknown, classifier.prepare)
        done, failed = (answered.count, answered.failed) if answered else (0, 0)
        with StreamProgress(console, done, failed) as progress:
            for items, predictions in batches:
                if unknown is not None:
                    for line, (item, answer) in enumerate(
                        zip(items, predictions, strict=True), progress.count + 1
                    ):
                        if answer.known is False:
                            unknown.add(line, item.content)
                write(b"".join(map(json_line, predictions)))
                progress.add(predictions)
        progress.say(progress.line())
    return progress.failed


def _check_apart(sources: Sequence[str], save_unknown: Path | None) -> None:
    """Refuse to put copies where further inputs are looked for."""
    for source in sources:
        if save_unknown and Path(source).is_dir():
            folder, copies = Path(source).resolve(), save_unknown.resolve()
            if folder == copies or folder in copies.parents:
                raise LSCError(
                    f"--save-unknown {save_unknown} lies in {source}, whose images it would add "
                    "to: choose a folder elsewhere"
                )


def _to_standard_output(lines: bytes) -> None:
    sys.stdout.buffer.write(lines)
    sys.stdout.buffer.flush()


def forget_standard_output() -> None:
    """Keep Python from complaining at its end that nobody reads what it has left to write."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
