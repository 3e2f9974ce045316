"""What the fuzzers begin with: ONNX's own tests, as models, as text and compiled; some arrays.

PYTHONPATH=tests python tests/fuzz/seeds.py FOLDER
"""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx.parser
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

from pelemay.cases import cases_of
from pelemay.compilation import compile_graph
from pelemay.errors import PelemayError
from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
from pelemay.graph.text import to_text
from pelemay.importers import from_proto
from pelemay.passes.host_inputs import host_inputs
from pelemay.pipeline import lowered
from pelemay.plan import plan_graph
from pelemay.program import Program
from pelemay.program.build import build
from pelemay.program.image import image
from pelemay.program.plans import Plans
from pelemay.target import Target
from support.bands import cut_plan
from support.forests import graph_of, random_forest
from support.integers import conv_case, network, product_case, softmax_case

MOST_BYTES = 16 << 10
MOST_MODEL_BYTES = 4 << 10
PLANS = (
    '<ir_version: 8, opset_import: ["" : 17]> added (float[n, 4] x) => (float[n, 4] y) '
    "<float[4] w = {1, 2, 3, 4}> { a = Add(x, w)  y = Softmax(a) }",
    '<ir_version: 8, opset_import: ["" : 17]> joined (float[n, 4] x) => (float[m, 4] y) '
    "{ a = Relu(x)  y = Concat <axis = 0> (a, x) }",
)
PROGRAMS = ("program", "stream", "plm")


def cases() -> Iterator[TestCase]:
    """ONNX's tests of single nodes."""
    for case in load_model_tests(kind="node"):
        if case.model is not None and case.data_sets:
            yield case


def compiled(case: TestCase, graph: Graph) -> Program:
    """Its program, bound to the shapes of its first data."""
    given = zip(graph.inputs, case.data_sets[0][0], strict=False)
    feeds = {n: v for n, v in given if isinstance(v, (np.ndarray, np.generic))}
    by_value = {n: np.asarray(feeds[n]) for n in host_inputs(graph) if n in feeds}
    shapes = {n: np.shape(v) for n, v in feeds.items() if n not in by_value}
    return compile_graph(graph, shapes, by_value)


class Seeds:
    """A folder for each kind of seed; one file for each thing that was not seen before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: set[object] = set()

    def add(self, kind: str, name: str, data: bytes, key: object, most: int = MOST_BYTES) -> None:
        if len(data) <= most and (kind, key) not in self.seen:
            self.seen.add((kind, key))
            place = self.folder / kind
            place.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)


def add_models(seeds: Seeds) -> None:
    """Of each operation and its attributes one model; of each list of instructions one program."""
    for case in cases():
        data = case.model.SerializeToString()
        key = tuple((n.op_type, *(a.name for a in n.attribute)) for n in case.model.graph.node)
        for kind in ("onnx", "compile"):
            seeds.add(kind, f"{case.name}.onnx", data, key, MOST_MODEL_BYTES)
        try:
            graph = from_proto(case.model).graph
            seeds.add("text", f"{case.name}.txt", to_text(graph).encode(), key, MOST_MODEL_BYTES)
            program = compiled(case, graph)
            written = image(program)
        except PelemayError:
            continue
        steps = tuple((i.opcode, len(i.inputs), i.params[:2]) for i in program.instructions)
        for kind in PROGRAMS:
            seeds.add(kind, f"{case.name}.plm", written, steps)


def add_integers(seeds: Seeds) -> None:
    for name, program in integers():
        for kind in PROGRAMS:
            seeds.add(kind, f"integers-{name}.plm", image(program), name)
    for kind in PROGRAMS:
        for bits in (2, 4, 8):
            program = compile_graph(product_of_bits(bits))
            seeds.add(kind, f"matmul_nbits-{bits}.plm", image(program), f"{bits} bits")


def add_classical(seeds: Seeds) -> None:
    """Trees, and probabilities of pairs of classes."""
    programs = {"couple": compile_graph(coupling(2, 3))}
    for name, dtype in (("single", np.float32), ("double", np.float64)):
        trees = random_forest(targets=2, given=1, modes=range(6), missing=True, dtype=dtype)
        target = Target(block_bytes=2000)
        programs[f"forest-{name}"] = compile_graph(graph_of(trees, 3, 2), target=target)
    for kind in PROGRAMS:
        for name, program in programs.items():
            seeds.add(kind, f"{name}.plm", image(program), name)


def add_plans(seeds: Seeds) -> None:
    """Files of several plans, one of them for several sizes."""
    for text in PLANS:
        model = from_proto(onnx.parser.parse_model(text))
        sizes = cases_of([("dim", "n=2..5"), None, ("dim", "n=9")])
        programs = [program for case in sizes for program in lowered(model, case)]
        name = model.proto.graph.name
        for kind in PROGRAMS:
            seeds.add(kind, f"plans-{name}.plm", image(Plans.of(programs)), f"plans {name}")


def add_arrays(seeds: Seeds) -> None:
    """Arrays of all types as files of their own and packed."""
    for number, code in enumerate("?bBhHiIqQefdFD"):
        array = np.arange(6).reshape(1, 2, 3)[:, :, : number % 4].astype(code)
        plain, packed = io.BytesIO(), io.BytesIO()
        np.save(plain, np.asfortranarray(array) if number % 5 == 0 else array)
        np.savez_compressed(packed, x=array, y=array)
        for kind in ("npy", "npy_c"):
            seeds.add(kind, f"{array.dtype.name}.npy", plain.getvalue(), number)
        seeds.add("npy", f"{array.dtype.name}.npz", packed.getvalue(), (number, "packed"))


def main(folder: Path) -> None:
    """Write all of them."""
    seeds = Seeds(folder)
    add_models(seeds)
    add_integers(seeds)
    add_classical(seeds)
    add_plans(seeds)
    add_arrays(seeds)


def integers() -> Iterator[tuple[str, Program]]:
    """Programs of the dialect's operations on 8-bit integers, which no model says by itself."""
    yield "whole", build(plan_graph(network()))
    yield "banded", build(cut_plan(network(), 2))
    for name, case in (
        ("conv", conv_case((1, 5, 6, 6), (8, 3, 3, 3), group=2, w_zero=3, at_run=(2, 4))),
        ("depthwise", conv_case((1, 5, 6, 9), (9, 1, 3, 3), group=9, to=DType.FLOAT32)),
        ("product", product_case((5, 9), (9, 7), each=True)),
        ("softmax", softmax_case((5, 9), np.uint8)),
        ("product-of-the-run", product_case((2, 5, 9), (2, 9, 7), at_run=(1, 2, 3, 4, 5))),
    ):
        yield name, case.built()[0]


def product_of_bits(bits: int) -> Graph:
    """What ONNX's own tests do not have: narrow weights with zero points."""
    x, y = (TensorType(DType.FLOAT32, (2, size)) for size in (40, 24))
    constants = {
        "w": ArrayConstant.of(np.full((24, 3, 2 * bits), 0x5A, np.uint8)),
        "s": ArrayConstant.of(np.ones((24, 3), np.float32)),
        "z": ArrayConstant.of(np.full((24, -(-3 * bits // 8)), 0x37, np.uint8)),
    }
    attributes = {"K": 40, "N": 24, "block_size": 16, "bits": bits}
    node = Node("MatMulNBits", ("x", *constants), ("y",), attributes, "com.microsoft")
    return Graph("g", {"x": x}, {"y": y}, (node,), constants)


def coupling(rows: int, classes: int) -> Graph:
    """Probabilities of classes from those of pairs."""
    x = TensorType(DType.FLOAT32, (rows, classes * (classes - 1) // 2))
    y = TensorType(DType.FLOAT32, (rows, classes))
    node = Node("PairwiseCoupling", ("x",), ("y",), {"classes": classes}, "pelemay")
    return Graph("g", {"x": x}, {"y": y}, (node,))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
