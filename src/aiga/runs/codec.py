"""A state as JSON and named arrays, and back.

The JSON describes itself where it must (tuples against lists, which dataclass, arrays by name); where a
dataclass has annotations they decide what comes back. Nothing in a stored state is ever imported or executed:
a dataclass is only built if the caller's own types contain it.

    float, not finite     {"$float": "nan" | "inf" | "-inf"}
    array                 {"$array": name}, the array itself beside the JSON
    tuple                 {"$tuple": [...]}
    dataclass, NamedTuple {"$type": class name, field: value, ...}
    other mappings        {"$dict": [[key, value], ...]}
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import math
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import numpy as np

T = TypeVar("T")

_SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class CodecError(ValueError):
    """A value that cannot be stored, or stored data that does not fit the type asked for.

    Reads "path: what is allowed". `path` is dotted and empty at the root.
    """

    def __init__(self, path: str, allowed: str):
        super().__init__(f"{path}: {allowed}" if path else allowed)
        self.path = path
        self.allowed = allowed


@dataclass(frozen=True)
class Encoded:
    """What `encode` made: JSON-ready data and the arrays it names."""

    tree: Any
    arrays: dict[str, np.ndarray]


def encode(value: Any) -> Encoded:
    """Takes apart nested dataclasses, named tuples, containers, numbers, strings, None and arrays.

    Raises `CodecError` naming the place of a value of any other type.
    """
    arrays: dict[str, np.ndarray] = {}
    return Encoded(_encode(value, "", arrays), arrays)


def decode(
    kind: Any, tree: Any, arrays: Mapping[str, np.ndarray] | None = None, known: Iterable[type] = ()
) -> Any:
    """Builds a `kind` (a class or any annotation) from what `encode` or `plain` made.

    `known` are the classes that may stand where the annotation says `Any`; of several of one name it is the
    one whose fields fit. Fields that the data lacks take their default, so that a class may grow. Raises
    `CodecError` naming the field that does not fit.
    """
    reader = _Reader(arrays or {}, tuple(known))
    return reader.read(kind, tree, "", {})


def types_in(value: Any) -> set[type]:
    """Every dataclass and named tuple found inside `value`."""
    found: set[type] = set()

    def visit(item: Any) -> None:
        if _is_record(type(item)):
            found.add(type(item))
            for name in _field_names(type(item)):
                visit(getattr(item, name))
        elif isinstance(item, Mapping):
            for part in item.values():
                visit(part)
        elif isinstance(item, list | tuple):
            for part in item:
                visit(part)

    visit(value)
    return found


def plain(value: Any) -> Any:
    """Data for people and other programs: valid JSON without marks; a number that is not finite is null.

    One way only in general, but numbers keep all their digits: float32 is written in its shortest form, which
    reads back as the same float32.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.ndarray | np.generic) or _is_foreign_array(value):
        return _plain_array(np.asarray(value))
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if _is_record(type(value)):
        return {name: plain(getattr(value, name)) for name in _field_names(type(value))}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    raise CodecError("", f"plain data, not a {type(value).__name__}")


def _plain_array(array: np.ndarray) -> Any:
    if array.ndim:
        return [_plain_array(part) for part in array]
    item = array.item()
    if isinstance(item, bool | int | str):
        return item
    if isinstance(item, float):
        # str() of a narrow float gives its own shortest digits; item() would give those of its double.
        return float(str(array[()])) if math.isfinite(item) else None
    raise CodecError("", f"an array of numbers, not of {array.dtype}")


def _is_foreign_array(value: Any) -> bool:
    return hasattr(value, "__array__") and hasattr(value, "dtype") and hasattr(value, "shape")


def _is_named_tuple(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields")


def _is_record(cls: Any) -> bool:
    return isinstance(cls, type) and (dataclasses.is_dataclass(cls) or _is_named_tuple(cls))


def _field_names(cls: Any) -> list[str]:
    if _is_named_tuple(cls):
        return list(cls._fields)
    return [f.name for f in dataclasses.fields(cls) if f.init]


def _join(path: str, part: object) -> str:
    return f"{path}.{part}" if path else str(part)


def _encode(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, np.ndarray | np.generic) or _is_foreign_array(value):
        try:
            # Not ascontiguousarray: that one makes a vector of a scalar.
            array = np.asarray(value, order="C")
        except TypeError as error:
            raise CodecError(path, f"an array of numbers ({error})") from None
        if array.dtype.kind not in "fiub" or array.dtype.byteorder == ">":
            raise CodecError(path, f"an array of numbers in native byte order, not of {array.dtype}")
        name = path
        while name in arrays:  # keys with dots can make two places read the same
            name += "'"
        arrays[name] = array
        return {"$array": name}
    if _is_record(type(value)):
        fields = {
            name: _encode(getattr(value, name), _join(path, name), arrays)
            for name in _field_names(type(value))
        }
        return {"$type": type(value).__name__, **fields}
    if type(value) is tuple:
        return {"$tuple": [_encode(item, _join(path, i), arrays) for i, item in enumerate(value)]}
    if type(value) is list:
        return [_encode(item, _join(path, i), arrays) for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        if all(type(key) is str and not key.startswith("$") for key in value):
            return {key: _encode(item, _join(path, key), arrays) for key, item in value.items()}
        pairs = [
            [_encode(key, _join(path, f"key {i}"), arrays), _encode(item, _join(path, key), arrays)]
            for i, (key, item) in enumerate(value.items())
        ]
        return {"$dict": pairs}
    allowed = "dataclasses, tuples, lists, dicts, numbers, strings, None or arrays"
    raise CodecError(path, f"{allowed}, not a {type(value).__name__}")


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    """By field; nothing, so that all are Any, for a class whose annotations exist for type checkers alone."""
    try:
        return typing.get_type_hints(cls)
    except NameError:
        return {}


class _Reader:
    """Decodes one tree. `bound` carries what the type variables of a generic class stand for."""

    def __init__(self, arrays: Mapping[str, np.ndarray], known: tuple[type, ...]):
        self.arrays = arrays
        self.known = known

    def read(self, hint: Any, tree: Any, path: str, bound: dict[Any, Any]) -> Any:
        hint = bound.get(hint, hint) if isinstance(hint, TypeVar) else hint
        origin, args = get_origin(hint), get_args(hint)
        if hint in (Any, object) or isinstance(hint, TypeVar):
            return self.read_any(tree, path)
        if origin in (Union, types.UnionType):
            return self.read_union(args, tree, path, bound)
        if origin is Literal:
            if tree not in args:
                raise CodecError(path, f"one of {', '.join(map(repr, args))}, not {tree!r}")
            return tree
        cls = origin or hint
        if cls is None or cls is type(None):
            return self.expect(tree is None, None, path, "nothing", tree)
        if cls is bool:
            return self.expect(isinstance(tree, bool), tree, path, "true or false", tree)
        if cls in (int, float):
            return self.read_number(cls, tree, path)
        if cls is str:
            return self.expect(isinstance(tree, str), tree, path, "a text", tree)
        if _is_record(cls):
            parameters = getattr(cls, "__parameters__", ())
            values = [bound.get(a, a) if isinstance(a, TypeVar) else a for a in args]
            return self.read_record(cls, tree, path, dict(zip(parameters, values, strict=False)))
        if cls in (tuple, list, collections.abc.Sequence):
            return self.read_sequence(cls, args, tree, path, bound)
        if cls in (dict, collections.abc.Mapping):
            return self.read_mapping(args, tree, path, bound)
        if cls is np.ndarray or getattr(cls, "__name__", "") in ("Array", "ndarray"):
            return self.read_array(tree, path)
        raise CodecError(path, f"an annotation that can be stored, not {hint!r}")

    def expect(self, fits: bool, value: Any, path: str, allowed: str, tree: Any) -> Any:
        if not fits:
            shown = repr(tree) if isinstance(tree, str | int | float | None) else type(tree).__name__
            raise CodecError(path, f"{allowed}, not {shown}")
        return value

    def read_number(self, cls: type, tree: Any, path: str) -> Any:
        number: Any = tree
        if isinstance(tree, dict) and "$array" in tree:
            array = self.read_array(tree, path)
            number = array.item() if array.ndim == 0 else array
        elif isinstance(tree, dict) and cls is float:
            said = tree.get("$float", "")
            number = _SPECIAL.get(said, tree) if isinstance(said, str) else tree
        if isinstance(number, bool) or not isinstance(number, (int, float) if cls is float else int):
            self.expect(False, None, path, "a whole number" if cls is int else "a number", tree)
        try:
            return cls(number)
        except OverflowError:
            self.expect(False, None, path, "a number of double precision", "a larger one")

    def read_array(self, tree: Any, path: str) -> np.ndarray:
        if isinstance(tree, dict) and set(tree) == {"$array"}:
            if tree["$array"] not in self.arrays:
                raise CodecError(path, "an array that is stored beside the state")
            array = self.arrays[tree["$array"]].view()
            array.flags.writeable = False
            return array
        self.expect(isinstance(tree, list | int | float), None, path, "an array", tree)
        try:
            array = np.asarray(tree)
        except ValueError:
            raise CodecError(path, "an array whose rows have one length") from None
        if array.dtype.kind not in "fiub":
            raise CodecError(path, "an array of numbers")
        return array.astype(np.float32) if array.dtype.kind == "f" else array

    def read_union(self, members: tuple[Any, ...], tree: Any, path: str, bound: dict[Any, Any]) -> Any:
        if tree is None and type(None) in members:
            return None
        tag = tree.get("$type") if isinstance(tree, dict) else None
        named = [m for m in members if getattr(get_origin(m) or m, "__name__", None) == tag]
        problems = []
        for member in named or [m for m in members if m is not type(None)]:
            try:
                return self.read(member, tree, path, bound)
            except CodecError as problem:
                problems.append(problem)
        # The problem found deepest is about the member that was meant.
        raise max(problems, key=lambda problem: len(problem.path))

    def read_record(self, cls: Any, tree: Any, path: str, bound: dict[Any, Any]) -> Any:
        self.expect(isinstance(tree, dict), None, path, f"the fields of {cls.__name__}", tree)
        hints, names = _hints(cls), _field_names(cls)
        for name in tree:
            if name not in names and name != "$type":
                raise CodecError(_join(path, name), f"unknown field; {cls.__name__} has {', '.join(names)}")
        values = {
            name: self.read(hints.get(name, Any), tree[name], _join(path, name), bound)
            for name in names
            if name in tree
        }
        try:
            return cls(**values)
        except TypeError:
            missing = [name for name in names if name not in values]
            if not missing:
                raise
            raise CodecError(path, f"{cls.__name__} with its fields {', '.join(missing)}") from None
        except CodecError:
            raise
        except ValueError as error:
            raise _placed(path, str(error)) from None

    def read_sequence(
        self, cls: type, args: tuple[Any, ...], tree: Any, path: str, bound: dict[Any, Any]
    ) -> Any:
        if isinstance(tree, dict) and set(tree) == {"$tuple"}:
            tree = tree["$tuple"]
        self.expect(isinstance(tree, list), None, path, "a list", tree)
        if cls is tuple and args and args[-1] is not Ellipsis:
            if len(tree) != len(args):
                raise CodecError(path, f"{len(args)} values, not {len(tree)}")
            hints = args
        else:
            hints = [args[0] if args else Any] * len(tree)
        items = [
            self.read(h, item, _join(path, i), bound)
            for i, (h, item) in enumerate(zip(hints, tree, strict=True))
        ]
        return items if cls is list else tuple(items)

    def read_mapping(
        self, args: tuple[Any, ...], tree: Any, path: str, bound: dict[Any, Any]
    ) -> dict[Any, Any]:
        self.expect(isinstance(tree, dict), None, path, "a table", tree)
        pairs = tree["$dict"] if set(tree) == {"$dict"} else tree.items()
        key_hint, value_hint = args or (Any, Any)
        return {
            self.read(key_hint, key, _join(path, "key"), bound): self.read(
                value_hint, item, _join(path, key), bound
            )
            for key, item in pairs
        }

    def read_any(self, tree: Any, path: str) -> Any:
        if isinstance(tree, list):
            return [self.read_any(item, _join(path, i)) for i, item in enumerate(tree)]
        if not isinstance(tree, dict):
            return tree
        if "$type" in tree:
            named = tuple(each for each in self.known if each.__name__ == tree["$type"])
            if not named:
                raise CodecError(path, f"a known type, not {tree['$type']}")
            return self.read_union(named, tree, path, {})
        for mark, hint in (("$float", float), ("$array", np.ndarray), ("$tuple", tuple), ("$dict", dict)):
            if mark in tree:
                return self.read(hint, tree, path, {})
        return {key: self.read_any(item, _join(path, key)) for key, item in tree.items()}


def _placed(path: str, message: str) -> CodecError:
    """A class's own complaint "field: allowed", with the place of the class put before the field."""
    name, colon, allowed = message.partition(": ")
    return CodecError(_join(path, name), allowed) if colon else CodecError(path, message)
