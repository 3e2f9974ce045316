"""The ``onnx`` backend: the usual way in Python, with the ``onnx`` package alone.

In: an ONNX file, parsed whole by protobuf. Out: a copy of each parameter, and onnx's own
reference evaluator, which shares nothing with pelemay's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pelemay.backends.packages import import_packages, safetensors
from pelemay.backends.protocol import Buffers
from pelemay.errors import ExecutionError, ModelError, UnsupportedError


class OnnxBackend:
    """``onnx.load``, ``numpy_helper.to_array`` and ``onnx.reference``."""

    name = "onnx"
    description = "the onnx package's usual way: onnx.load, to_array, ReferenceEvaluator"
    requires = ("onnx",)
    uses = ("onnx.numpy_helper", "onnx.reference.ops", "safetensors.numpy")

    def import_runtime(self) -> None:
        """Import onnx and its reference evaluator."""
        import_packages(self)

    def prepare(self, path: Path, *, threads: int | None = None) -> OnnxRunnable:
        """Load the model into onnx's reference evaluator; NumPy decides about threads.

        Raises
        ------
        ModelError
            If the file is broken.
        UnsupportedError
            If the evaluator lacks an operation.
        """
        self.import_runtime()
        from onnx.reference import ReferenceEvaluator

        model = _load(path)
        try:
            return OnnxRunnable(ReferenceEvaluator(_spoken(model)))
        except Exception as error:
            raise UnsupportedError(
                f"onnx.reference cannot run the model: {error}",
                where=str(path),
                hint="use backend='reference'",
            ) from error

    def parameters(self, path: Path) -> Mapping[str, Any]:
        """The initializers as ``numpy_helper.to_array`` gives them.

        Raises
        ------
        ModelError
            If the file is broken.
        """
        self.import_runtime()
        from onnx import numpy_helper

        model = _load(path)
        try:
            return {str(t.name): numpy_helper.to_array(t) for t in model.graph.initializer}
        except Exception as error:
            what = f"onnx cannot read a parameter: {type(error).__name__}: {error}"
            raise ModelError(what, where=str(path)) from error

    def serialize(self, parameters: Mapping[str, Any]) -> Buffers:
        """safetensors, by its own package for NumPy."""
        return [safetensors("numpy").save(dict(parameters))]


@dataclass(frozen=True)
class OnnxRunnable:
    """onnx's reference evaluator with a model in it."""

    evaluator: Any

    def run(self, feeds: Mapping[str, Any], outputs: Sequence[str] | None = None) -> dict[str, Any]:
        """Run once.

        Raises
        ------
        ExecutionError
            If an operation fails.
        """
        import numpy as np

        wanted = list(self.evaluator.output_names if outputs is None else outputs)
        try:
            with np.errstate(all="ignore"):
                results = self.evaluator.run(wanted, dict(feeds))
        except Exception as error:
            raise ExecutionError(
                f"{type(error).__name__}: {error}", where="onnx.reference"
            ) from error
        return dict(zip(wanted, results, strict=True))


def _spoken(model: Any) -> Any:
    """The model in an operator set whose BatchNormalization the evaluator gets right.

    Before version 14 the evaluator takes the statistics of the data, as in training.
    """
    from onnx import version_converter

    old = any(opset.domain == "" and opset.version < 14 for opset in model.opset_import)
    normalizes = any(node.op_type == "BatchNormalization" for node in model.graph.node)
    return version_converter.convert_version(model, 14) if old and normalizes else model


def _load(path: Path) -> Any:
    import onnx

    try:
        return onnx.load(str(path))
    except Exception as error:
        raise ModelError(f"onnx.load cannot read it: {error}", where=str(path)) from error
