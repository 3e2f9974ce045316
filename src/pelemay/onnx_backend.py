"""The adapter through which ONNX's own backend tests run pelemay.

In: a ``ModelProto``. Out: an ``onnx.backend.base.BackendRep`` that runs it, on the reference
backend, or compiled for the engine.

>>> import numpy as np, onnx.parser
>>> model = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
... g (float[2] x) => (float[2] y) { y = Neg(x) }''')
>>> prepare(model).run([np.array([1, 2], np.float32)])
(array([-1., -2.], dtype=float32),)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from onnx.backend.base import Backend, BackendRep

from pelemay.backends.programs import ProgramRunnable
from pelemay.backends.protocol import Runnable
from pelemay.backends.reference import GraphRunnable, numpy_table
from pelemay.backends.specialized import SpecializedRunnable
from pelemay.compilation import compile_graph
from pelemay.errors import InputError
from pelemay.graph import Graph
from pelemay.importers import from_proto
from pelemay.passes.host_inputs import host_inputs
from pelemay.program.describe import refuse_fallbacks
from pelemay.program.image import image


class PelemayBackendRep(BackendRep):
    """A model that is ready to run."""

    def __init__(self, graph: Graph, runnable: Runnable) -> None:
        self.graph = graph
        self._runnable = runnable

    def run(self, inputs: Sequence[Any], **kwargs: Any) -> tuple[Any, ...]:
        """Run once.

        Parameters
        ----------
        inputs : sequence
            Values of the graph's inputs, in order; a dict by name is fine too.

        Returns
        -------
        tuple
            Values of all outputs, in order.

        Raises
        ------
        InputError
            If there are more values than inputs.
        """
        names = list(self.graph.inputs)
        if len(inputs) > len(names):
            raise InputError(f"{len(inputs)} values for the inputs {names}")
        feeds = inputs if isinstance(inputs, dict) else dict(zip(names, inputs, strict=False))
        return tuple(self._runnable.run(feeds, list(self.graph.outputs)).values())


class PelemayBackend(Backend):
    """``onnx.backend.base.Backend`` over the reference backend."""

    @classmethod
    def prepare(
        cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any
    ) -> PelemayBackendRep:
        """Make a model ready to run.

        Raises
        ------
        ModelError
            If the model is broken.
        """
        graph = from_proto(model).graph
        return PelemayBackendRep(graph, GraphRunnable(graph, numpy_table()))

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether ``device`` is the CPU."""
        return device.split(":")[0] == "CPU"


class NativeBackend(PelemayBackend):
    """The same over the engine: compiled in memory, for the shapes of the first run's inputs."""

    @classmethod
    def prepare(
        cls,
        model: onnx.ModelProto,
        device: str = "CPU",
        *,
        allow_fallback: bool = True,
        **kwargs: Any,
    ) -> PelemayBackendRep:
        """Make a model ready to be compiled.

        Parameters
        ----------
        model : onnx.ModelProto
            The model.
        device : str
            Only ``"CPU"`` is there.
        allow_fallback : bool
            Whether nodes that have no instruction may be left to the reference backend.

        Raises
        ------
        ModelError
            If the model is broken.
        """
        graph = from_proto(model).graph

        def compile_for(shapes: Mapping[str, Any], values: Mapping[str, Any]) -> ProgramRunnable:
            program = compile_graph(graph, shapes, values)
            if not allow_fallback:
                refuse_fallbacks(program.metadata)
            return ProgramRunnable(image(program), threads=2)

        runnable = SpecializedRunnable(compile_for, host_inputs(graph), graph.inputs)
        return PelemayBackendRep(graph, runnable)


is_compatible = PelemayBackend.is_compatible
prepare = PelemayBackend.prepare
run = PelemayBackend.run_model
supports_device = PelemayBackend.supports_device
