"""From a graph to a program: the steps of the compiler, in order.

In: a graph, and what is known of its inputs. Out: a :class:`~pelemay.program.Program`.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, ("n", 8))
>>> graph = Graph("g", {"x": x}, {"y": x}, (Node("Relu", ("x",), ("y",)),))
>>> [step.opcode for step in compile_graph(graph, {"x": (2, 8)}).instructions]
['activation']
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pelemay.passes import bind, run_passes
from pelemay.plan import plan_graph
from pelemay.program.build import build
from pelemay.program.tail import split

if TYPE_CHECKING:
    import numpy.typing as npt

    from pelemay.graph import Graph
    from pelemay.plan import Plan
    from pelemay.program import Program


def compile_graph(
    graph: Graph,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    values: Mapping[str, npt.NDArray[Any]] | None = None,
    *,
    metadata: Mapping[str, Any] | None = None,
    block_bytes: int | None = None,
    weights: str = "f32",
    check: bool = False,
) -> Program:
    """Compile a graph.

    Parameters
    ----------
    graph : Graph
        A checked graph.
    shapes : mapping, optional
        Input name to its shape, for inputs whose own is not static.
    values : mapping, optional
        Input name to its value, for inputs that shape the run, as
        :func:`pelemay.passes.host_inputs.host_inputs` names them. The program has no such input.
    metadata : mapping, optional
        What else the program should say of itself.
    block_bytes : int, optional
        Above which a layer's packed weights are cut into several blocks, each with an instruction
        over some of its output channels, so that they fit a small window. The results are the
        same to the last bit.
    weights : {"f32", "f16", "bf16", "int8"}
        What the weights of convolutions and of products are stored as; biases, norms and tables
        that are indexed stay as they are. Everything is computed in float32.
    check : bool
        Check the graph between passes.

    Returns
    -------
    Program
        Nodes without instructions, and what depends on sizes that are not known before the run,
        are in it as text for the reference backend.

    Raises
    ------
    GraphError, UnsupportedError
        If the graph contradicts itself.
    """
    plan, tail = plan_for(graph, shapes, values, check=check)
    return build(plan, tail, metadata, block_bytes=block_bytes, weights=weights)


def plan_for(
    graph: Graph,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    values: Mapping[str, npt.NDArray[Any]] | None = None,
    *,
    check: bool = False,
) -> tuple[Plan, Graph | None]:
    """The plan of a graph after all passes, and what of it cannot be planned.

    Parameters are those of :func:`compile_graph`.

    Returns
    -------
    plan : Plan
        Of all nodes whose values have a size before the run.
    tail : Graph or None
        The others; see :func:`pelemay.program.tail.split`.
    """
    bound = bind(graph, shapes or {}, values or {})
    trunk, tail = split(run_passes(bound, check=check))
    return plan_graph(trunk), tail
