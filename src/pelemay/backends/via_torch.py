"""The ``torch`` backend: the operation table over PyTorch, with its kernels where it has them.

In: an ONNX file. Out: a runnable that applies one operation after the other, eagerly, on the
CPU. What PyTorch cannot do runs as the reference runs it: operations that the table lacks, and
element types that PyTorch only stores (unsigned ones over 8 bits, those under 16 bits but int8,
uint8 and bool).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pelemay.backends.device import DeviceExecutor, large_constants
from pelemay.backends.packages import CONVERTING, import_packages, safetensors
from pelemay.backends.protocol import Buffers, Wrap
from pelemay.backends.reference import numpy_table
from pelemay.errors import UnsupportedError
from pelemay.graph import Constant, DType, Graph, Node
from pelemay.graph.evaluate import Executor, Table, Value, evaluate
from pelemay.graph.operations import find, table

if TYPE_CHECKING:
    from pelemay.importers.source import Source

_log = logging.getLogger(__name__)

COMPUTED = frozenset(
    {
        "float64", "float32", "float16", "bfloat16", "complex64", "complex128",
        "int64", "int32", "int16", "int8", "uint8", "bool",
    }
)  # fmt: skip
"""Element types that PyTorch's operations are made for."""


class TorchBackend:
    """PyTorch, eagerly, on the CPU."""

    name = "torch"
    description = "pelemay's operation table over PyTorch, parameters copied into tensors"
    requires = ("torch",)
    uses = (
        *CONVERTING,
        "pelemay.backends.kernels_torch",
        "array_api_compat.torch",
        "safetensors.torch",
    )
    extra = "torch"

    def import_runtime(self) -> None:
        """Import PyTorch.

        Raises
        ------
        BackendUnavailableError
            If it is not installed.
        """
        import_packages(self)
        numpy_table()
        table()

    def prepare(
        self, path: Path, *, threads: int | None = None, wrap: Wrap | None = None
    ) -> TorchRunnable:
        """Load the graph and copy its parameters into tensors.

        ``threads`` holds during a run: PyTorch's number of threads belongs to the process, and
        is set back afterwards.

        Raises
        ------
        ModelError
            If the file is broken.
        """
        self.import_runtime()
        from pelemay.importers import load

        model = load(path)
        graph = model.graph
        with model.intact():
            placed = {id(each): to_tensor(each.array()) for each in large_constants(graph)}
        executor: Executor = _TorchExecutor(
            DeviceExecutor(_table(), to_numpy, placed), numpy_table()
        )
        return TorchRunnable(graph, wrap(executor) if wrap else executor, threads, model.sources)

    def parameters(self, path: Path) -> Mapping[str, Any]:
        """The parameters as tensors of PyTorch, with memory of their own.

        Raises
        ------
        UnsupportedError
            If PyTorch has no such element type (strings, those below one byte).
        """
        self.import_runtime()
        from pelemay.importers import load

        model = load(path)
        with model.intact():
            return {name: _parameter(name, array) for name, array in model.parameters.items()}

    def serialize(self, parameters: Mapping[str, Any]) -> Buffers:
        """safetensors, by its own package for PyTorch."""
        return [safetensors("torch").save(dict(parameters))]


@dataclass(frozen=True)
class TorchRunnable:
    """A graph, the executor that runs it over PyTorch, and the files that literals lie in."""

    graph: Graph
    executor: Executor
    threads: int | None = None
    files: tuple[Source, ...] = ()

    def run(self, feeds: Mapping[str, Any], outputs: Sequence[str] | None = None) -> dict[str, Any]:
        """Run once; NumPy arrays in and out."""
        import numpy as np
        import torch

        from pelemay.importers.source import intact

        numeric = np.errstate(all="ignore")
        with torch.inference_mode(), _threads(self.threads), numeric, intact(self.files):
            values = {name: to_tensor(value) for name, value in feeds.items()}
            results = evaluate(self.graph, values, self.executor, outputs)
            return {name: to_numpy(value) for name, value in results.items()}


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if count is not None:
            torch.set_num_threads(before)


@dataclass(frozen=True)
class _TorchExecutor:
    device: DeviceExecutor
    host: Table

    def constant(self, constant: Constant) -> Value:
        return self.device.constant(constant)

    def run(self, node: Node, inputs: list[Value], attributes: dict[str, Any]) -> tuple[Value, ...]:
        known = node.version == 0 and find(node.op, node.domain) is not None
        if known and not any(map(_is_foreign, (*inputs, *attributes.values()))):
            try:
                return self.device.run(node, inputs, attributes)
            except NotImplementedError as error:
                _log.debug("%s runs on the host: %s", node.label, error)
        results = self.host.run(node, [to_numpy(value) for value in inputs], attributes)
        return tuple(map(to_tensor, results))


def _is_foreign(value: Any) -> bool:
    """Whether it is an array, or names an element type, that PyTorch does not compute with."""
    import numpy as np

    if isinstance(value, list):
        return any(map(_is_foreign, value))
    if isinstance(value, DType):
        return value.value not in COMPUTED
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.name not in COMPUTED


def _table() -> Table:
    import array_api_compat.torch as xp

    from pelemay.backends.kernels_torch import KERNELS

    return Table(xp, to_tensor, KERNELS)


def to_tensor(value: Any) -> Any:
    """A tensor with the elements of a NumPy array, copied.

    Arrays of types that PyTorch does not compute with, and other values, come back as they are.
    """
    import numpy as np

    if isinstance(value, list):
        return [to_tensor(item) for item in value]
    if not isinstance(value, (np.ndarray, np.generic)) or _is_foreign(value):
        return value
    return _copied(np.asarray(value, order="C"))


def _parameter(name: str, array: Any) -> Any:
    try:
        return _copied(array)
    except (TypeError, AttributeError) as error:
        what = f"PyTorch has no tensor of {array.dtype.name}"
        raise UnsupportedError(what, where=f"parameter '{name}'") from error


def _copied(array: Any) -> Any:
    """A tensor of the same type, also of those that PyTorch only stores."""
    import torch

    name = array.dtype.name
    if not name.startswith(("bfloat16", "float8")):
        return torch.tensor(array)
    bits = torch.tensor(array.view(f"i{array.itemsize}"))
    return bits.view(getattr(torch, name))


def to_numpy(value: Any) -> Any:
    """A NumPy array that shares the memory of a tensor; other values as they are."""
    import torch

    if isinstance(value, list):
        return [to_numpy(item) for item in value]
    if not isinstance(value, torch.Tensor):
        return value
    if value.dtype is torch.bfloat16:
        bits = value.contiguous().view(torch.int16).numpy()
        return bits.view(DType.BFLOAT16.numpy)
    return value.numpy()
