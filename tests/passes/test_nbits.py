"""Weights of 2, 4 or 8 bits stay so from the file to the kernel, whoever wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pelemay.compilation import compile_graph
from pelemay.engine import Engine, open_program
from pelemay.importers import from_proto
from pelemay.program.image import image
from pelemay.target import Target

ort = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

STEPS, COLUMNS, BLOCK = 64, 40, 16


def _model(nodes: list[Any], constants: dict[str, Any], packed: Any, dtype: int = 1) -> Any:
    initializers = [numpy_helper.from_array(v, n) for n, v in constants.items()] + packed
    ends = [
        helper.make_tensor_value_info(name, dtype, [3, size])
        for name, size in (("x", STEPS), ("y", COLUMNS))
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], initializers)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, ir_version=10, opset_imports=opsets)


def _four_bits(name: str, shape: tuple[int, int], signed: bool, seed: int = 0) -> Any:
    low, kind = (-8, TensorProto.INT4) if signed else (0, TensorProto.UINT4)
    numbers = np.random.default_rng(seed).integers(low, low + 16, shape)
    return helper.make_tensor(name, kind, shape, numbers.reshape(-1).tolist())


def _widened(turned: bool, signed: bool, *, gemm: bool = False, zeros: bool = True) -> Any:
    """A product behind DequantizeLinear; ``turned`` has a row for each column."""
    blocks = STEPS // BLOCK
    shape, few = ((COLUMNS, STEPS), (COLUMNS, blocks)) if turned else (
        (STEPS, COLUMNS),
        (blocks, COLUMNS),
    )  # fmt: skip
    inputs = ["w", "s", "z"] if zeros else ["w", "s"]
    widen = helper.make_node("DequantizeLinear", inputs, ["d"], axis=int(turned), block_size=BLOCK)
    rng = np.random.default_rng(1)
    constants = {"s": rng.uniform(0.1, 1, few).astype(np.float32)}
    packed = [_four_bits("w", shape, signed)]
    packed += [_four_bits("z", few, signed, seed=2)] if zeros else []
    if gemm:
        constants["b"] = rng.standard_normal(COLUMNS).astype(np.float32)
        product = [helper.make_node("Gemm", ["x", "d", "b"], ["y"], transB=int(turned))]
    elif turned:
        product = [
            helper.make_node("Transpose", ["d"], ["t"], perm=[1, 0]),
            helper.make_node("MatMul", ["x", "t"], ["y"]),
        ]
    else:
        product = [helper.make_node("MatMul", ["x", "d"], ["y"])]
    return _model([widen, *product], constants, packed)


def _written(dtype: Any, bits: int = 4) -> Any:
    """``MatMulNBits`` over data of a type."""
    rng = np.random.default_rng(3)
    blocks = STEPS // BLOCK
    constants = {
        "w": rng.integers(0, 256, (COLUMNS, blocks, BLOCK * bits // 8)).astype(np.uint8),
        "s": rng.uniform(0.1, 1, COLUMNS * blocks).astype(dtype),
        "z": rng.integers(0, 256, COLUMNS * (blocks * bits // 8)).astype(np.uint8),
    }
    sizes = {"K": STEPS, "N": COLUMNS, "bits": bits, "block_size": BLOCK}
    node = helper.make_node(
        "MatMulNBits", ["x", *constants], ["y"], domain="com.microsoft", **sizes
    )
    return _model([node], constants, [], helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


CASES = {
    "rows": _widened(False, True),
    "rows without a sign": _widened(False, False),
    "columns": _widened(True, True),
    "no zero points": _widened(True, True, zeros=False),
    "no zero points, no sign": _widened(False, False, zeros=False),
    "gemm": _widened(True, False, gemm=True),
    "gemm of rows": _widened(False, True, gemm=True),
    "written": _written(np.float32),
    "halves": _written(np.float16),
    "of 8 bits": _written(np.float32, 8),
    "of 2 bits": _written(np.float32, 2),
}


@pytest.mark.parametrize("model", CASES.values(), ids=CASES)
def test_as_onnxruntime(model: Any) -> None:
    program = compile_graph(from_proto(model).graph)
    assert "matmul_nbits" in [step.opcode for step in program.instructions]
    assert program.weights_bytes < 3 * STEPS * COLUMNS
    kind = helper.tensor_dtype_to_np_dtype(model.graph.input[0].type.tensor_type.elem_type)
    x = np.random.default_rng(4).standard_normal((3, STEPS)).astype(kind)
    options = ort.SessionOptions()
    # Optimized, it computes such products with activations of 8 bits.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (expected,) = session.run(None, {"x": x})
    (found,) = Engine(open_program(image(program))).run([x])
    tolerance = 1e-5 if kind == np.float32 else 4e-3
    largest = max(30.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * largest)


def test_slices_of_columns_are_blocks_of_their_own(tmp_path: Path) -> None:
    graph = from_proto(CASES["written"]).graph
    x = np.random.default_rng(4).standard_normal((3, STEPS)).astype(np.float32)
    whole, sliced = (compile_graph(graph, target=Target(block_bytes=n)) for n in (None, 600))
    assert [step.opcode for step in sliced.instructions].count("matmul_nbits") == 3
    data, path = image(sliced), tmp_path / "sliced.plm"
    path.write_bytes(data)
    streamed = open_program(path, streamed=True)
    need = streamed.stream_need()["least"]
    results = [
        Engine(open_program(image(whole))).run([x])[0],
        Engine(open_program(data)).run([x])[0],
        Engine(streamed, weights_bytes=need).run([x])[0],
    ]
    for y in results[1:]:
        np.testing.assert_array_equal(y, results[0])


def test_four_bits_of_constants_that_do_not_fit_are_steps() -> None:
    """Blocks along the other axis: widened as a whole."""
    model = _widened(False, True)
    for attribute in model.graph.node[0].attribute:
        attribute.i = {"axis": 1, "block_size": 10}[attribute.name]
    scale = numpy_helper.from_array(np.full((STEPS, 4), 0.5, np.float32), "s")
    kept = [t for t in model.graph.initializer if t.name == "w"]
    del model.graph.initializer[:]
    model.graph.initializer.extend([*kept, scale, _four_bits("z", (STEPS, 4), True)])
    program = compile_graph(from_proto(model).graph)
    assert "matmul_nbits" not in [step.opcode for step in program.instructions]
