"""pelemay runs ONNX networks in the memory that a machine really has.

The names below are loaded when they are first used, so that ``import pelemay`` costs
nothing: neither NumPy nor onnx is imported by it.

>>> import pelemay
>>> sorted(pelemay.__all__)  # doctest: +ELLIPSIS
['Decoder', 'InferenceSession', ...]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pelemay.decoding import Decoder
    from pelemay.importers import Model, load
    from pelemay.serialization import serialize
    from pelemay.session import InferenceSession, SessionOptions
    from pelemay.views import Inspection, Plans, inspect, plans

__version__ = "0.1.0"
__all__ = [
    "Decoder",
    "InferenceSession",
    "Inspection",
    "Model",
    "Plans",
    "SessionOptions",
    "inspect",
    "load",
    "plans",
    "serialize",
]

_HOMES = {
    "Decoder": "pelemay.decoding",
    "InferenceSession": "pelemay.session",
    "SessionOptions": "pelemay.session",
    "Model": "pelemay.importers",
    "load": "pelemay.importers",
    "serialize": "pelemay.serialization",
    "Inspection": "pelemay.views",
    "inspect": "pelemay.views",
    "Plans": "pelemay.views",
    "plans": "pelemay.views",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pelemay' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
