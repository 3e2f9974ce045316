"""Backends: everything that can import and run a model, behind one small protocol.

In: a backend's name. Out: the backend, whose packages are imported only when it is used.

>>> from pelemay import backends
>>> sorted({"reference", "naive", "onnxruntime"} & set(backends.names()))
['naive', 'onnxruntime', 'reference']
>>> backends.get("reference").description
"pelemay's operation table over NumPy, parameters in place"
"""

from __future__ import annotations

from pelemay.backends.decorate import Record, decorate, runs_by_operation
from pelemay.backends.log import OperationEntry, logged
from pelemay.backends.protocol import Backend, OperationByOperation, Runnable
from pelemay.backends.registry import available, get, names

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
