"""The ``openvino`` backend: OpenVINO's CPU plugin.

In: an ONNX file, read by OpenVINO's own front end. Out: a compiled model. Its parameters are
the constants of the model as read, under the names that OpenVINO keeps for them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pelemay.backends.packages import import_packages, safetensors
from pelemay.backends.protocol import Buffers
from pelemay.errors import ExecutionError, InputError, ModelError, PelemayError, UnsupportedError


class OpenVinoBackend:
    """OpenVINO on the CPU, in the precision of the model."""

    name = "openvino"
    keeps_names = False
    description = "OpenVINO's CPU plugin; parameters are the constants of the model that it reads"
    requires = ("openvino",)
    uses = ("safetensors.numpy",)
    extra = "openvino"

    def import_runtime(self) -> None:
        """Import OpenVINO, without its telemetry.

        Raises
        ------
        BackendUnavailableError
            If it is not installed.
        """
        # Unless asked not to, OpenVINO reports to its makers over the network, from a forked
        # process; without this package it falls back to a stub that sends nothing.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        import_packages(self)

    def prepare(self, path: Path, *, threads: int | None = None) -> OpenVinoRunnable:
        """Read the model and compile it for the CPU.

        ``threads`` is INFERENCE_NUM_THREADS; OpenVINO's own choice if not given.

        Raises
        ------
        ModelError
            If OpenVINO cannot read the file.
        UnsupportedError
            If it lacks an operation.
        """
        self.import_runtime()
        import openvino

        # Where the processor could, it would compute float32 models in bfloat16.
        config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if threads is not None:
            config["INFERENCE_NUM_THREADS"] = threads
        core = openvino.Core()
        model = _read(core, path)
        try:
            return OpenVinoRunnable(core.compile_model(model, "CPU", config))
        except Exception as error:
            raise _translated(error, UnsupportedError, str(path)) from error

    def parameters(self, path: Path) -> Mapping[str, Any]:
        """The constants of the model, by OpenVINO's names; views of its memory.

        Raises
        ------
        ModelError
            If OpenVINO cannot read the file.
        """
        self.import_runtime()
        import openvino

        model = _read(openvino.Core(), path)
        constants = (op for op in model.get_ordered_ops() if op.get_type_name() == "Constant")
        return {constant.get_friendly_name(): constant.data for constant in constants}

    def serialize(self, parameters: Mapping[str, Any]) -> Buffers:
        """safetensors, by its own package for NumPy."""
        return [safetensors("numpy").save(dict(parameters))]


@dataclass(frozen=True)
class OpenVinoRunnable:
    """A compiled model of OpenVINO."""

    compiled: Any

    def run(self, feeds: Mapping[str, Any], outputs: Sequence[str] | None = None) -> dict[str, Any]:
        """Run once.

        Raises
        ------
        InputError
            If a name of the feeds or of the outputs is not the model's.
        ExecutionError
            If an operation fails.
        """
        ports = {name: port for port in self.compiled.outputs for name in port.get_names()}
        try:
            results = self.compiled(dict(feeds))
            if outputs is None:
                return {_name(port): results[port] for port in self.compiled.outputs}
            return {name: results[ports[name]] for name in outputs}
        except Exception as error:
            raise _translated(error, ExecutionError, "openvino") from error


def _name(port: Any) -> str:
    return str(port.get_any_name())


def _read(core: Any, path: Path) -> Any:
    try:
        return core.read_model(str(path))
    except Exception as error:
        raise _translated(error, ModelError, str(path)) from error


def _translated(error: Exception, default: type[PelemayError], where: str) -> PelemayError:
    """An error of OpenVINO's as one of pelemay's, without the places in its source."""
    lines = [line.strip(" -") for line in str(error).splitlines()]
    places = ("Exception from", "Check '", "Summary:")
    text = "; ".join(line for line in lines if line and not line.startswith(places))
    if any(sign in text for sign in ("OpConversionFailure", "not supported", "unsupported")):
        return UnsupportedError(text, where=where, hint="use backend='reference'")
    if isinstance(error, KeyError) or "Port for tensor name" in text:
        return InputError(text, where=where)
    return default(text or type(error).__name__, where=where)
