"""What is in a model: operations, parameters, products, what runs on the engine, what is odd.

In: a model. Out: :class:`Inspection`. No weight is read.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pelemay.errors import BackendUnavailableError, InputError, PelemayError, UnsupportedError
from pelemay.graph import Graph, reads, walk
from pelemay.plan.groups import name_of
from pelemay.views.limits import written
from pelemay.views.macs import macs
from pelemay.views.warnings import warnings_of

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.importers import Model
    from pelemay.views.frames import Json


@dataclass(frozen=True)
class Inspection:
    """What is in a model; a notebook shows it as a page, with the graph drawn.

    Attributes
    ----------
    name : str
        What the model is called.
    graph : Graph
        With the types of its values, open sizes taken as 1.
    findings : mapping
        What is said of the whole: file, operator sets, inputs, outputs, bytes, operations,
        multiply-accumulates (``macs``), what the engine runs (``native``), ``warnings``.
    layers : tuple of mapping
        For each node of the model: ``name``, ``operation``, ``result``, ``parameters``, ``bytes``,
        ``macs``, and ``reference``: whether it runs on the reference backend.
    """

    name: str
    graph: Graph
    findings: Mapping[str, Any]
    layers: tuple[Json, ...]

    @property
    def finding(self) -> str:
        """What is in it, in one sentence."""
        from pelemay.bench.units import as_bytes

        found = self.findings
        share = native_share(found)
        runs = "" if share is None else f"; the engine runs {share} of them itself"
        text = (
            f"{self.name} does {found['macs'] / 1e6:,.0f} million multiply-accumulates with "
            f"{as_bytes(found['parameter_bytes'])} of parameters in {found['nodes']:,} "
            f"operations{runs}."
        )
        return text.replace(" MB", "\N{NO-BREAK SPACE}MB")

    def html(self) -> str:
        """The page, as text of one HTML file.

        Raises
        ------
        BackendUnavailableError
            If igraph is not installed, which the graph is laid out with.
        """
        from pelemay.views.model_page import page_of

        return page_of(self).html()

    def save(self, file: str | os.PathLike[str]) -> Path:
        """Write the page.

        Raises
        ------
        InputError
            If it cannot be written.
        BackendUnavailableError
            As :meth:`html`.
        """
        return written(file, self.html())

    def _repr_html_(self) -> str | None:
        from pelemay.pages import framed

        try:
            return framed(self.html(), height=1200)
        except BackendUnavailableError:
            return None

    def __repr__(self) -> str:
        """The name and the counts."""
        return f"<Inspection of {self.name}: {len(self.layers)} nodes>"


def native_share(findings: Mapping[str, Any]) -> str | None:
    """How many of the nodes after all passes have instructions; None where it is not known."""
    native = findings["native"]
    if not native or native.get("refused") or not native["nodes"]:
        return None
    if native["native_nodes"] == native["nodes"]:
        return "all"
    return f"{native['native_nodes'] / native['nodes']:.0%}"


def inspect(
    source: str | os.PathLike[str] | Model, shapes: Mapping[str, Sequence[int]] | None = None
) -> Inspection:
    """Look into a model.

    Parameters
    ----------
    source : str, os.PathLike or Model
        An ONNX file.
    shapes : mapping, optional
        Input name to shape, for inputs whose sizes the model leaves open; sizes that stay open
        become 1.

    Raises
    ------
    ModelError
        If the file is missing or broken.
    InputError
        If a shape does not fit.
    ExecutionError
        If a file of the model became shorter.
    """
    from pelemay.importers import load

    model = load(source) if isinstance(source, (str, os.PathLike)) else source
    with model.intact():
        return _inspected(model, shapes)


def _inspected(model: Model, shapes: Mapping[str, Sequence[int]] | None) -> Inspection:
    graph = _bound(model, shapes)
    native = _native(model, shapes)
    slow = {entry["node"] for entry in (native or {}).get("fallbacks", ())}
    layers = tuple(_layer(graph, node, slow) for node in graph.nodes)
    name = model.path.stem if model.path else model.graph.name
    findings = {
        **_summary(model),
        "nodes": sum(1 for _ in walk(graph)),
        "macs": sum(layer["macs"] for layer in layers),
        "native": native,
    }
    findings["warnings"] = warnings_of(model, findings)
    return Inspection(name.replace(".stand-in", " (stand-in)"), graph, findings, layers)


def _bound(model: Model, shapes: Mapping[str, Sequence[int]] | None) -> Graph:
    """The graph with its sizes known; as it is where they contradict each other."""
    from pelemay.passes.bind import bind, open_sizes

    found = {name: tuple(shape) for name, shape in (shapes or {}).items()}
    for name, shape in open_sizes(model.graph).items():
        found.setdefault(name, tuple(n if isinstance(n, int) else 1 for n in shape or ()))
    try:
        return bind(model.graph, found)
    except InputError:
        if shapes:
            raise
        return model.graph


def _native(model: Model, shapes: Mapping[str, Sequence[int]] | None) -> Json | None:
    """What the engine would run, and what it would not; nothing is written."""
    from pelemay import pipeline
    from pelemay.program.describe import summary

    try:
        return summary(pipeline.lower(model, shapes))
    except (InputError, UnsupportedError) as error:
        return {"refused": str(error), "fallbacks": []}
    except PelemayError:
        return None


def _layer(graph: Graph, node: Node, slow: set[str]) -> Json:
    own = [graph.constants[n] for n in dict.fromkeys(reads(node)) if n in graph.constants]
    made = next((graph.type_of(name) for name in node.outputs if name), None)
    return {
        "name": name_of(node),
        "operation": node.qualified,
        "result": str(made) if made else "?",
        "parameters": sum(math.prod(c.shape) for c in own),
        "bytes": sum(c.nbytes for c in own),
        "macs": macs(graph, node),
        "reference": node.label in slow,
    }


def _summary(model: Model) -> Json:
    places = [model.parameters.placement(name) for name in model.parameters]
    proto = model.proto
    return {
        "file": str(model.path) if model.path else None,
        "file_bytes": model.path.stat().st_size if model.path else None,
        "producer": " ".join(filter(None, (proto.producer_name, proto.producer_version))),
        "ir_version": proto.ir_version,
        "opsets": {o.domain or "ai.onnx": o.version for o in proto.opset_import},
        "inputs": {arg.name: str(arg.type) for arg in model.inputs},
        "outputs": {arg.name: str(arg.type) for arg in model.outputs},
        "parameters": len(places),
        "parameter_bytes": sum(place.nbytes for place in places),
        "parameter_bytes_in_place": sum(place.nbytes for place in places if place.in_place),
        "encodings": dict(Counter(place.encoding for place in places)),
        "operations": _operations(model.graph),
    }


def _operations(graph: Graph) -> list[Json]:
    counts = Counter((n.qualified, n.version) for _, n in walk(graph))
    return [
        {
            "operation": name,
            "count": count,
            "runs_on": "operation table" if version == 0 else f"onnx.reference ({version})",
        }
        for (name, version), count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
