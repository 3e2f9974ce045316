"""The page of a model: what it is, its graph in blocks, its layers, its operations.

In: :class:`~pelemay.views.inspection.Inspection`. Out: a :class:`~pelemay.pages.Page`, whose graph
``assets/graph`` draws: blocks laid out here open there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pelemay.bench.units import as_bytes
from pelemay.graph import Constant, DType, Graph, Node
from pelemay.pages import Cell, Column, Html, Page, Section, asset, element, join, script, table
from pelemay.views.blocks import Block, Flow, Item, fold, nodes_of
from pelemay.views.layered import layered

if TYPE_CHECKING:
    from pelemay.views.frames import Json
    from pelemay.views.inspection import Inspection

_SCRIPT = ("boxes", "places", "draw", "move", "point", "find")

MOST_TEXT = 60
"""Characters of an attribute that are shown."""

MOST_EDGES = 3
"""Values of one kind from one box to another that are told apart."""


def page_of(inspection: Inspection) -> Page:
    """The page.

    Raises
    ------
    BackendUnavailableError
        If igraph is not installed.
    """
    found = inspection.findings
    sections = [Section("Graph", _drawing(inspection.name), _HELP)]
    if found["warnings"]:
        listed = element("ul", *(element("li", text) for text in found["warnings"]))
        sections.insert(0, Section("To know before it runs", listed))
    sections += [
        Section("Layers", _layers(inspection)),
        Section("Operations", _operations(inspection)),
        Section("File", _file(found)),
    ]
    return Page(
        "pelemay inspect",
        f"{inspection.name}: graph",
        inspection.finding,
        tuple(sections),
        facts=tuple(_facts(found)),
        styles=(asset(__package__, "graph.css"),),
        scripts=(script(__package__, "graph", *_SCRIPT),),
        data={"graph": data_of(inspection)},
    )


_HELP = (
    "A click or Enter opens a block and closes it again. Drag to move, the wheel zooms once the "
    "graph is chosen; arrows go from box to box."
)


def _facts(found: Mapping[str, Any]) -> Iterator[str]:
    for what in ("input", "output"):
        for name, kind in found[f"{what}s"].items():
            yield f"{what} {name}: {kind}"
    native = found["native"]
    if native and not native.get("refused"):
        yield f"arena {as_bytes(native['arena_bytes'])}"
        yield f"{native['instructions']:,} instructions"


def _drawing(name: str) -> Html:
    buttons = [
        element("button", text, type="button", id=id_, aria_label=what)
        for id_, text, what in (
            ("zoom-in", "+", "zoom in"),
            ("zoom-out", "−", "zoom out"),
            ("zoom-all", "all", "show all"),
            ("open-all", "open all", "open all blocks"),
            ("close-all", "close all", "close all blocks"),
        )
    ]
    search = element(
        "input", type="search", id="search", placeholder="find a node", aria_label="find a node"
    )
    found = element("output", id="found", aria_live="polite")
    kinds = [
        element("li", element("i", class_=f"of-{kind}"), what)
        for kind, what in (
            ("product", "products"),
            ("norm", "norms"),
            ("activation", "activations"),
            ("pool", "reductions"),
            ("shape", "shapes and copies"),
            ("other", "others"),
            ("block", "blocks"),
        )
    ]
    canvas = element(
        "div", id="net", tabindex="0", role="application", aria_label=f"graph of {name}"
    )
    details = element("div", id="details", aria_live="polite")
    return join(
        [
            element("div", *buttons, search, found, class_="tools"),
            element("ul", *kinds, class_="legend"),
            element("div", canvas, details, class_="stage"),
        ]
    )


def _layers(inspection: Inspection) -> Html:
    columns = (
        Column("node"),
        Column("operation"),
        Column("MMAC", "millions of multiply-accumulates", is_number=True),
        Column("parameters", is_number=True),
        Column("bytes", "of its parameters as stored", is_number=True),
        Column("runs on"),
        Column("result"),
    )
    rows = [
        [
            Cell(layer["name"]),
            Cell(layer["operation"]),
            Cell(f"{layer['macs'] / 1e6:,.2f}" if layer["macs"] else "", layer["macs"]),
            Cell(f"{layer['parameters']:,}" if layer["parameters"] else "", layer["parameters"]),
            Cell(as_bytes(layer["bytes"]) if layer["bytes"] else "", layer["bytes"]),
            Cell("reference" if layer["reference"] else "engine"),
            Cell(layer["result"].replace(", ", "×")),
        ]
        for layer in inspection.layers
    ]
    made = table("layers", columns, rows, row_keys=[str(i) for i in range(len(rows))])
    return Html(made.replace('class="scroll"', 'class="scroll high" id="nodes"', 1))


def _operations(inspection: Inspection) -> Html:
    columns = (
        Column("operation"),
        Column("count", is_number=True),
        Column("MMAC", "millions of multiply-accumulates", is_number=True),
        Column("bytes", "of parameters", is_number=True),
        Column("meaning", "what gives it its meaning"),
    )
    rows = []
    for entry in inspection.findings["operations"]:
        own = [one for one in inspection.layers if one["operation"] == entry["operation"]]
        products, nbytes = (sum(one[key] for one in own) for key in ("macs", "bytes"))
        rows.append(
            [
                Cell(entry["operation"]),
                Cell(str(entry["count"]), entry["count"]),
                Cell(f"{products / 1e6:,.1f}" if products else "", products),
                Cell(as_bytes(nbytes) if nbytes else "", nbytes),
                Cell(entry["runs_on"]),
            ]
        )
    return table("operations", columns, rows)


def _file(found: Mapping[str, Any]) -> Html:
    encodings = ", ".join(f"{count} {name}" for name, count in found["encodings"].items())
    rows = [
        ("file", f"{found['file'] or 'in memory'}, {as_bytes(found['file_bytes'] or 0)}"),
        ("producer", found["producer"] or "not said"),
        ("operator sets", ", ".join(f"{name} {n}" for name, n in found["opsets"].items())),
        ("parameters", f"{found['parameters']}, {as_bytes(found['parameter_bytes'])}"),
        ("stored as", encodings or "nothing"),
    ]
    pairs = [element("div", element("dt", what), element("dd", text)) for what, text in rows]
    return element("dl", *pairs, class_="pairs")


def data_of(inspection: Inspection) -> Json:
    """Nodes and blocks as the script takes them."""
    graph = inspection.graph
    blocks = _Blocks(graph)
    blocks.root(fold(graph))
    nodes = [
        [
            layer["name"],
            layer["operation"],
            layer["result"].replace(", ", "×"),
            layer["bytes"],
            layer["macs"],
            int(layer["reference"]),
            _attributes(node),
        ]
        for node, layer in zip(graph.nodes, inspection.layers, strict=True)
    ]
    ends = [[name, str(graph.type_of(name) or "?").replace(", ", "×")] for name in blocks.ends]
    return {"nodes": nodes, "ends": ends, "blocks": blocks.made}


def _attributes(node: Node) -> str:
    return ", ".join(f"{name}={_text(value)}" for name, value in node.attributes.items())


def _text(value: object) -> str:
    if isinstance(value, Graph):
        text = f"graph of {len(value.nodes)} nodes"
    elif isinstance(value, DType):
        text = value.value
    elif isinstance(value, Constant):
        text = f"{value.dtype.value}{list(value.shape)}"
    else:
        text = str(value)
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}…"


class _Blocks:
    """Blocks as rows of numbers: title, kind, members, layers, places, edges.

    A member is a node's number, ``-1 - n`` for block n, or ``"n"`` for an end of the graph. In a
    block other than the root the last two boxes are where values come in and go out.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph, self.flow = graph, Flow(graph)
        self.ends = (*graph.inputs, *graph.outputs)
        self.made: list[list[Any]] = []

    def root(self, items: Sequence[Item]) -> None:
        """The whole graph, between its inputs and outputs."""
        self.made.append([])
        members = [self.member(item) for item in items]
        place = {number: at for at, item in enumerate(items) for number in nodes_of(item)}
        boxes = [*members, *(str(n) for n in range(len(self.ends)))]
        edges = self.inner(items)
        for at, name in enumerate(self.ends[: len(self.graph.inputs)], len(members)):
            readers = sorted({place[n] for n in self.flow.readers.get(name, ())})
            edges += [(at, reader, name) for reader in readers]
        for at, name in enumerate(self.graph.outputs, len(members) + len(self.graph.inputs)):
            if name in self.flow.made:
                edges.append((place[self.flow.made[name]], at, name))
        self.made[0] = ["", "root", boxes, *self.laid_out(len(boxes), edges)]

    def member(self, item: Item) -> int:
        """A node's number, or that of a new row for a block."""
        if isinstance(item, int):
            return item
        number = len(self.made)
        self.made.append([])
        members = [self.member(one) for one in item.members]
        self.made[number] = [item.title, item.kind, members, *self.block(item)]
        return -1 - number

    def block(self, block: Block) -> list[Any]:
        """Where the members of a block go, with two more boxes for what comes in and goes out."""
        items = block.members
        count, inside = len(items), set(block.nodes)
        edges = self.inner(items)
        for at, item in enumerate(items):
            for number in nodes_of(item):
                outside = [
                    n for n in self.flow.reads[number] if self.flow.made.get(n) not in inside
                ]
                edges += [(count, at, name) for name in outside]
                edges += [(at, count + 1, name) for name in self.leaving(number, inside)]
        return self.laid_out(count + 2, edges, count, count + 1)

    def leaving(self, number: int, inside: set[int]) -> Iterator[str]:
        """What a node makes for nodes outside of a block, or for the graph's outputs."""
        for name in filter(None, self.graph.nodes[number].outputs):
            outside = any(n not in inside for n in self.flow.readers.get(name, ()))
            if outside or name in self.graph.outputs:
                yield name

    def inner(self, items: Sequence[Item]) -> list[tuple[int, int, str]]:
        """Values between items."""
        place = {number: at for at, item in enumerate(items) for number in nodes_of(item)}
        found = []
        for number, at in place.items():
            for name in self.flow.reads[number]:
                source = place.get(self.flow.made.get(name, -1))
                if source is not None and source != at:
                    found.append((source, at, name))
        return found

    def laid_out(
        self,
        count: int,
        edges: Sequence[tuple[int, int, str]],
        first: int | None = None,
        last: int | None = None,
    ) -> list[Any]:
        """Layers, places, and edges with their bends and values."""
        values: dict[tuple[int, int], list[str]] = {}
        for source, target, name in edges:
            names = values.setdefault((source, target), [])
            if name not in names:
                names.append(name)
        found = layered(count, list(values), first, last)
        rows = [
            [source, target, list(bends), self.label(names)]
            for ((source, target), names), bends in zip(values.items(), found.bends, strict=True)
        ]
        return [found.layers, found.places, rows]

    def label(self, names: Sequence[str]) -> str:
        """What goes along an edge."""
        types = dict.fromkeys(str(self.graph.type_of(n) or "?").replace(", ", "×") for n in names)
        shown = list(types)[:MOST_EDGES]
        return ", ".join(shown) + (" …" if len(types) > MOST_EDGES else "")


__all__ = ["data_of", "page_of"]
