"""The ``xla`` backend: the operation table traced by JAX, and compiled by XLA as a whole.

In: an ONNX file. Out: a runnable whose parameters are arguments of the compiled function, not
constants in it. Shapes must be known when it compiles: at once where the model's inputs say
them, else at the first run with each combination of shapes.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pelemay.backends.device import DeviceExecutor, host_names, large_constants
from pelemay.backends.packages import CONVERTING, import_packages, safetensors
from pelemay.backends.protocol import Buffers
from pelemay.errors import ExecutionError, UnsupportedError
from pelemay.graph import DType, Graph, Node, TensorType
from pelemay.graph.evaluate import Table, evaluate
from pelemay.graph.ir import walk
from pelemay.graph.operations import find, table

if TYPE_CHECKING:
    from pelemay.importers.source import Source

_log = logging.getLogger(__name__)

KEPT_PROGRAMS = 16
STATIC_ELEMENTS = 64
"""Inputs of rank 0 and 1 up to this size that decide about a shape are part of the program."""

_ELSEWHERE = "use backend='reference', 'torch' or 'onnxruntime'"


class XlaBackend:
    """XLA on the CPU, through JAX."""

    name = "xla"
    description = "pelemay's operation table compiled by XLA (JAX), parameters as its arrays"
    requires = ("jax", "jaxlib")
    uses = (
        *CONVERTING,
        "pelemay.backends.kernels_jax",
        "safetensors.flax",
        "jaxlib.mlir.dialects.mhlo",
    )
    extra = "xla"

    def import_runtime(self) -> None:
        """Import JAX and start XLA's CPU client.

        Raises
        ------
        BackendUnavailableError
            If JAX is not installed.
        """
        import_packages(self)
        import jax

        table()
        jax.devices("cpu")

    def prepare(self, path: Path, *, threads: int | None = None) -> XlaRunnable:
        """Load the graph, copy its parameters, and compile it if all shapes are known.

        XLA's CPU client takes its threads when it starts, for the processors that the process
        may use. Another number is logged and not obeyed.

        Raises
        ------
        ModelError
            If the file is broken.
        UnsupportedError
            If the model cannot be traced: a shape that depends on data, an operation that is
            not in the table, random numbers, an element type that XLA lacks.
        """
        self.import_runtime()
        from pelemay.importers import load

        if threads not in (None, _processors()):
            _log.warning("xla: threads=%s is not obeyed; restrict the process (taskset)", threads)
        model = load(path)
        graph = model.graph
        _refuse_random(graph)
        host = host_names(graph, besides=("If",))
        constants = list(large_constants(graph, host))
        with model.intact():
            arrays = _there([to_device(constant.array()) for constant in constants])
        keys = [id(constant) for constant in constants]
        runnable = XlaRunnable(graph, host, keys, arrays, model.sources)
        if specs := _specs(graph, host):
            runnable.program(specs, tuple(graph.outputs), {})
        return runnable

    def parameters(self, path: Path) -> Mapping[str, Any]:
        """The parameters as arrays of JAX, with memory of their own."""
        self.import_runtime()
        from pelemay.importers import load

        model = load(path)
        with model.intact():
            arrays = _there([to_device(array) for array in model.parameters.values()])
        return dict(zip(model.parameters, arrays, strict=True))

    def serialize(self, parameters: Mapping[str, Any]) -> Buffers:
        """safetensors, by its own package for JAX's arrays."""
        return [safetensors("flax").save(dict(parameters))]


@dataclass(frozen=True)
class XlaRunnable:
    """A graph, its parameters on the device, and the programs compiled so far.

    Parameters
    ----------
    graph : Graph
        What is traced.
    host : frozenset of str
        Values that must be known while tracing.
    keys : list of int
        ``id`` of the graph's constants that are arguments.
    arrays : list
        These constants on the device.
    files : tuple of Source
        What the other constants lie in.
    programs : dict
        Shapes to program, the oldest first.
    """

    graph: Graph
    host: frozenset[str]
    keys: list[int]
    arrays: list[Any]
    files: tuple[Source, ...] = ()
    programs: dict[Any, Any] = field(default_factory=dict)

    def run(self, feeds: Mapping[str, Any], outputs: Sequence[str] | None = None) -> dict[str, Any]:
        """Run once; NumPy arrays in and out."""
        import jax
        import numpy as np

        wanted = tuple(self.graph.outputs if outputs is None else outputs)
        fixed = {n: v for n, v in feeds.items() if _is_static(v, n in self.host)}
        with _scope():
            device = {n: to_device(v) for n, v in feeds.items() if n not in fixed}
            results = self.program(device, wanted, fixed)(device, self.arrays)
            return dict(zip(wanted, jax.tree.map(np.asarray, results), strict=True))

    def program(
        self, feeds: Mapping[str, Any], wanted: tuple[str, ...], fixed: Mapping[str, Any]
    ) -> Any:
        """The compiled program for feeds of these shapes; compiled now if it is not there yet.

        Raises
        ------
        UnsupportedError
            If the graph cannot be traced or compiled.
        """
        key = (wanted, _key(feeds), tuple((n, v.shape, *v.flat) for n, v in fixed.items()))
        if key not in self.programs:
            while len(self.programs) >= KEPT_PROGRAMS:
                del self.programs[next(iter(self.programs))]
            self.programs[key] = self._compiled(feeds, wanted, fixed)
        return self.programs[key]

    def _compiled(
        self, feeds: Mapping[str, Any], wanted: tuple[str, ...], fixed: Mapping[str, Any]
    ) -> Any:
        import jax
        import numpy as np

        from pelemay.importers.source import intact

        def traced(moving: Mapping[str, Any], parameters: Sequence[Any]) -> list[Any]:
            placed = dict(zip(self.keys, parameters, strict=True))
            executor = DeviceExecutor(_table(), lambda value: value, placed)
            values = {**fixed, **moving}
            return list(evaluate(self.graph, values, executor, wanted).values())

        with _scope(), np.errstate(all="ignore"), intact(self.files):
            try:
                return jax.jit(traced).lower(feeds, self.arrays).compile()
            except ExecutionError as error:
                raise _explained(error) from error
            except (
                TypeError,
                ValueError,
                NotImplementedError,
                jax.errors.JaxRuntimeError,
            ) as error:
                raise UnsupportedError(
                    f"XLA cannot compile the model: {error}",
                    where=f"graph '{self.graph.name}'",
                    hint=_ELSEWHERE,
                ) from error


def _processors() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _refuse_random(graph: Graph) -> None:
    for _, node in walk(graph):
        row = find(node.op, node.domain)
        if row is not None and row.random and not _drops_nothing(graph, node):
            raise UnsupportedError(
                "it draws random numbers, and a compiled program would draw the same ones in "
                "every run",
                where=node.label,
                hint=_ELSEWHERE,
            )


def _drops_nothing(graph: Graph, node: Node) -> bool:
    if node.op != "Dropout":
        return False
    training = node.inputs[2] if len(node.inputs) > 2 else ""
    constant = graph.constants.get(training)
    return not training or (constant is not None and not constant.array().any())


def _explained(error: ExecutionError) -> Exception:
    """What a node's failure while tracing means to the user."""
    import jax

    dynamic = (
        jax.errors.ConcretizationTypeError,
        jax.errors.TracerArrayConversionError,
        jax.errors.NonConcreteBooleanIndexError,
    )
    if not isinstance(error.__cause__, dynamic):
        return error
    return UnsupportedError(
        "it needs a value as a number, such as a shape, that depends on the model's data; XLA "
        "must know every shape before it compiles",
        where=error.where,
        hint=_ELSEWHERE,
    )


@contextmanager
def _scope() -> Iterator[None]:
    """64-bit types and the CPU, for this thread and this block only."""
    import jax

    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        yield


def _table() -> Table:
    import jax.numpy as xp

    from pelemay.backends.kernels_jax import KERNELS

    return Table(xp, to_device, KERNELS)


def _there(arrays: list[Any]) -> list[Any]:
    """The arrays, when what they are copied from is no longer read."""
    for array in arrays:
        if hasattr(array, "block_until_ready"):
            array.block_until_ready()
    return arrays


def to_device(value: Any) -> Any:
    """An array of JAX with the elements of a NumPy array, copied; strings stay where they are.

    Raises
    ------
    UnsupportedError
        If XLA has no such element type.
    """
    import jax.numpy as jnp
    import numpy as np

    if isinstance(value, list):
        return [to_device(item) for item in value]
    if not isinstance(value, (np.ndarray, np.generic)) or value.dtype.kind in "OSU":
        return value
    try:
        with _scope():
            return jnp.array(value)
    except TypeError as error:
        raise UnsupportedError(
            f"XLA has no element type {value.dtype}", hint="use backend='reference'"
        ) from error


def _is_static(value: Any, decides: bool) -> bool:
    import numpy as np

    if not isinstance(value, (np.ndarray, np.generic)):
        return False
    if value.dtype.kind in "OSU":
        return True
    return decides and _is_small(value.shape)


def _is_small(shape: Sequence[Any]) -> bool:
    return len(shape) <= 1 and math.prod(shape) <= STATIC_ELEMENTS


def _key(value: Any) -> Any:
    """What of a feed decides about the compiled program."""
    if isinstance(value, Mapping):
        return tuple((name, _key(item)) for name, item in sorted(value.items()))
    if isinstance(value, list):
        return tuple(map(_key, value))
    return None if value is None else (tuple(value.shape), str(value.dtype))


def _specs(graph: Graph, host: frozenset[str]) -> dict[str, Any] | None:
    """Shapes and types of the inputs; None if the model does not say all of them."""
    import jax

    specs = {}
    for name, kind in graph.inputs.items():
        if not isinstance(kind, TensorType) or kind.nbytes is None or kind.shape is None:
            return None
        if kind.dtype is DType.STRING or (name in host and _is_small(kind.shape)):
            return None
        specs[name] = jax.ShapeDtypeStruct(kind.shape, kind.dtype.numpy)
    return specs
