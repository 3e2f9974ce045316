"""Programs for each set of shapes: what is bound, what is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

from pelemay import InferenceSession
from pelemay.backends.specialized import SpecializedRunnable
from pelemay.graph import DType, OptionalType, TensorType
from pelemay.onnx_backend import NativeBackend

X = TensorType(DType.FLOAT32, ("n",))


class Compiler:
    """Remembers what it was asked to compile for; its programs give what they are fed."""

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def __call__(self, shapes: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
        self.asked.append((dict(shapes), dict(values)))
        return self

    def run(
        self, feeds: Mapping[str, Any], outputs: Any = None, *, into: Any = None
    ) -> dict[str, Any]:
        return dict(feeds)


@pytest.mark.parametrize("fed", [None, [], np.zeros(2, np.float32)])
def test_what_is_no_tensor_has_no_shape_to_bind(fed: Any) -> None:
    compiler = Compiler()
    runnable = SpecializedRunnable(compiler, types={"x": X, "o": OptionalType(X)})
    runnable.run({"x": np.zeros(3, np.float32), "o": fed})
    assert compiler.asked == [({"x": (3,)}, {})]


def test_one_program_for_each_set_of_shapes_and_values() -> None:
    compiler = Compiler()
    runnable = SpecializedRunnable(compiler, ("axes",), {"x": X})
    for size, axis in ((3, 0), (3, 0), (4, 0), (4, 1), (3, 0)):
        runnable.run({"x": np.zeros(size, np.float32), "axes": np.asarray([axis])})
    assert [shapes["x"] for shapes, _ in compiler.asked] == [(3,), (4,), (4,)]
    assert [int(values["axes"][0]) for _, values in compiler.asked] == [0, 0, 1]


def test_the_program_used_least_recently_goes() -> None:
    compiler = Compiler()
    runnable = SpecializedRunnable(compiler, types={"x": X}, kept=2)
    for size in (1, 2, 1, 3, 1, 2):
        runnable.run({"x": np.zeros(size, np.float32)})
    assert [shapes["x"] for shapes, _ in compiler.asked] == [(1,), (2,), (3,), (2,)]


class Ready(Compiler):
    """A program that is there, for three elements."""

    inputs = ("x",)
    program = SimpleNamespace(inputs=(("x", "float32", (3,)),))


def test_a_program_that_is_there_is_not_compiled_again() -> None:
    compiler = Compiler()
    runnable = SpecializedRunnable(compiler, types={"x": X}, first=Ready())  # type: ignore[arg-type]
    for size in (3, 4, 3):
        runnable.run({"x": np.zeros(size, np.float32)})
    assert [shapes["x"] for shapes, _ in compiler.asked] == [(4,)]


@pytest.mark.parametrize(("fed", "there"), [(None, False), (np.ones(2, np.float32), True)])
def test_an_optional_input_reaches_the_model(fed: Any, there: bool) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 21]> '
        "g (optional(float[2]) o) => (bool[] y) { y = OptionalHasElement (o) }"
    )
    (y,) = NativeBackend.prepare(model).run([fed])
    assert y == there


def test_programs_of_a_model_share_one_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PELEMAY_CACHE", str(tmp_path))
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 17]> '
        "g (float[n, n] x) => (float[n, n] y) { a = MatMul(x, x)  y = Softmax(a) }"
    )
    onnx.save(model, tmp_path / "m.onnx")
    session = InferenceSession(tmp_path / "m.onnx", threads=1)
    runnable = session._prepared.runnable
    assert isinstance(runnable, SpecializedRunnable)
    sizes = (64, 8, 64)
    for n in sizes:
        x = np.eye(n, dtype=np.float32)
        (y,) = session.run(None, {"x": x})
        assert y.shape == (n, n)
        assert y[0].argmax() == 0
    programs = [runnable.program_for({"x": np.zeros((n, n), np.float32)}) for n in sizes]
    assert len({id(program.engine) for program in programs}) == 1
    largest = programs[0].program
    assert runnable.nbytes <= largest.arena_bytes + 64 + largest.scratch_bytes(1)
