"""Settings in words: commented YAML, one explained, and the page docs/settings.md."""

from __future__ import annotations

import dataclasses
import textwrap
from dataclasses import asdict
from typing import Any, get_type_hints

import yaml

from lsc_continual.errors import unknown_name
from lsc_continual.registry import TABLES
from lsc_continual.settings.fields import Setting
from lsc_continual.settings.reading import GROUPS, KEYS
from lsc_continual.settings.schema import Settings

_WIDTH = 96


def to_yaml(settings: Settings, comments: bool = True) -> str:
    """The settings as YAML, each below its meaning.

    Args:
        comments: whether meanings are written.
    """
    lines: list[str] = []

    def add(text: str, meaning: str, indent: str = "") -> None:
        if comments:
            wrapped = textwrap.wrap(meaning, _WIDTH - len(f"{indent}# "))
            lines.extend(f"{indent}# {line}" for line in wrapped)
        lines.append(f"{indent}{text}")

    for name, value in asdict(settings).items():
        if comments and lines:
            lines.append("")
        if name not in GROUPS:
            add(f"{name}: {_dump(value)}", KEYS[name].about.help)
            continue
        add(f"{name}:", purpose(name))
        for key, part in value.items():
            add(f"{key}: {_dump(part)}", KEYS[f"{name}.{key}"].about.help, "  ")
    return "\n".join(lines) + "\n"


def _dump(value: Any) -> str:
    """A value on one line."""
    text: str = yaml.safe_dump(
        value, allow_unicode=True, sort_keys=False, default_flow_style=True, width=float("inf")
    )
    return text.removesuffix("\n").removesuffix("\n...")


def purpose(group: str) -> str:
    """What a group of settings is about."""
    kind = get_type_hints(Settings)[group]
    assert dataclasses.is_dataclass(kind)
    return str(kind.__doc__)


def explain(key: str) -> str:
    """Everything about a setting, or about each setting of a group.

    Raises:
        LSCError: there is no such setting, with the nearest one.
    """
    if key in GROUPS:
        return "\n\n".join([f"{key}: {purpose(key)}", *map(_explained, GROUPS[key])])
    if key not in KEYS:
        raise unknown_name("setting", key, [*KEYS, *GROUPS])
    return _explained(KEYS[key])


def _explained(setting: Setting) -> str:
    lines = textwrap.wrap(setting.about.help, _WIDTH)
    lines += [f"{name}: {text}" for name, text in _facts(setting).items()]
    return "\n  ".join([setting.key, *lines])


def _facts(setting: Setting) -> dict[str, str]:
    about, facts = setting.about, {"type": setting.kind}
    if about.names is not None:
        table = TABLES[about.names]
        facts["values"] = f"{', '.join(table)}, or module:attribute, {table.own}"
    elif setting.range:
        facts["values"] = setting.range
    facts["default"] = _dump(setting.default)
    if about.part is not None:
        facts["for"] = f"strategies that have {about.part}"
    facts["in a run that goes on"] = "may change" if about.changeable else "stays as it is"
    return facts


def page() -> str:
    """docs/settings.md."""
    parts = [_HEAD, _table([setting for setting in KEYS.values() if "." not in setting.key])]
    for group, settings in GROUPS.items():
        parts += [f"## {group}\n\n{purpose(group)}\n", _table(settings)]
    return "\n".join(parts)


def _table(settings: list[Setting]) -> str:
    rows = ["| setting | meaning | values | default |", "|---|---|---|---|"]
    for setting in settings:
        facts, about = _facts(setting), setting.about
        values = facts["type"]
        if about.names is not None:
            article = "an" if about.names[0] in "aeiou" else "a"
            values = f"{article} {about.names}, or module:attribute"
        elif setting.range:
            values = setting.range if about.choices else f"{setting.kind}, {setting.range}"
        marks = "" if about.part is None else f" For strategies that have {about.part}."
        marks += " May change in the middle of a run." if about.changeable else ""
        rows.append(f"| `{setting.key}` | {about.help}{marks} | {values} | `{facts['default']}` |")
    return "\n".join(rows) + "\n"


_HEAD = """\
# Settings

Written by `lsc-cl show --page`. A setting is given as `key=value`: `lsc-cl run train.epochs=20`;
`encoder=mlp` is short for `encoder.name=mlp`. `lsc-cl show` prints all of them as a run would use
them, `lsc-cl show --explain KEY` says everything about one. Defaults are those of the package; a
scenario has some of its own (`lsc-cl show scenario=…`).
"""
