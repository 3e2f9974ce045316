"""Backends: everything that can import and run a model, behind one small protocol.

In: a backend's name. Out: the backend, whose packages are imported only when it is used.

>>> from pelemay import backends
>>> sorted({"reference", "naive", "onnxruntime"} & set(backends.names()))
['naive', 'onnxruntime', 'reference']
>>> backends.get("reference").description
"pelemay's operation table over NumPy, parameters in place"
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pelemay.backends.registry import available, get, names

if TYPE_CHECKING:
    from pelemay.backends.decorator import Record, decorate, runs_by_operation
    from pelemay.backends.log import OperationEntry, logged
    from pelemay.backends.protocol import Backend, OperationByOperation, Runnable

__all__ = [
    "Backend",
    "OperationByOperation",
    "OperationEntry",
    "Record",
    "Runnable",
    "available",
    "decorate",
    "get",
    "logged",
    "names",
    "runs_by_operation",
]

_HOMES = {
    "Backend": "protocol",
    "OperationByOperation": "protocol",
    "OperationEntry": "log",
    "Record": "decorator",
    "Runnable": "protocol",
    "decorate": "decorator",
    "logged": "log",
    "runs_by_operation": "decorator",
}
"""Loaded when first used: a run of a compiled program needs none of them. No module may have the
name of a function here: once it is imported, the name would stand for the module."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pelemay.backends' has no attribute {name!r}")
    value = getattr(import_module(f"pelemay.backends.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
