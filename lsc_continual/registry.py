"""Names that settings can take, and the code that each of them stands for.

A room has the table of its kind in its module `names`, one line for each name; this module knows
none of them. An entry names its code as "module:attribute" and imports it on use: looking a name up
costs nothing. Wherever a name is taken, "module:attribute" of the user's own is taken too, but not
from a file (see `names_from_file`).
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import symtable
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any, Generic, TypeVar

from lsc_continual.errors import LSCError, first_line, unknown_name


@dataclass(frozen=True)
class Entry:
    """What a name stands for.

    Args:
        target: "module:attribute", or the thing itself.
        line: says in a few words what it is.
        pattern: a regular expression, where the name stands for a family such as "v{m}{k}".
        members: where the name stands for a list of others, these.
        options: settings of its own, with their defaults; None where its code alone knows them.
    """

    target: Any
    line: str
    pattern: str = ""
    members: Callable[[], Iterable[str]] | None = None
    options: Mapping[str, Any] | None = None

    def load(self) -> Any:
        """The thing itself, imported."""
        if not isinstance(self.target, str):
            return self.target
        module, attribute = self.target.split(":")
        return getattr(importlib.import_module(module), attribute)

    def covers(self, name: str) -> bool:
        """Whether `name` belongs to the family or is one of the members."""
        if self.pattern:
            return re.fullmatch(self.pattern, name) is not None
        return self.members is not None and name in self.members()

    def check_options(self, group: str, name: str, given: Mapping[str, Any]) -> None:
        """Refuse options that it does not have.

        Args:
            group: of settings, such as "encoder", for errors.
            name: the name that it was found by, likewise.

        Raises:
            LSCError: there is no such option, or it has another type.
        """
        if self.options is None:
            return
        for option, value in given.items():
            key = f"{group}.options.{option}"
            if not self.options:
                raise LSCError(f"{group}={name} has no options of its own: leave out {key}")
            if option not in self.options:
                raise unknown_name(f"option of {group}={name}", option, self.options)
            default = self.options[option]
            kinds = int | float if isinstance(default, float | None) else type(default)
            fits = isinstance(value, kinds) and isinstance(value, bool) == isinstance(default, bool)
            if not fits and value != default:
                raise LSCError(f"{key}={value} has the wrong type: it is {default} by default")


E = TypeVar("E", bound=Entry)
T = TypeVar("T")

TABLES: dict[str, Registry[Any]] = {}
"""All registries by kind, as far as the rooms that fill them were imported."""


class Registry(Mapping[str, E], Generic[E]):
    """The names of one kind.

    Args:
        kind: in the singular, for sentences such as "unknown system 'v2'".
        own: what a "module:attribute" of the user's has to be.
        entries: what each name stands for.
    """

    def __init__(self, kind: str, own: str, entries: Mapping[str, E]) -> None:
        self.kind = kind
        self.own = own
        self._entries = dict(entries)
        TABLES[kind] = self

    def __getitem__(self, name: str) -> E:
        """The entry of a name, of a member of a family, or of a list of members.

        Raises:
            LSCError: there is none, with the nearest valid name.
        """
        if name in self._entries:
            return self._entries[name]
        for entry in self._entries.values():
            if entry.covers(name):
                return entry
        raise unknown_name(self.kind, name, self._all_names())

    def __contains__(self, name: object) -> bool:
        found = (name == other or e.covers(str(name)) for other, e in self._entries.items())
        return isinstance(name, str) and any(found)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def _all_names(self) -> list[str]:
        lists = ([n] if e.members is None else e.members() for n, e in self._entries.items())
        return [name for names in lists for name in names]

    def check(self, name: str) -> None:
        """Refuse a name that `load` would not find, without importing anything.

        Raises:
            LSCError: there is no such name, module, or attribute of a module.
        """
        if is_own(name) and name not in self:
            _check_own(name, self.kind)
        else:
            self[name]

    def load(self, name: str) -> Any:
        """What a name stands for, imported; also a "module:attribute" of the user's own.

        Raises:
            LSCError: an unknown name, with the nearest valid one, or a failing import.
        """
        return (
            import_own(name, self.kind) if is_own(name) and name not in self else self[name].load()
        )

    def make(self, name: str, *arguments: Any, of: type[T]) -> T:
        """What the code of a name gives when it is called.

        Raises:
            LSCError: as in `load`; code of the user's own that cannot be called so, that raises, or
                that gives something else.
        """
        return self.call(name, self.load(name), *arguments, of=of)

    def call(self, name: str, found: Any, *arguments: Any, of: type[T]) -> T:
        """The same for code that was found already.

        Raises:
            LSCError: code of the user's own cannot be called so, raises, or gives something else.
        """
        if name in self:
            return found(*arguments)  # type: ignore[no-any-return]
        try:
            made = found(*arguments)
        except LSCError:
            raise
        except Exception as error:  # somebody else's code
            raise LSCError(
                f"{self.kind} {name!r} failed ({type(error).__name__}: {first_line(error)}): it "
                f"has to be {self.own}"
            ) from error
        if not isinstance(made, of):
            raise LSCError(
                f"{self.kind} {name!r} gives {type(made).__name__}: it has to be {self.own}"
            )
        return made


def is_own(name: str) -> bool:
    """Whether a name is a "module:attribute" rather than one of a table."""
    return ":" in name


_FILE: ContextVar[Path | None] = ContextVar("file", default=None)


class UntrustedCodeError(LSCError):
    """A file names code that is not of this package."""


@contextmanager
def names_from_file(path: Path, trust_code: bool) -> Iterator[None]:
    """Inside, names come from a file, and a file does not choose what code runs.

    A "module:attribute" is refused, and the working folder is not on the search path.

    Args:
        path: of the file, for the error.
        trust_code: whether the user says for this call that it may.
    """
    if trust_code:
        yield
        return
    here, before = {"", str(Path.cwd())}, list(sys.path)
    sys.path[:] = [place for place in before if place not in here]
    token = _FILE.set(path)
    try:
        yield
    finally:
        _FILE.reset(token)
        sys.path[:] = before


def _refuse_untrusted(name: str, kind: str) -> None:
    if (path := _FILE.get()) is not None:
        raise UntrustedCodeError(
            f"{path} asks for the {kind} {name!r}, which is code from elsewhere: if you know whose "
            "it is, and trust it, allow it for this call by --trust-code (trust_code=True)"
        )


def import_own(name: str, kind: str) -> Any:
    """What "module:attribute" stands for; modules in the working folder count.

    Raises:
        UntrustedCodeError: the name is from a file that is not trusted.
        LSCError: it cannot be imported; `kind` says in the message what it is for.
    """
    _refuse_untrusted(name, kind)
    module_name, _, attribute = name.partition(":")
    _look_here()
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # somebody else's code
        reason = first_line(error)
        raise LSCError(f"{kind} {name!r}: cannot import {module_name!r} ({reason})") from error
    if not hasattr(module, attribute):
        raise LSCError(f"{kind} {name!r}: {module_name!r} has nothing named {attribute!r}")
    return getattr(module, attribute)


def import_callable(name: str, kind: str) -> Callable[..., Any]:
    """As `import_own`, for something that can be called.

    Raises:
        LSCError: it cannot be imported or called.
    """
    found = import_own(name, kind)
    if not callable(found):
        raise LSCError(f"{kind} {name!r} is {type(found).__name__}, which cannot be called")
    return found  # type: ignore[no-any-return]


def _look_here() -> None:
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)


def _check_own(name: str, kind: str) -> None:
    _refuse_untrusted(name, kind)
    module, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), attribute)):
        raise LSCError(f"{kind} {name!r} is not of the form module:attribute: correct it")
    spec = _find_module(module)
    if spec is None:
        raise LSCError(
            f"{kind} {name!r}: there is no module {module!r}, neither installed nor in the "
            "working folder"
        )
    if spec.origin is None or not spec.origin.endswith(".py"):
        return
    source = Path(spec.origin).read_text(encoding="utf-8")
    try:
        table = symtable.symtable(source, spec.origin, "exec")
    except SyntaxError as error:
        raise LSCError(f"{kind} {name!r}: {spec.origin} is no Python ({error})") from error
    found = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    cannot_tell = "__getattr__" in found or re.search(r"import\s+\*", source)
    if attribute not in found and not cannot_tell:
        raise LSCError(f"{kind} {name!r}: {module!r} has nothing named {attribute!r}")


def _find_module(name: str) -> ModuleSpec | None:
    """Where a module is, without importing it or the packages around it."""
    _look_here()
    first, *rest = name.split(".")
    spec, full = importlib.util.find_spec(first), first
    for part in rest:
        if spec is None:
            return None
        full = f"{full}.{part}"
        spec = PathFinder.find_spec(full, spec.submodule_search_locations or [])
    return spec
