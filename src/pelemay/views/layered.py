"""Where boxes of a graph go: in layers from top to bottom, with few crossings.

In: a number of boxes and the edges between them. Out: for each box and each bend of an edge its
layer and its place in it. Sugiyama, Tagawa and Toda, Methods for visual understanding of
hierarchical system structures (1981), as igraph has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pelemay.errors import BackendUnavailableError

Edge = tuple[int, int]


@dataclass(frozen=True)
class Layered:
    """Places of boxes.

    Attributes
    ----------
    layers : tuple of int
        For each box the number of its layer, 0 at the top; then for each bend.
    places : tuple of float
        Across, 1 from a box to the next, in the same order.
    bends : tuple of tuple of int
        For each edge the numbers of its bends, from layer to layer.
    """

    layers: tuple[int, ...]
    places: tuple[float, ...]
    bends: tuple[tuple[int, ...], ...]


def layered(
    count: int, edges: Sequence[Edge], first: int | None = None, last: int | None = None
) -> Layered:
    """Lay a graph out.

    Parameters
    ----------
    count : int
        Boxes.
    edges : sequence of (int, int)
        From a box to another; there is no cycle.
    first, last : int, optional
        Boxes that lie above and below all others.

    Raises
    ------
    BackendUnavailableError
        If igraph is not installed.
    """
    try:
        import igraph
    except ImportError as error:
        raise BackendUnavailableError(
            "drawing a graph needs igraph", hint="pip install 'pelemay[pages]'"
        ) from error
    layers = _longest_paths(count, [*edges, *_ends(count, edges, first, last)])
    joined: list[Edge] = []
    bends = []
    for source, target in edges:
        between = range(layers[source] + 1, layers[target])
        own = tuple(range(len(layers), len(layers) + len(between)))
        layers += between
        joined += zip((source, *own), (*own, target), strict=True)
        bends.append(own)
    graph = igraph.Graph(len(layers), joined, directed=True)
    found = graph.layout_sugiyama(layers=layers) if layers else []
    places = tuple(round(float(x), 2) for x, _ in found)
    return Layered(tuple(layers), places, tuple(bends))


def _ends(count: int, edges: Sequence[Edge], first: int | None, last: int | None) -> Iterator[Edge]:
    """Edges that put one box above all others, and one below."""
    sources, targets = {a for a, _ in edges}, {b for _, b in edges}
    for box in range(count):
        if first is not None and box != first and box not in targets:
            yield first, box
        if last is not None and box != last and box not in sources:
            yield box, last


def _longest_paths(count: int, edges: Sequence[Edge]) -> list[int]:
    """A layer for each box, below all that it depends on; sources lie just above their readers."""
    layers = [0] * count
    after = _after(edges)
    for box in _sorted(count, edges):
        for target in after.get(box, ()):
            layers[target] = max(layers[target], layers[box] + 1)
    has_source = {target for _, target in edges}
    for box in range(count):
        if box in after and box not in has_source:
            layers[box] = min(layers[target] for target in after[box]) - 1
    return layers


def is_acyclic(count: int, edges: Sequence[Edge]) -> bool:
    """Whether no box leads back to itself.

    >>> is_acyclic(2, [(0, 1)]), is_acyclic(2, [(0, 1), (1, 0)])
    (True, False)
    """
    return len(_sorted(count, edges)) == count


def _after(edges: Sequence[Edge]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for source, target in edges:
        found.setdefault(source, []).append(target)
    return found


def _sorted(count: int, edges: Sequence[Edge]) -> list[int]:
    """Boxes in an order in which each comes behind all that lead to it; without those of cycles."""
    waiting, after = [0] * count, _after(edges)
    for _, target in edges:
        waiting[target] += 1
    found = [box for box in range(count) if not waiting[box]]
    for box in found:
        for target in after.get(box, ()):
            waiting[target] -= 1
            if not waiting[target]:
                found.append(target)
    return found
