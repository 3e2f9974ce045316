"""Frozen dataclasses to plain JSON values and back.

In: a dataclass, or what ``json.load`` gave. Out: the other. Unknown keys are ignored, so that
an older program reads what a newer one has added.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def encode(value: Any) -> Any:
    """Turn a value into what ``json.dump`` takes; of a path only the file's name is kept."""
    if is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    return value.name if isinstance(value, Path) else value


def decode(kind: type[T], value: Any) -> T:
    """Build a value of ``kind`` from what :func:`encode` made.

    Raises
    ------
    TypeError, KeyError, ValueError
        If the value is not of that kind.
    """
    found: T = _decode(kind, value)
    return found


def _decode(kind: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        is_none = value is None and types.NoneType in arguments
        return None if is_none else _decode(arguments[0], value)
    if origin is tuple:
        return tuple(_decode(arguments[0], item) for item in _expect(list, value))
    if origin is Mapping:
        return {key: _decode(arguments[1], item) for key, item in _expect(dict, value).items()}
    if is_dataclass(kind):
        return _decode_dataclass(kind, _expect(dict, value))
    if kind is Path:
        return Path(_expect(str, value))
    return (
        float(_expect(int, value))
        if kind is float and isinstance(value, int)
        else _expect(kind, value)
    )


def _decode_dataclass(kind: Any, value: dict[str, Any]) -> Any:
    hints = typing.get_type_hints(kind)
    known = {f.name: _decode(hints[f.name], value[f.name]) for f in fields(kind) if f.name in value}
    return kind(**known)


def _expect(kind: Any, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r:.60} is not of type {kind.__name__}")
    return value
