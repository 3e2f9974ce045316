"""The ``torch`` backend: the operation table over PyTorch, with its kernels where it has them.

In: an ONNX file. Out: a runnable that applies one operation after the other, eagerly, on the
CPU. An operation that the table lacks goes through ``onnx.reference`` on the host.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pelemay.backends.device import DeviceExecutor, large_constants
from pelemay.backends.packages import import_packages, safetensors
from pelemay.backends.protocol import Buffers, Wrap
from pelemay.errors import UnsupportedError
from pelemay.graph import Graph, Node
from pelemay.graph.evaluate import Executor, Table, evaluate


class TorchBackend:
    """PyTorch, eagerly, on the CPU."""

    name = "torch"
    description = "pelemay's operation table over PyTorch, parameters copied into tensors"
    requires = ("torch",)
    extra = "torch"

    def import_runtime(self) -> None:
        """Import PyTorch.

        Raises
        ------
        BackendUnavailableError
            If it is not installed.
        """
        import_packages(self)

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
        UnsupportedError
            If a parameter has an element type that PyTorch lacks.
        """
        self.import_runtime()
        from pelemay.importers import load

        graph = load(path).graph
        placed = {id(constant): to_tensor(constant.array()) for constant in large_constants(graph)}
        executor: Executor = DeviceExecutor(_table(), to_numpy, placed)
        return TorchRunnable(graph, wrap(executor) if wrap else executor, threads)

    def parameters(self, path: Path) -> Mapping[str, Any]:
        """The parameters as tensors of PyTorch, with memory of their own."""
        self.import_runtime()
        from pelemay.importers import load

        return {name: to_tensor(array) for name, array in load(path).parameters.items()}

    def serialize(self, parameters: Mapping[str, Any]) -> Buffers:
        """safetensors, by its own package for PyTorch."""
        return [safetensors("torch").save(dict(parameters))]


@dataclass(frozen=True)
class TorchRunnable:
    """A graph and the executor that runs it over PyTorch."""

    graph: Graph
    executor: Executor
    threads: int | None = None

    def run(self, feeds: Mapping[str, Any], outputs: Sequence[str] | None = None) -> dict[str, Any]:
        """Run once; NumPy arrays in and out."""
        import numpy as np
        import torch

        with torch.inference_mode(), _threads(self.threads), np.errstate(all="ignore"):
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


def _table() -> Table:
    import array_api_compat.torch as xp

    from pelemay.backends.kernels_torch import KERNELS

    return Table(xp, to_tensor, KERNELS, _fallback)


def _fallback(node: Node, inputs: list[Any], attributes: dict[str, Any]) -> tuple[Any, ...]:
    from pelemay.backends.fallback import run_node

    return run_node(node, [to_numpy(value) for value in inputs], attributes)


def to_tensor(value: Any) -> Any:
    """A tensor with the elements of a NumPy array, copied; strings stay where they are.

    Raises
    ------
    UnsupportedError
        If PyTorch has no such element type.
    """
    import numpy as np
    import torch

    if isinstance(value, list):
        return [to_tensor(item) for item in value]
    if not isinstance(value, (np.ndarray, np.generic)) or value.dtype.kind in "OSU":
        return value
    array = np.asarray(value)
    if array.dtype.kind == "V":
        return _of_bits(array)
    return torch.tensor(array)


def _of_bits(array: Any) -> Any:
    """From a type of ml_dtypes to the one of the same name."""
    import torch

    found = getattr(torch, array.dtype.name, None)
    if found is None or array.dtype.itemsize != found.itemsize:
        raise UnsupportedError(
            f"PyTorch has no element type {array.dtype.name}", hint="use backend='reference'"
        )
    return torch.tensor(array.view(f"i{found.itemsize}")).view(found)


def to_numpy(value: Any) -> Any:
    """A NumPy array that shares the memory of a tensor; other values as they are."""
    import torch

    from pelemay.graph import DType

    if isinstance(value, list):
        return [to_numpy(item) for item in value]
    if not isinstance(value, torch.Tensor):
        return value
    name = str(value.dtype).removeprefix("torch.")
    if name.startswith(("bfloat", "float8")):
        bits = torch.int16 if value.dtype.itemsize == 2 else torch.uint8
        return value.contiguous().view(bits).numpy().view(DType.of(name).numpy)
    return value.numpy()
