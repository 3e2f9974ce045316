"""The ``reference`` backend: the operation table over NumPy, slow, obvious and always there.

In: an ONNX file. Out: its outputs as every other backend has to give them. Parameters are read
where they lie in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pelemay.backends.in_place import InPlace
from pelemay.backends.packages import CONVERTING
from pelemay.graph import Graph, Node, walk
from pelemay.graph.evaluate import Executor, Table, evaluate
from pelemay.graph.operations import find

if TYPE_CHECKING:
    from pelemay.importers.source import Source

Wrap = Callable[[Executor], Executor]


FALLBACK = ("pelemay.backends.fallback", "onnx.reference")
"""Loaded for nodes that the table lacks."""


@cache
def numpy_table() -> Table:
    """The executor over NumPy, with ``onnx.reference`` for what the table lacks."""
    import array_api_compat.numpy as xp

    return Table(xp, fallback=_on_onnx)


def _on_onnx(node: Node, inputs: list[Any], attributes: dict[str, Any]) -> tuple[Any, ...]:
    from pelemay.backends.fallback import run_node

    return run_node(node, inputs, attributes)


def load_for(graph: Graph) -> None:
    """Import what the nodes of a graph need; what they take is then seen before they run."""
    numpy_table()
    if not all(node.version == 0 and find(node.op, node.domain) for _, node in walk(graph)):
        for module in FALLBACK:
            import_module(module)


@dataclass(frozen=True)
class GraphRunnable:
    """A graph, the executor that runs it node by node, and the files that its weights lie in."""

    graph: Graph
    executor: Executor
    files: tuple[Source, ...] = ()

    def run(self, feeds: Mapping[str, Any], outputs: Sequence[str] | None = None) -> dict[str, Any]:
        """Run once; values are dropped when their last reader has run.

        Raises
        ------
        ExecutionError
            If a node fails, or a file became shorter.
        """
        import numpy as np

        from pelemay.importers.source import intact

        with np.errstate(all="ignore"), intact(self.files):
            results = evaluate(self.graph, feeds, self.executor, outputs)
        return {name: _plain(value) for name, value in results.items()}


def _plain(value: Any) -> Any:
    """NumPy's own scalars become arrays; sequences and maps stay what they are."""
    import numpy as np

    return np.asarray(value) if isinstance(value, (np.generic, int, float)) else value


class ReferenceBackend(InPlace):
    """Runs any ONNX model, correctly and slowly, with its weights left in the file."""

    name = "reference"
    description = "pelemay's operation table over NumPy, parameters in place"

    def import_runtime(self) -> None:
        """Import NumPy, onnx and the operation table."""
        from pelemay.graph.operations import table

        for module in (*CONVERTING, *FALLBACK, "pelemay.serialization"):
            import_module(module)
        numpy_table()
        table()

    def prepare(
        self, path: Path, *, threads: int | None = None, wrap: Wrap | None = None
    ) -> GraphRunnable:
        """Load the graph; NumPy decides about threads itself."""
        from pelemay.importers import load

        executor: Executor = numpy_table()
        model = load(path)
        return GraphRunnable(model.graph, wrap(executor) if wrap else executor, model.sources)
