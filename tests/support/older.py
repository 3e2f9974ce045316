"""Models of one node in the operator sets before the newest, from ONNX's own tests of the newest.

In: the name of an operation, and a version of it before the newest. Out: models and their inputs. A
test's node is put into the older operator set as it is, if ONNX's checker finds that it is one
there; inputs that were attributes then are made attributes again.

What such a node means there is for onnxruntime to say, not for the test that it comes from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnx.parser
from onnx import defs, helper
from onnx.backend.test.loader import load_model_tests

Array = Any

OLDEST = 7

MOVED = {
    "Clip": ("min", "max"),
    "Pad": ("pads", "value"),
    "Slice": ("starts", "ends", "axes"),
    "TopK": ("k",),
    "Upsample": ("scales",),
    **dict.fromkeys(
        [
            *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean"),
            *("ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Squeeze", "Unsqueeze"),
        ],
        ("axes",),
    ),
}
"""Inputs behind the first that older versions have as attributes."""

DROPPED = ("noop_with_empty_axes", "coordinate_transformation_mode", "mode")
"""Attributes that are left out where the older version does not know them."""


PAIR = """g (float[2] x, float[2] z) => (float[a] y) <int64 one = {1}, int64 zero = {0}> {
    s = SequenceConstruct(x, z) """
IMAGE = "g (float[1, 2, 6, 6] x) => (float[1, 2, a, b] y)"
WRITTEN = {
    "Cast": "g (float[2, 3] x) => (int32[2, 3] y) { y = Cast <to = 6> (x) }",
    "CastLike": "g (float[2, 3] x, int32[1] t) => (int32[2, 3] y) { y = CastLike(x, t) }",
    "ConcatFromSequence": f"{PAIR} y = ConcatFromSequence <axis = 0> (s) }}",
    "GlobalLpPool": f"{IMAGE} {{ y = GlobalLpPool <p = 3> (x) }}",
    "Loop": """g (int64 n, bool c, float[2] x) => (float[2] y, float[k, 2] z) {
        y, z = Loop (n, c, x) <body = b (int64 i, bool go, float[2] a)
          => (bool go2, float[2] a2, float[2] s) {
          go2 = Identity(go)  a2 = Add(a, x)  s = Mul(a2, a) }> }""",
    "MaxRoiPool": f"""{IMAGE} <float[1, 5] r = {{0, 1, 1, 4, 5}}> {{
        y = MaxRoiPool <pooled_shape = [2, 2]> (x, r) }}""",
    "Multinomial": "g (float[2, 3] x) => (int32[2, 4] y) { y = Multinomial <sample_size = 4> (x) }",
    "Optional": "g (float[2] x) => (float[2] y) { o = Optional(x)  y = OptionalGetElement(o) }",
    "RandomNormal": "g () => (float[2, 3] y) { y = RandomNormal <shape = [2, 3]> () }",
    "RandomNormalLike": "g (float[2, 3] x) => (float[2, 3] y) { y = RandomNormalLike(x) }",
    "RandomUniform": "g () => (float[2, 3] y) { y = RandomUniform <shape = [2, 3]> () }",
    "RandomUniformLike": "g (float[2, 3] x) => (float[2, 3] y) { y = RandomUniformLike(x) }",
    "Resize": f"{IMAGE} <float[4] s = {{1, 1, 2, 1.5}}> {{ y = Resize(x, s) }}",
    "Resize-11": f"""{IMAGE} <float[0] roi = {{}}, float[4] s = {{1, 1, 2, 1.5}}> {{
        y = Resize <mode = "linear"> (x, roi, s) }}""",
    "SequenceAt": f"{PAIR} y = SequenceAt(s, one) }}",
    "SequenceConstruct": f"{PAIR} y = SequenceAt(s, zero) }}",
    "SequenceEmpty": """g (float[2] x) => (float[a] y) <int64 zero = {0}> {
        s = SequenceEmpty <dtype = 1> ()  t = SequenceInsert(s, x)  y = SequenceAt(t, zero) }""",
    "SequenceErase": f"{PAIR} t = SequenceErase(s, zero)  y = SequenceAt(t, zero) }}",
    "SequenceLength": f"{PAIR} n = SequenceLength(s)  y = Cast <to = 1> (n) }}".replace("[a]", ""),
}
"""What ONNX's tests have no plain case of."""


@cache
def versions() -> dict[str, list[int]]:
    """Operation to the versions that operator sets from 7 on have, the newest last."""
    found: dict[str, set[int]] = defaultdict(set)
    for schema in defs.get_all_schemas_with_history():
        if not schema.domain and not schema.deprecated:
            found[schema.name].add(schema.since_version)
    return {name: _used(sorted(known)) for name, known in sorted(found.items())}


def _used(known: list[int]) -> list[int]:
    before = [v for v in known if v <= OLDEST]
    return [*before[-1:], *(v for v in known if v > OLDEST)]


@cache
def _cases() -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for case in load_model_tests(kind="node"):
        if case.model is None or not case.data_sets or len(case.model.graph.node) != 1:
            continue
        if all(not opset.domain for opset in case.model.opset_import):
            found[case.model.graph.node[0].op_type].append(case)
    for cases in found.values():
        cases.sort(key=lambda case: case.model.ByteSize())
    return found


def covered() -> set[str]:
    """Operations that ONNX's own tests have alone."""
    return set(_cases())


def models(op: str, version: int) -> Iterator[tuple[onnx.ModelProto, dict[str, Array]]]:
    """Models in which the operation has that version, and their inputs; small ones first."""
    at = max(version, OLDEST)
    yield from _written(op, version, at)
    for case in _cases()[op]:
        given = case.data_sets[0][0]
        if not all(isinstance(value, (np.ndarray, np.generic)) for value in given):
            continue
        names = [value.name for value in case.model.graph.input]
        feeds = dict(zip(names, map(np.asarray, given), strict=False))
        for model, left in _forms(case.model, feeds, at):
            try:
                onnx.checker.check_model(model, full_check=True)
            except Exception:  # noqa: BLE001 - the checker raises what it likes
                continue
            yield model, left


def _written(op: str, version: int, at: int) -> Iterator[tuple[onnx.ModelProto, dict[str, Array]]]:
    text = WRITTEN.get(f"{op}-{version}", WRITTEN.get(op))
    if text is None:
        return
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {at}]> {text}')
    generator = np.random.default_rng(version)
    feeds = {}
    for value in model.graph.input:
        kind = value.type.tensor_type
        shape = [size.dim_value for size in kind.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        feeds[value.name] = np.asarray(generator.uniform(1, 4, shape)).astype(dtype)
    yield model, feeds


def _forms(
    newest: onnx.ModelProto, feeds: dict[str, Array], at: int
) -> Iterator[tuple[onnx.ModelProto, dict[str, Array]]]:
    """The node as it is, and with attributes in the place of inputs."""
    model = onnx.ModelProto()
    model.CopyFrom(newest)
    model.opset_import[0].version = at
    model.ir_version = min(model.ir_version, 8 if at < 21 else 10)
    yield model, feeds
    moved = onnx.ModelProto()
    moved.CopyFrom(model)
    node = moved.graph.node[0]
    names = MOVED.get(node.op_type, ())
    for name, value in zip(names, list(node.input)[1:], strict=False):
        if value and feeds[value].size:
            node.attribute.append(_attribute(name, feeds[value]))
    for attribute in [a for a in node.attribute if a.name in DROPPED]:
        node.attribute.remove(attribute)
    if names:
        del node.input[1:]
    kept = [value for value in moved.graph.input if value.name in node.input]
    del moved.graph.input[:]
    moved.graph.input.extend(kept)
    yield moved, {value.name: feeds[value.name] for value in kept}


def _attribute(name: str, value: Array) -> onnx.AttributeProto:
    plain = value.reshape(-1).tolist()
    single = name in ("k", "min", "max", "value")
    return helper.make_attribute(name, plain[0] if single else plain)
