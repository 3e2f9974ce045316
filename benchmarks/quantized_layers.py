"""Where int8 differs from onnxruntime, layer by layer, each from the same integers.

    python benchmarks/quantized_layers.py [MODEL.onnx|NAME ...] [--folder FOLDER]

A layer is what makes one quantized value from others. It is run alone, on the integers that
onnxruntime has there with all its fusions, by pelemay and by onnxruntime without any. The columns
are the layers of a kind, and for three pairs the largest difference in units, the largest share of
a layer's elements that differ, and the layers that do. The last lines are of the quantized results
of the network, where a unit more went into all that follows. Names are quantized as by
``quantized.py``, as qdq.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from latency import feeds_of
from onnx import helper
from quantized import quantized

Values = dict[str, Any]
Gap = tuple[float, float]

BETWEEN = ("QuantizeLinear", "DequantizeLinear")
PAIRS = ("pelemay, onnxruntime", "pelemay, unfused", "unfused, onnxruntime")


def session(data: Any, *, fused: bool, save: str = "") -> Any:
    """Of onnxruntime, for a path or the bytes of a file."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    level = "ORT_ENABLE_ALL" if fused else "ORT_DISABLE_ALL"
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    options.optimized_model_filepath = save
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def values_of(model: onnx.ModelProto, feeds: Values) -> Values:
    """All values of a model that is run as it is."""
    named = {y.name for y in model.graph.output}
    made = (y for node in model.graph.node for y in node.output if y and y not in named)
    model.graph.output.extend(onnx.ValueInfoProto(name=y) for y in made)
    run = session(model.SerializeToString(), fused=False)
    return dict(zip([y.name for y in run.get_outputs()], run.run(None, feeds), strict=True))


@dataclass(frozen=True)
class Layers:
    """A quantized model, and the integers that onnxruntime has in it."""

    model: onnx.ModelProto
    values: Values

    def pieces(self) -> Iterator[tuple[str, str, list[str], onnx.ModelProto]]:
        """The kind of each layer, its value, the values that it begins with, and it alone."""
        for node in self.model.graph.node:
            if node.op_type != "QuantizeLinear" or node.output[0] not in self.values:
                continue
            nodes, starts = self._back(node.output[0])
            kinds = sorted({n.op_type for n in nodes} - set(BETWEEN)) or ["none"]
            if starts:
                yield "+".join(kinds), node.output[0], starts, self._alone(node, nodes, starts)

    def _back(self, target: str) -> tuple[list[onnx.NodeProto], list[str]]:
        makers = {y: node for node in self.model.graph.node for y in node.output}
        held = {constant.name for constant in self.model.graph.initializer}
        nodes: list[onnx.NodeProto] = []
        starts: list[str] = []
        seen: set[str] = set(held) | {""}

        def visit(name: str) -> None:
            if name in seen:
                return
            seen.add(name)
            node = makers.get(name)
            known = node is not None and node.op_type == "QuantizeLinear" and name in self.values
            if node is None or (known and name != target):
                starts.append(name)
                return
            for x in node.input:
                visit(x)
            nodes.append(node)

        visit(target)
        return nodes, starts

    def _alone(
        self, last: onnx.NodeProto, nodes: list[onnx.NodeProto], starts: list[str]
    ) -> onnx.ModelProto:
        def kind(name: str) -> onnx.ValueInfoProto:
            array = self.values[name]
            dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
            return helper.make_tensor_value_info(name, dtype, array.shape)

        read = {x for node in nodes for x in node.input}
        held = [c for c in self.model.graph.initializer if c.name in read]
        graph = helper.make_graph(
            nodes, "layer", [kind(x) for x in starts], [kind(last.output[0])], held
        )
        versions = self.model.opset_import
        return helper.make_model(graph, opset_imports=versions, ir_version=self.model.ir_version)


def gap(a: Any, b: Any) -> Gap:
    """The largest difference in units, and the share of the elements that differ."""
    if a.dtype.kind == "f":
        steps = np.diff(np.unique(b))
        return float(np.abs(a - b).max() / steps.min()), float((a != b).mean())
    return float(np.abs(a.astype(int) - b).max()), float((a != b).mean())


def gaps(ours: Any, unfused: Any, fused: Any) -> tuple[Gap, Gap, Gap]:
    """Of the three pairs."""
    return gap(ours, fused), gap(ours, unfused), gap(unfused, fused)


def compare(path: Path, folder: Path) -> None:
    """The table of a quantized file."""
    from pelemay import InferenceSession
    from pelemay.onnx_backend import NativeBackend

    feeds, saved = feeds_of(path), folder / f"{path.stem}-fused.onnx"
    whole = session(str(path), fused=True, save=str(saved)).run(None, feeds)
    layers = Layers(onnx.load(path), {**feeds, **values_of(onnx.load(saved), feeds)})
    found: dict[str, list[tuple[Gap, Gap, Gap]]] = defaultdict(list)
    for kind, name, starts, alone in layers.pieces():
        given = {x: layers.values[x] for x in starts}
        (ours,) = NativeBackend.prepare(alone, allow_fallback=False).run(list(given.values()))
        (unfused,) = session(alone.SerializeToString(), fused=False).run(None, given)
        found[kind].append(gaps(ours, unfused, layers.values[name]))
    print(f"{path.stem:34}layers{''.join(f'{pair:>26}' for pair in PAIRS)}")
    for kind, rows in found.items():
        columns = [list(zip(*column, strict=True)) for column in zip(*rows, strict=True)]
        cells = "".join(
            f"{max(units):>8.3g}{max(shares):>10.1e}{sum(u > 0 for u in units):>8}"
            for units, shares in columns
        )
        print(f"  {kind:32}{len(rows):>6}{cells}")
    unfused = session(str(path), fused=False).run(None, feeds)
    mine = InferenceSession(path).run(None, feeds)
    made = {y: node.op_type for node in layers.model.graph.node for y in node.output}
    for y, *three in zip(layers.model.graph.output, mine, unfused, whole, strict=True):
        if made.get(y.name) not in BETWEEN:
            continue
        cells = "".join(f"{units:>8.3g}{share:>10.1e}{'':8}" for units, share in gaps(*three))
        print(f"  {y.name:38}{cells}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["bert_mini", "vit_tiny"])
    parser.add_argument("--folder", type=Path, default=Path("build/quantized"))
    options = parser.parse_args()
    from pelemay import models

    for name in options.models:
        given = Path(name)
        source = given if given.suffix == ".onnx" else models.get(name).path
        path = given if given.suffix == ".onnx" else quantized(source, options.folder, "qdq")
        compare(path, options.folder)


if __name__ == "__main__":
    main()
