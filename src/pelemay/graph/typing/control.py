"""Types of control flow: what the sub-graphs give, whichever of them runs and however often.

In: a :class:`Site`. Out: the types of its outputs; the sub-graphs' own types are filled on the way.
"""

from __future__ import annotations

from collections.abc import Sequence

from pelemay.graph.dtypes import DType
from pelemay.graph.ir import Graph
from pelemay.graph.operations.common import axis_of
from pelemay.graph.typing.dims import tensor
from pelemay.graph.typing.sequence import either, element_of, sequence_of
from pelemay.graph.typing.site import Rule, Site, Types, int64
from pelemay.graph.values import Dim, TensorType, ValueType

ROUNDS = 4
"""So many times a loop's state may lose what is known of it; then nothing is."""


def _results(graph: Graph) -> tuple[ValueType | None, ...]:
    return tuple(graph.type_of(name) for name in graph.outputs)


def if_else(site: Site) -> Types:
    """What both branches have in common, or the type of the one that is taken."""
    branches = [_results(site.body(name, ())) for name in ("then_branch", "else_branch")]
    condition = site.value(0)
    if condition is not None and condition.size:
        return branches[0 if condition.reshape(-1)[0] else 1]
    return tuple(either(a, b) for a, b in zip(*branches, strict=True))


def _settled(site: Site, fixed: Types, states: Types, slices: Types, skip: int) -> Types:
    """The body's results when its states have types that hold in every round."""
    for _ in range(ROUNDS):
        found = _results(site.body("body", (*fixed, *states, *slices)))[skip:]
        wider = tuple(either(a, b) for a, b in zip(states, found, strict=False))
        if wider == states:
            break
        states = wider
    else:
        found = _results(site.body("body", (*fixed, *(None for _ in states), *slices)))[skip:]
        states = (None,) * len(states)
    return (*states, *found[len(states) :])


def loop(site: Site) -> Types:
    """The states, and each round's other results stacked."""
    states = tuple(site.types[2:])
    fixed = (int64(()), tensor(DType.BOOL, ()))
    found = _settled(site, fixed, states, (), 1)
    rounds = site.number(0) if _runs_through(site) else None
    scanned = found[len(states) :]
    return (*found[: len(states)], *(_stacked(kind, rounds, 0) for kind in scanned))


def _runs_through(site: Site) -> bool:
    """Whether the loop ends only when its trip count says so."""
    if not site.has(1):
        return True
    start, body = site.value(1), site.bodies["body"]
    name, given = next(iter(body.outputs)), list(body.inputs)[1]
    while (node := body.producers.get(name)) and node.op == "Identity" and not node.domain:
        name = node.inputs[0]
    constant = body.constants.get(name)
    kept = name == given or (constant is not None and bool(constant.array().all()))
    return kept and start is not None and bool(start.all())


def _stacked(kind: ValueType | None, count: Dim, axis: int) -> ValueType | None:
    if not isinstance(kind, TensorType):
        return None
    if kind.shape is None:
        return kind
    at = axis_of(axis, len(kind.shape) + 1)
    return tensor(kind.dtype, (*kind.shape[:at], count, *kind.shape[at:]))


def scan(site: Site) -> Types:
    """The states, and each round's other results stacked along their axes."""
    taken = site.attribute("num_scan_inputs")
    kept = len(site.types) - taken
    axes = site.attribute("scan_input_axes") or (0,) * taken
    count: Dim = None
    slices: list[ValueType | None] = []
    for kind, axis in zip(site.types[kept:], axes, strict=True):
        rounds, part = _sliced(kind, axis)
        slices.append(part)
        count = rounds if isinstance(rounds, int) or count is None else count
    found = _settled(site, (), tuple(site.types[:kept]), tuple(slices), 0)
    outputs: Sequence[int] = site.attribute("scan_output_axes") or (0,) * (len(found) - kept)
    scanned = zip(found[kept:], outputs, strict=True)
    return (*found[:kept], *(_stacked(kind, count, axis) for kind, axis in scanned))


def _sliced(kind: ValueType | None, axis: int) -> tuple[Dim, ValueType | None]:
    """How many slices there are along an axis, and the type of one."""
    if not isinstance(kind, TensorType) or kind.shape is None:
        return None, kind
    at = axis_of(axis, len(kind.shape))
    return kind.shape[at], tensor(kind.dtype, (*kind.shape[:at], *kind.shape[at + 1 :]))


def sequence_map(site: Site) -> Types:
    """Sequences of what the body gives for an element."""
    inputs = tuple(element_of(kind) or kind for kind in site.types)
    return tuple(sequence_of(kind) for kind in _results(site.body("body", inputs)))


RULES: dict[str, Rule] = {
    "If": if_else,
    "Loop": loop,
    "Scan": scan,
    "SequenceMap": sequence_map,
}
