"""The ``naive`` backend: parameters decoded element by element, as AxonOnnx does.

In: an ONNX file, read whole. Out: its parameters, each element of a repeated field having been
a Python object in a list before it became an element of an array. ``raw_data`` stays a
reference into the bytes of the file. It is here to show what that costs.

All lists are made before the first array, because a protobuf decoder has decoded the whole
message before anybody can look at a tensor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pelemay.backends.protocol import Buffers, Wrap
from pelemay.backends.reference import GraphRunnable, ReferenceBackend, numpy_table
from pelemay.errors import ModelError
from pelemay.graph import ArrayConstant, Constant
from pelemay.graph.evaluate import Executor

IN_BYTES = ("raw_data", "external", "sparse")
"""Encodings whose elements are not numbers of a repeated field."""


class NaiveBackend:
    """Element by element, as AxonOnnx imports a model; runs as the reference does."""

    name = "naive"
    description = "imports as AxonOnnx does: every element a Python object in a list"

    def import_runtime(self) -> None:
        """Import NumPy, onnx and the operation table."""
        ReferenceBackend().import_runtime()

    def prepare(
        self, path: Path, *, threads: int | None = None, wrap: Wrap | None = None
    ) -> GraphRunnable:
        """Import the parameters, and run them with the reference; NumPy decides about threads.

        Raises
        ------
        ModelError
            If the file is missing or broken.
        """
        model = _read(path)
        with model.intact():
            arrays = _decoded({name: model.parameters.constant(name) for name in model.parameters})
        constants: dict[str, Constant] = dict(model.graph.constants)
        for name, array in arrays.items():
            constants[name] = ArrayConstant.of(array)
        executor: Executor = numpy_table()
        graph = replace(model.graph, constants=constants)
        return GraphRunnable(graph, wrap(executor) if wrap else executor, model.sources)

    def parameters(self, path: Path) -> Mapping[str, Any]:
        """The parameters as NumPy arrays, made from lists of Python objects."""
        model = _read(path)
        with model.intact():
            return _decoded({name: model.parameters.constant(name) for name in model.parameters})

    def serialize(self, parameters: Mapping[str, Any]) -> Buffers:
        """safetensors, as one piece of bytes."""
        from pelemay.serialization import serialize

        return [b"".join(serialize(parameters))]


def _read(path: Path) -> Any:
    from pelemay.importers import from_proto

    try:
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise ModelError(f"cannot be read: {reason}", where=str(path)) from error
    try:
        return from_proto(data, path.parent)
    except ModelError as error:
        raise error.at(str(path)) from error


def _decoded(constants: Mapping[str, Constant]) -> dict[str, Any]:
    import numpy as np

    decoded = {name: _elements(constant) for name, constant in constants.items()}
    return {
        name: np.array(decoded[name], constant.dtype.numpy).reshape(constant.shape)
        if isinstance(decoded[name], list)
        else decoded[name]
        for name, constant in constants.items()
    }


def _elements(constant: Constant) -> Any:
    """A list with an object for each element, or the array where the bytes are the elements."""
    if getattr(constant, "encoding", "sparse") in IN_BYTES:
        return constant.array()
    elements: list[Any] = constant.array().reshape(math.prod(constant.shape)).tolist()
    return elements
