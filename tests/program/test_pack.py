"""Constants by windows: the same elements as the whole, whatever they are stored as."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from pelemay.graph import ArrayConstant, Constant
from pelemay.importers import from_proto
from pelemay.passes.derived import derived, permuted, widened
from pelemay.passes.layout.products import _rows_moved
from pelemay.program import pack
from pelemay.program.lower.matmul import WHOLE_BYTES
from pelemay.program.panels import PANEL, matrix_panels


def stored(array: Any, encoding: str, tmp_path: Any) -> Constant:
    """The constant of a model that holds the array in one of ONNX's encodings."""
    if encoding == "raw_data":
        proto = numpy_helper.from_array(array, "w")
    else:
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        proto = helper.make_tensor("w", kind, array.shape, array.reshape(-1).tolist())
    graph = helper.make_graph([], "g", [], [], [proto])
    path = tmp_path / f"{encoding}.onnx"
    onnx.save(helper.make_model(graph), path)
    return from_proto(path.read_bytes()).parameters.constant("w")


@pytest.mark.parametrize("encoding", ["raw_data", "float_data", "int32_data"])
def test_parts_of_a_stored_tensor(encoding: str, tmp_path: Any) -> None:
    dtype = np.int8 if encoding == "int32_data" else np.float32
    array = np.arange(60, dtype=dtype).reshape(5, 12)
    constant = stored(array, encoding, tmp_path)
    for start, stop in ((0, 60), (7, 19), (59, 60), (30, 30)):
        np.testing.assert_array_equal(
            pack.part(constant, start, stop), array.reshape(-1)[start:stop]
        )
    pieces = np.concatenate([np.asarray(piece) for piece in pack.raw_pieces(constant)])
    np.testing.assert_array_equal(pieces, array.reshape(-1))


def test_parts_of_constants_that_are_computed() -> None:
    half = ArrayConstant.of(np.arange(2000, dtype=np.float16))
    wide = pack.part(widened(half), 10, 13)
    assert (wide.dtype, wide.tolist()) == (np.float32, [10, 11, 12])
    turned = permuted(ArrayConstant.of(np.arange(2000.0).reshape(40, 50)), (1, 0))
    assert pack.part(turned, 0, 3).tolist() == [0, 50, 100]


def test_rows_whose_elements_move_are_read_alone() -> None:
    class Watched(ArrayConstant):
        def part(self, start: int, stop: int) -> Any:
            read.append((start, stop))
            return self.array().reshape(-1)[start:stop]

    read: list[tuple[int, int]] = []
    weights = np.arange(100 * 24, dtype=np.float32).reshape(100, 24)
    source = Watched.of(weights)
    constant = _rows_moved(source, (2, 3, 4), (1, 2, 0), rows_last=True)
    assert constant.array().shape == weights.shape
    rows = np.concatenate(list(pack.row_windows(constant, PANEL, 16, 60)))
    np.testing.assert_array_equal(rows, constant.array()[16:60])
    assert read == [(16 * 24, 60 * 24)]
    np.testing.assert_array_equal(pack.part(constant, 30, 50), constant.array().reshape(-1)[30:50])


@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 4096))
def test_groups_of_columns_are_the_matrix(rows: int, columns: int, nbytes: int) -> None:
    matrix = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack, "COLUMNS_BYTES", nbytes)
        patch.setattr(pack, "WINDOW_BYTES", 64)
        read = pack.Columns(ArrayConstant.of(matrix), rows, columns)
        windows = list(read.groups(0, columns, PANEL))
    np.testing.assert_array_equal(np.concatenate(windows, axis=1), matrix)
    assert all(window.shape[1] % PANEL == 0 for window in windows[:-1])
    assert all(window.nbytes <= max(nbytes, rows * PANEL * 4) for window in windows)
    panels = [piece for window in windows for piece in matrix_panels(window)]
    whole = list(matrix_panels(matrix))
    np.testing.assert_array_equal(np.concatenate(panels), np.concatenate(whole))


@given(st.integers(1, 9), st.integers(17, 70), st.integers(1, 2048), st.randoms())
def test_columns_taken_in_any_order(rows: int, columns: int, nbytes: int, random: Any) -> None:
    matrix = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack, "COLUMNS_BYTES", nbytes)
        read = pack.Columns(ArrayConstant.of(matrix), rows, columns)
        for _ in range(6):
            first = random.randrange(columns)
            last = random.randrange(first, columns) + 1
            np.testing.assert_array_equal(read.take(first, last), matrix[:, first:last])


def test_a_computed_constant_is_computed_once_for_all_its_rows() -> None:
    calls = []

    def compute(x: Any) -> Any:
        calls.append(1)
        return x + 1

    array = np.arange(1 << 20, dtype=np.float32).reshape(1 << 10, 1 << 10)
    constant = derived("Add 1", compute, ArrayConstant.of(array), shape=array.shape)
    rows = np.concatenate(list(pack.row_windows(constant, PANEL, 16, 800)))
    np.testing.assert_array_equal(rows, array[16:800] + 1)
    assert len(calls) == 1


def test_a_large_matrix_is_packed_by_groups_of_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    from pelemay.compilation import compile_graph
    from pelemay.graph import DType, Graph, Node, TensorType

    class Watched:
        """A constant that cannot be read as a whole."""

        dtype, shape, nbytes = DType.FLOAT32, (5000, 1000), 20_000_000

        def array(self) -> Any:
            pytest.fail("the whole constant was read")

        def part(self, start: int, stop: int) -> Any:
            assert (stop - start) * 4 <= 4 * pack.WINDOW_BYTES
            return np.full(stop - start, 0.5, np.float32)

    assert Watched.nbytes > WHOLE_BYTES
    kinds = {"x": TensorType(DType.FLOAT32, (1, 5000)), "y": TensorType(DType.FLOAT32, (1, 1000))}
    nodes = (Node("MatMul", ("x", "w"), ("y",)),)
    graph = Graph("g", {"x": kinds["x"]}, {"y": kinds["y"]}, nodes, {"w": Watched()})
    (block,) = compile_graph(graph).blocks
    assert block.pieces is not None
    sizes = [piece.nbytes for piece in block.pieces()]
    assert sum(sizes) == block.nbytes
    assert max(sizes) <= 8 << 20
