"""All operations, from the files beside this one.

>>> find("Conv").group
'convolution'
>>> find("NoSuchOperation") is None
True
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

from pelemay.graph.operations.table import Operation

FAMILIES = (
    "activation",
    "attention",
    "casting",
    "classical",
    "classical_models",
    "classical_trees",
    "comparison",
    "control",
    "convolution",
    "creation",
    "detection",
    "elementwise",
    "flex_attention",
    "forest",
    "fused",
    "indexing",
    "integer",
    "linear",
    "loss",
    "microsoft",
    "microsoft_attention",
    "microsoft_bits",
    "microsoft_quantized",
    "normalization",
    "pooling",
    "quantization",
    "quantized",
    "recurrent",
    "reduction",
    "resize",
    "sequence",
    "shape",
    "signal",
)


@cache
def table() -> dict[tuple[str, str], Operation]:
    """Every row, by domain and name."""
    rows: dict[tuple[str, str], Operation] = {}
    for family in FAMILIES:
        for row in import_module(f"pelemay.graph.operations.{family}").ROWS:
            if (row.domain, row.name) in rows:
                raise AssertionError(f"operation {row.name} has two rows")
            rows[row.domain, row.name] = row
    return rows


def find(name: str, domain: str = "") -> Operation | None:
    """The row of an operation, or None."""
    return table().get((domain, name))


__all__ = ["Operation", "find", "table"]
