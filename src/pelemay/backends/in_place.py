"""Parameters that stay in their ONNX file: what backends over NumPy hand out.

In: the path of an ONNX file. Out: read-only arrays that lie in it, and their bytes as safetensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from pelemay.backends.protocol import Buffers


class InPlace:
    """The part of a backend that imports and serializes parameters, without a copy."""

    def parameters(self, path: Path) -> Mapping[str, Any]:
        """The parameters as read-only arrays that lie in the file."""
        from pelemay.importers import load

        return load(path).parameters

    def serialize(self, parameters: Mapping[str, Any]) -> Buffers:
        """safetensors as a list of buffers; the payloads are views, not copies."""
        from pelemay.serialization import serialize

        buffers = serialize(parameters)
        assert buffers is not None
        return buffers
