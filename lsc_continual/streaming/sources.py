"""Where inputs come from: folders, files, .npz files, standard input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from lsc_continual.errors import LSCError
from lsc_continual.inputs.trees import look_through
from lsc_continual.streaming.inputs import Input, Stop, never
from lsc_continual.streaming.lines import read_inputs
from lsc_continual.streaming.npz import NpzImages
from lsc_continual.streaming.watch import watched

_SOME = 64  # inputs handed over at a time
_STANDARD_INPUT = 0


def open_sources(
    sources: Sequence[str],
    *,
    watch: bool = False,
    answered: Iterable[str] = (),
    stop: Stop = never,
) -> Iterator[list[Input]]:
    """The inputs of several sources, one source after another, some inputs at a time.

    Args:
        sources: each a folder, an image file, an .npz file, or "-" for lines on standard input.
            Inputs are called by their path as given, relative to a folder, or by their index; of
            several sources, a folder's or a file's name comes before that.
        watch: go on with files that appear in the folder, the only source, until `stop()`.
        answered: with `watch`, those to pass over.

    Raises:
        LSCError: an .npz file that cannot be read, or nothing to watch.
    """
    if watch:
        if len(sources) != 1 or not Path(sources[0]).is_dir():
            raise LSCError("--watch needs a folder as the only source: pass one that exists")
        return watched(Path(sources[0]), answered, stop=stop)
    if sources.count("-") > 1:
        raise LSCError("standard input can be read once: pass - once")
    several = len(sources) > 1
    return chain.from_iterable([_open(source, several, stop) for source in sources])


def _open(source: str, several: bool, stop: Stop) -> Iterator[list[Input]]:
    path = Path(source)
    if source == "-":
        return read_inputs(_STANDARD_INPUT, stop)
    if path.is_dir():
        (contents,) = look_through(path, [""])
        if not contents.images:
            reasons = ", ".join(f"{n} × {why}" for why, n in contents.left_out().items())
            raise LSCError(f"{source} holds no images ({reasons or 'it is empty'}): pass another")
        return _folder(path, contents.images, several, stop)
    if path.suffix.lower() == ".npz":
        return NpzImages(path).inputs(source if several else None, stop)
    return iter([[Input(source, path)]])


def _folder(root: Path, names: Sequence[str], several: bool, stop: Stop) -> Iterator[list[Input]]:
    for start in range(0, len(names), _SOME):
        if stop():
            return
        some = names[start : start + _SOME]
        yield [Input(str(root / name) if several else name, root / name) for name in some]
