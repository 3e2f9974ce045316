"""The ``onnxruntime`` backend: ONNX Runtime on the CPU.

In: an ONNX file, handed over as it is. Out: a session of onnxruntime.

ONNX Runtime offers no way to read a session's parameters. What it can do is write the model
again while it builds the session; so importing is building a session that writes the model,
unoptimised, to memory, and serializing is taking what it wrote.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pelemay.backends.packages import import_packages
from pelemay.backends.protocol import Buffers
from pelemay.errors import ExecutionError, InputError, ModelError, PelemayError, UnsupportedError

WRITTEN = "the model, written by its session"
"""The only name in what :meth:`OnnxRuntimeBackend.parameters` gives."""


class OnnxRuntimeBackend:
    """ONNX Runtime with its CPU provider."""

    name = "onnxruntime"
    keeps_names = False
    description = "ONNX Runtime, CPU provider; serializes by writing the model from its session"
    requires = ("onnxruntime",)
    extra = "onnxruntime"

    def import_runtime(self) -> None:
        """Import onnxruntime.

        Raises
        ------
        BackendUnavailableError
            If it is not installed.
        """
        import_packages(self)

    def prepare(self, path: Path, *, threads: int | None = None) -> OnnxRuntimeRunnable:
        """Build a session with onnxruntime's default optimisations.

        ``threads`` is the number of threads within an operation; all cores if not given.

        Raises
        ------
        ModelError
            If onnxruntime finds the file broken.
        UnsupportedError
            If it lacks an operation or an element type.
        """
        self.import_runtime()
        return OnnxRuntimeRunnable(_session(path, _options(threads)))

    def parameters(self, path: Path) -> Mapping[str, Any]:
        """Build a session without optimisations that writes its model to memory.

        Returns
        -------
        mapping
            One entry: the session together with the file in memory that it wrote.

        Raises
        ------
        UnsupportedError
            If the system has no files in memory (memfd, Linux), or the model is too large
            for onnxruntime to write in one piece (2 GiB).
        ModelError
            If onnxruntime finds the file broken.
        """
        self.import_runtime()
        if not hasattr(os, "memfd_create"):
            raise UnsupportedError(
                "onnxruntime keeps no parameters that could be read, and this system has no file "
                "in memory for it to write its model to",
                where="backend 'onnxruntime'",
            )
        import onnxruntime

        options = _options(None)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        descriptor = os.memfd_create("model")
        try:
            options.optimized_model_filepath = f"/proc/self/fd/{descriptor}"
            session = _session(path, options)
            return {WRITTEN: _Written(session, mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))}
        finally:
            os.close(descriptor)

    def serialize(self, parameters: Mapping[str, Any]) -> Buffers:
        """The model as the session wrote it: an ONNX file in memory, not copied."""
        return [memoryview(parameters[WRITTEN].model)]


@dataclass(frozen=True)
class _Written:
    session: Any
    model: mmap.mmap


@dataclass(frozen=True)
class OnnxRuntimeRunnable:
    """A session of onnxruntime."""

    session: Any

    def run(self, feeds: Mapping[str, Any], outputs: Sequence[str] | None = None) -> dict[str, Any]:
        """Run once.

        Raises
        ------
        InputError
            If names, types or shapes of the feeds do not fit.
        ExecutionError
            If an operation fails.
        """
        names = [output.name for output in self.session.get_outputs()]
        wanted = names if outputs is None else list(outputs)
        try:
            results = self.session.run(wanted, dict(feeds))
        except Exception as error:
            raise _translated(error, ExecutionError, "onnxruntime") from error
        return dict(zip(wanted, results, strict=True))


def _options(threads: int | None) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
    return options


def _session(path: Path, options: Any) -> Any:
    import onnxruntime

    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise _translated(error, ModelError, str(path)) from error


def _translated(error: Exception, default: type[PelemayError], where: str) -> PelemayError:
    """An error of onnxruntime's as one of pelemay's; its text names the node where it knows it."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    kind = type(error).__name__
    if kind == "InvalidArgument" or isinstance(error, ValueError):
        return InputError(text, where=where)
    missing = ("is not a registered function/op", "NOT_IMPLEMENTED", "is under development")
    if kind == "NotImplemented" or any(sign in text for sign in missing):
        return UnsupportedError(text, where=where, hint="use backend='reference'")
    return default(text, where=where)
