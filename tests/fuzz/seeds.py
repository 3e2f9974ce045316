"""Small programs for the fuzzer to begin with: ONNX's own tests, compiled, and 8-bit integers.

PYTHONPATH=tests python tests/support/corpus.py FOLDER
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from onnx.backend.test.loader import load_model_tests

from pelemay.compilation import compile_graph
from pelemay.errors import PelemayError
from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
from pelemay.importers import from_proto
from pelemay.passes.host_inputs import host_inputs
from pelemay.plan import plan_graph
from pelemay.program.build import build
from pelemay.program.image import image
from pelemay.program.program import Program
from support.bands import cut_plan
from support.integers import conv_case, network, product_case

MOST_BYTES = 16 << 10


def main(folder: Path) -> None:
    """Write them; one for each list of instructions that is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "matmul_nbits.plm").write_bytes(image(compile_graph(product_of_four_bits())))
    seen = set()
    for case in load_model_tests(kind="node"):
        if case.model is None or not case.data_sets:
            continue
        graph = from_proto(case.model).graph
        given = zip(graph.inputs, case.data_sets[0][0], strict=False)
        feeds = {n: v for n, v in given if isinstance(v, (np.ndarray, np.generic))}
        by_value = {n: np.asarray(feeds[n]) for n in host_inputs(graph) if n in feeds}
        shapes = {n: np.shape(v) for n, v in feeds.items() if n not in by_value}
        try:
            program = compile_graph(graph, shapes, by_value)
            data = image(program)
        except PelemayError:
            continue
        key = tuple((i.opcode, len(i.inputs), i.params[:2]) for i in program.instructions)
        if len(data) <= MOST_BYTES and key not in seen:
            seen.add(key)
            (folder / f"{case.name}.plm").write_bytes(data)
    for name, program in integers():
        (folder / f"integers-{name}.plm").write_bytes(image(program))


def integers() -> Iterator[tuple[str, Program]]:
    """Programs of the dialect's operations on 8-bit integers, which no model says by itself."""
    yield "whole", build(plan_graph(network()))
    yield "banded", build(cut_plan(network(), 2))
    for name, case in (
        ("conv", conv_case((1, 5, 6, 6), (8, 3, 3, 3), group=2, w_zero=3, at_run=(2, 4))),
        ("depthwise", conv_case((1, 5, 6, 9), (9, 1, 3, 3), group=9, to=DType.FLOAT32)),
        ("product", product_case((5, 9), (9, 7), each=True)),
        ("product-of-the-run", product_case((2, 5, 9), (2, 9, 7), at_run=(1, 2, 3, 4, 5))),
    ):
        yield name, case.built()[0]


def product_of_four_bits() -> Graph:
    """What ONNX's own tests do not have: weights of 4 bits with zero points."""
    x, y = (TensorType(DType.FLOAT32, (2, size)) for size in (40, 24))
    constants = {
        "w": ArrayConstant.of(np.full((24, 3, 8), 0x5A, np.uint8)),
        "s": ArrayConstant.of(np.ones((24, 3), np.float32)),
        "z": ArrayConstant.of(np.full((24, 2), 0x37, np.uint8)),
    }
    attributes = {"K": 40, "N": 24, "block_size": 16}
    node = Node("MatMulNBits", ("x", *constants), ("y",), attributes, "com.microsoft")
    return Graph("g", {"x": x}, {"y": y}, (node,), constants)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
