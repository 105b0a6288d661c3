"""What is installed, against what the package's metadata ask for."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from lsc_continual.doctor.finding import Finding, judged

_PACKAGE = "lsc_continual"
_REINSTALL = "install it again: pip install . in the folder of the source"


def check_versions() -> Iterator[Finding]:
    """Python, this package, and every dependency that it declares."""
    try:
        own, python = version(_PACKAGE), metadata(_PACKAGE)["Requires-Python"]
    except PackageNotFoundError:
        yield Finding(_PACKAGE, "broken", "not installed", _REINSTALL)
        return
    fits = SpecifierSet(python).contains(platform.python_version(), prereleases=True)
    found = f"{platform.python_version()} ({platform.system()} {platform.machine()})"
    yield judged("python", fits, found, f"use Python {python}", otherwise="broken")
    yield Finding(_PACKAGE, "ok", own)
    declared = requirements_of(_PACKAGE)
    # Others ask for versions as well: torchvision, for one, fits one torch only.
    wishes = {_PACKAGE: declared}
    for requirement in declared:
        with suppress(PackageNotFoundError):  # which has a line of its own
            wishes[requirement.name] = requirements_of(requirement.name)
    for requirement in declared:
        name = canonicalize_name(requirement.name)
        asked = {
            who: wish
            for who, theirs in wishes.items()
            for wish in theirs
            if canonicalize_name(wish.name) == name
        }
        yield _check(requirement.name, asked)


def check_extras() -> Iterator[Finding]:
    """The optional parts of the package, and what of them is not installed."""
    for extra in metadata(_PACKAGE).get_all("Provides-Extra") or []:
        wanted = requirements_of(_PACKAGE, extra)
        lacking = [requirement for requirement in wanted if not satisfied(requirement)]
        names = ", ".join(requirement.name for requirement in lacking or wanted)
        found = f"without {names}" if lacking else names
        cure = f"pip install '.[{extra}]' in the folder of the source"
        yield judged(extra, not lacking, found, cure, otherwise="missing")


def requirements_of(package: str, extra: str = "") -> list[Requirement]:
    """What `package` needs here; with `extra`, only what that adds (without extras in extras).

    Raises:
        PackageNotFoundError: it is not installed.
    """
    found = []
    for line in requires(package) or []:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:  # of an old package's
            continue
        always = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        added = requirement.marker and requirement.marker.evaluate({"extra": extra})
        itself = canonicalize_name(requirement.name) == canonicalize_name(package)
        if (always if not extra else added and not always) and not itself:
            found.append(requirement)
    return found


def satisfied(requirement: Requirement) -> bool:
    """Whether a version that fits is installed."""
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return False
    return requirement.specifier.contains(installed, prereleases=True)


def _check(name: str, asked: dict[str, Requirement]) -> Finding:
    """One dependency against all who ask for it."""
    try:
        installed = version(name)
    except PackageNotFoundError:
        cure = f"pip install '{asked[_PACKAGE]}'"
        return Finding(name, "broken", "not installed", cure)
    for who, wish in asked.items():
        if not satisfied(wish):
            found = f"{installed}, but {who} needs {wish.specifier}"
            cure = f"pip install '{name}{wish.specifier}'"
            if who != _PACKAGE:
                cure = f"{cure}, or another version of {who}"
            return Finding(name, "broken", found, cure)
    return Finding(name, "ok", installed)
