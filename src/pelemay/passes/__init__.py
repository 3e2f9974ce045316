"""Passes: steps from graph to graph that keep the meaning, in one list.

In: a checked :class:`~pelemay.graph.Graph`. Out: a graph with the same inputs and outputs, simpler
and in the form that planning takes. A pass is a function from graph to graph in a file of its own,
whose docstring says what it requires and what it guarantees.

>>> from pelemay.graph import DType, Graph, TensorType
>>> x = TensorType(DType.FLOAT32, (2,))
>>> run_passes(Graph("g", {"x": x}, {"x": x}, ()), check=True).nodes
()
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable

from pelemay.errors import PelemayError
from pelemay.graph import Graph
from pelemay.graph import check as check_graph
from pelemay.graph.typing import infer
from pelemay.passes.batch_normalization import expand_batch_normalization
from pelemay.passes.bind import bind, open_sizes
from pelemay.passes.concats import nest_concats
from pelemay.passes.decompose import decompose, decompose_quantized
from pelemay.passes.einsum import lower_einsums
from pelemay.passes.fold_scales import fold_scales
from pelemay.passes.fuse_activation import fuse_activations
from pelemay.passes.fuse_attention import fuse_attention
from pelemay.passes.fuse_epilogue import fuse_epilogues
from pelemay.passes.fuse_group_norm import fuse_group_norms
from pelemay.passes.fuse_norm import fuse_norms
from pelemay.passes.fuse_rotary import fuse_rotary
from pelemay.passes.gemm import lower_products
from pelemay.passes.join_scales import join_scales
from pelemay.passes.layout import lay_out
from pelemay.passes.nbits import keep_nbits
from pelemay.passes.outputs import separate_outputs
from pelemay.passes.pad import fuse_pads
from pelemay.passes.push_slices import push_slices
from pelemay.passes.quantized import fuse_quantized
from pelemay.passes.quantized.dynamic import fuse_dynamic
from pelemay.passes.simplify import simplify
from pelemay.passes.widen_half import widen_half

Pass = Callable[[Graph], Graph]

PASSES: tuple[Pass, ...] = (
    keep_nbits,
    simplify,
    fuse_activations,
    decompose,
    widen_half,
    simplify,
    lower_einsums,
    expand_batch_normalization,
    fuse_norms,
    fuse_group_norms,
    fuse_rotary,
    fuse_attention,
    lower_products,
    simplify,
    lay_out,
    simplify,
    fuse_quantized,
    fuse_dynamic,
    decompose_quantized,
    simplify,
    fuse_pads,
    fold_scales,
    join_scales,
    fuse_epilogues,
    simplify,
    push_slices,
    nest_concats,
    simplify,
    separate_outputs,
)
"""All passes, in the order in which they run; one may stand in it more than once."""

log = logging.getLogger(__name__)


def run_passes(
    graph: Graph,
    *,
    check: bool = False,
    passes: Iterable[Pass] = PASSES,
    peak: Callable[[Graph], int] | None = None,
) -> Graph:
    """Run passes one after the other, with types inferred in between.

    What each one changes is logged at level DEBUG.

    Parameters
    ----------
    graph : Graph
        A checked graph.
    check : bool
        Check the graph before the first pass and after each one.
    passes : iterable of callable
        Functions from graph to graph; all of :data:`PASSES` if not given.
    peak : callable, optional
        Bytes that a graph needs at least while it runs. A pass that raises them is
        logged at level INFO.

    Returns
    -------
    Graph
        The last pass's graph, with the types of all values that follow from the inputs'.

    Raises
    ------
    PelemayError
        What a pass raised, or what the check found, with the pass's name as its place.
    """
    if check:
        check_graph(graph)
    graph = infer(graph)
    bytes_before = peak(graph) if peak else 0
    for step in passes:
        after = _run(step, graph, check)
        if after is not graph:
            _tell(step.__name__, graph, after)
            bytes_before = _tell_peak(step.__name__, after, bytes_before, peak)
        graph = after
    return graph


def _run(step: Pass, graph: Graph, check: bool) -> Graph:
    try:
        after = infer(step(graph))
        if check and after is not graph:
            check_graph(after)
    except PelemayError as error:
        raise error.at(f"pass '{step.__name__}'") from error
    return after


def _tell(name: str, before: Graph, after: Graph) -> None:
    """Log which operations a pass took away and which it brought."""
    if not log.isEnabledFor(logging.DEBUG):
        return
    old, new = (Counter(node.qualified for node in graph.nodes) for graph in (before, after))
    changes = [f"-{count} {op}" for op, count in sorted((old - new).items())]
    changes += [f"+{count} {op}" for op, count in sorted((new - old).items())]
    constants = len(after.constants) - len(before.constants)
    log.debug(
        "%s: %d nodes to %d, constants %+d: %s",
        name,
        len(before.nodes),
        len(after.nodes),
        constants,
        ", ".join(changes) or "the same operations",
    )


def _tell_peak(name: str, after: Graph, before: int, peak: Callable[[Graph], int] | None) -> int:
    if peak is None:
        return 0
    now = peak(after)
    if now > before:
        log.info("%s: raises the least memory of a run from %d to %d bytes", name, before, now)
    return now


__all__ = ["PASSES", "Pass", "bind", "decompose_quantized", "open_sizes", "run_passes"]
