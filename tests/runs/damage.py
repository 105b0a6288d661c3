"""What can happen to the files of a folder, at random."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

_KINDS = ["flip", "flips", "cut", "empty", "delete", "swap", "grow", "zeros", "folder"]


def damage(folder: Path, rng: random.Random, others: list[Path]) -> str:
    """Change something in `folder`; says what. `others` are files to swap with."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        return "nothing left"
    file = rng.choice(files)
    content = bytearray(file.read_bytes())
    kind = rng.choice(_KINDS if content else ["delete", "grow"])
    if kind in ("flip", "flips"):
        for _ in range(1 if kind == "flip" else rng.randint(2, 30)):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        file.write_bytes(content)
    elif kind == "cut":
        file.write_bytes(content[: rng.randrange(len(content))])
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "delete":
        file.unlink()
    elif kind == "grow":
        file.write_bytes(content + rng.randbytes(rng.randint(1, 9)))
    elif kind == "zeros":  # as some file systems leave behind when the power fails
        start = rng.randrange(len(content))
        file.write_bytes(content[:start] + bytes(len(content) - start))
    elif kind == "folder":
        file.unlink()
        file.mkdir()
    else:
        there = [path for path in {*others, *files} if path.is_file() and path != file]
        other = rng.choice(sorted(there, key=lambda path: (path.name != file.name, path))[:2])
        spare = file.with_name("spare")
        shutil.copy(file, spare)
        shutil.copy(other, file)
        spare.replace(other)
    return f"{kind} {file.name}"
