"""A system's configuration from its preset, a TOML file and flags, checked field by field.

Every complaint is one line: the dotted field, then what is allowed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import io
import math
import tomllib
import typing
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from aiga.runs.codec import CodecError, decode, plain


class UserError(Exception):
    """A mistake on the command line. The message is one line, "field: what is allowed"."""


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint for a name that does not exist, or nothing."""
    close = difflib.get_close_matches(name, list(names), 1, 0.5)
    return f"; did you mean {close[0]}?" if close else ""


def leaves(kind: type, prefix: str = "") -> dict[str, Any]:
    """The dotted fields of a configuration class and their annotations."""
    hints = typing.get_type_hints(kind)
    found: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            found |= leaves(hint, f"{prefix}{field.name}.")
        else:
            found[prefix + field.name] = hint
    return found


def presets(system: str) -> list[str]:
    folder = resources.files("aiga") / "presets" / system
    if not folder.is_dir():
        return []
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def from_preset(kind: type, system: str, name: str) -> dict[str, Any]:
    """The fields a preset sets, dotted."""
    names = presets(system)
    if not names:
        raise UserError(f"preset: {system} has none")
    if name not in names:
        raise UserError(f"preset: {_one_of(names)}, not '{name}'{nearest(name, names)}")
    text = (resources.files("aiga") / "presets" / system / f"{name}.toml").read_text(encoding="utf-8")
    return _flat(kind, tomllib.loads(text))


def from_toml(kind: type, path: Path) -> dict[str, Any]:
    """The fields a TOML file sets, dotted."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"config: {path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"config: {path}: not TOML: {' '.join(str(error).split())}") from None
    return _flat(kind, data)


def from_flags(kind: type, flags: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The fields set by flags such as `--es.population 512`; each flag comes with its values, but for
    `--no-turns`, which is `--turns False`."""
    hints = leaves(kind)
    found: dict[str, Any] = {}
    for flag, *values in flags:
        name, equals, value = flag.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        denied = name.removeprefix("no_")
        if name not in hints and hints.get(denied) is bool and not (equals or values):
            found[denied] = False
            continue
        if name not in hints:
            raise UserError(f"{name}: no such option or field{nearest(name, hints)}")
        found[name] = _value(hints[name], name, [value, *values] if equals else values)
    return found


def resolve(default: Any, *layers: dict[str, Any]) -> Any:
    """The configuration: the system's default, each layer over the one before."""
    values = dict(_flatten(plain(default)))
    for layer in layers:
        values |= layer
    for name, value in values.items():
        numbers = value if isinstance(value, list | tuple) else [value]
        if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
            raise UserError(f"{name}: a finite number, not {value}")
    try:
        return decode(type(default), _nest(values))
    except CodecError as error:
        raise UserError(str(error)) from None


def stored(default: Any, config: dict[str, Any]) -> dict[str, Any]:
    """What a run was made with, dotted. Fields that are younger than the run get their default."""
    return dict(_flatten(plain(default))) | _flat(type(default), config)


def changed(before: dict[str, Any], layer: dict[str, Any]) -> tuple[str, Any, Any] | None:
    """The first field that `layer` sets to another value: its name, the value before, the one asked for."""
    for name, value in layer.items():
        value = list(value) if isinstance(value, tuple) else value
        if value != before[name]:
            return name, before[name], value
    return None


def describe(hint: Any) -> str:
    """What a field takes, in words."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return _one_of([str(arg) for arg in args])
    if origin is tuple:
        unit = {int: "whole numbers", float: "numbers"}.get(args[0], "values")
        return unit if args[-1] is Ellipsis else f"{len(args)} {unit}"
    return {int: "a whole number", float: "a number", bool: "True or False", str: "a text"}.get(
        hint, str(hint)
    )


def _value(hint: Any, name: str, words: Sequence[str]) -> Any:
    import tyro

    if hint is bool and not words:
        return True
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            return tyro.cli(hint, args=list(words), add_help=False, config=(tyro.conf.FlagConversionOff,))
    except SystemExit:
        given = f", not '{' '.join(words)}'" if words else ""
        raise UserError(f"{name}: {describe(hint)}{given}") from None


def _one_of(names: Sequence[str]) -> str:
    return f"one of {', '.join(names)}" if len(names) != 1 else names[0]


def _flat(kind: type, data: dict[str, Any]) -> dict[str, Any]:
    """Nested tables as dotted fields, each of them one that `kind` has."""
    hints = leaves(kind)
    tables = {name.rpartition(".")[0] for name in hints}
    flat = dict(_flatten(data))
    for name, value in flat.items():
        if name in tables:
            raise UserError(f"{name}: a table of fields, not {value!r}")
        if name not in hints:
            raise UserError(f"{name}: no such field{nearest(name, hints)}")
    return flat


def _flatten(data: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _nest(values: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in values.items():
        *path, leaf = name.split(".")
        table = nested
        for part in path:
            table = table.setdefault(part, {})
        table[leaf] = list(value) if isinstance(value, tuple) else value
    return nested
