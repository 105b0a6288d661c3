"""Embeddings that are kept from one command to the next, because they are what takes the time."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lsc_continual.encoders.random_features import RandomFeatures
from lsc_continual.errors import LSCError, first_line

_DIGEST = 16  # bytes
_PAUSE = 0.05  # seconds between two tries
_PATIENCE = 60.0  # seconds to wait for another process that is writing


def remember(encoder: nn.Module, folder: Path) -> None:
    """Have an encoder look up what it said before of the same input, in this process or earlier.

    Only in evaluation mode and without gradients. A database for each encoder lies in the folder;
    several processes may share it, and it may be deleted at any time.

    Args:
        encoder: whose weights stay as they are from now on; of one with random features, what is
            before these is kept.
        folder: where embeddings are kept.

    Raises:
        LSCError: the folder cannot be written, or what lies there is no cache.
    """
    if isinstance(encoder, RandomFeatures):
        encoder = encoder.encoder
    store = EmbeddingStore(folder / f"{fingerprint(encoder)}.sqlite")
    compute: Callable[[Tensor], Tensor] = encoder.forward

    def forward(x: Tensor) -> Tensor:
        if encoder.training or torch.is_grad_enabled():
            return compute(x)
        rows = x.detach().cpu().contiguous().flatten(1).numpy()
        keys = [blake2b(row.data, digest_size=_DIGEST).digest() for row in rows]
        known = store.get(keys)
        new = [i for i, key in enumerate(keys) if key not in known]
        if new:
            made = compute(x[new]).flatten(1).float()
            values = made.cpu().numpy()
            store.put([keys[i] for i in new], values)
            known |= {keys[i]: value for i, value in zip(new, values, strict=True)}
        width = {len(value) for value in known.values()}
        if len(width) != 1:
            raise store.damaged("embeddings of several lengths")
        return torch.from_numpy(np.stack([known[key] for key in keys])).to(x.device)

    encoder.forward = forward


def fingerprint(encoder: nn.Module) -> str:
    """A text that differs for encoders that say different things: kinds of layers, and weights."""
    told = repr(encoder), getattr(encoder, "architecture", None)
    digest = blake2b(repr(told).encode(), digest_size=_DIGEST)
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


class EmbeddingStore:
    """Vectors by key, in a file.

    Args:
        path: of the SQLite database, made if it is not there.

    Raises:
        LSCError: it cannot be written, or is something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._named():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Streams have one thread run the network, which is not the one that opened this.
            self._file = sqlite3.connect(path, timeout=_PATIENCE, check_same_thread=False)
            self._wait_for("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=OFF")  # what is lost is computed anew
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS embeddings (key BLOB PRIMARY KEY, value BLOB) "
                "WITHOUT ROWID"
            )

    def _wait_for(self, statement: str) -> None:
        """Carry out a statement for which SQLite does not wait by itself."""
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                self._file.execute(statement)
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > end:
                    raise
                time.sleep(_PAUSE)

    def get(self, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Those that are there: float32 [width] each."""
        found = {}
        with self._named():
            for key in keys:
                row = self._file.execute("SELECT value FROM embeddings WHERE key=?", (key,))
                if (value := row.fetchone()) is not None:
                    found[key] = np.frombuffer(value[0], np.float32)
        return found

    def put(self, keys: Sequence[bytes], values: NDArray[np.float32]) -> None:
        """Keep some: float32 [count, width]."""
        rows = [(key, value.tobytes()) for key, value in zip(keys, values, strict=True)]
        with self._named(), self._file:
            self._file.executemany("INSERT OR IGNORE INTO embeddings VALUES (?, ?)", rows)

    def damaged(self, why: str) -> LSCError:
        """The error for a file that holds something else."""
        return LSCError(f"the cache {self.path} is damaged ({why}): delete it")

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise LSCError(
                f"the cache {self.path} cannot be used ({first_line(error)}): choose another folder"
            ) from error
        except (sqlite3.DatabaseError, ValueError, TypeError) as error:
            raise self.damaged(first_line(error)) from error
        except OSError as error:
            raise LSCError(
                f"the cache {self.path.parent} cannot be made ({error.strerror}): choose another "
                "folder"
            ) from error
