"""Small models as files: one that reads megabytes of weights, one whose tail reads a constant."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pelemay.compilation import compile_graph
from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
from pelemay.program.write import write_program

F32 = DType.FLOAT32


def chain_graph(width: int = 384, steps: int = 4) -> Graph:
    """Matrix products and activations."""
    random = np.random.default_rng(0)
    nodes: list[Node] = []
    constants = {}
    for i in range(steps):
        weight = random.standard_normal((width, width)) / np.sqrt(width)
        constants[f"w{i}"] = ArrayConstant.of(weight.astype(np.float32))
        nodes.append(Node("MatMul", (f"x{i}", f"w{i}"), (f"p{i}",)))
        nodes.append(Node("Tanh", (f"p{i}",), (f"x{i + 1}",)))
    kind = TensorType(F32, (1, width))
    return Graph("chain", {"x0": kind}, {f"x{steps}": kind}, tuple(nodes), constants)


def chain_file(path: Path, width: int = 384, steps: int = 4) -> Path:
    write_program(compile_graph(chain_graph(width, steps)), path)
    return path


def chain_model(path: Path, width: int = 384, steps: int = 4, external: str | None = None) -> Path:
    """The same as an ONNX file, its weights in it or in another file of its folder."""
    import onnx
    from onnx.numpy_helper import from_array

    graph = chain_graph(width, steps)
    nodes = [onnx.helper.make_node(n.op, n.inputs, n.outputs) for n in graph.nodes]
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (1, width))
        for name in ("x0", f"x{steps}")
    ]
    weights = [from_array(c.array(), name) for name, c in graph.constants.items()]
    made = onnx.helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
    opsets = [onnx.helper.make_opsetid("", 17)]
    options = {"save_as_external_data": True, "location": external} if external else {}
    onnx.save(onnx.helper.make_model(made, opset_imports=opsets, ir_version=8), path, **options)
    return path


def tail_file(path: Path) -> Path:
    """What is not zero takes rows of a table of 80 KiB, behind the last instruction."""
    table = np.arange(40000, dtype=np.int16).reshape(2000, 20)
    nodes = (
        Node("NonZero", ("x",), ("where",)),
        Node("Gather", ("table", "where"), ("y",)),
    )
    inputs = {"x": TensorType(F32, (3,))}
    graph = Graph("tail", inputs, {"y": None}, nodes, {"table": ArrayConstant.of(table)})
    write_program(compile_graph(graph), path)
    return path
