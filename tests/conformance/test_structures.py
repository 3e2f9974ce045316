"""Functions in functions, branches in loops, sequences and optionals, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

from pelemay.onnx_backend import NativeBackend

onnxruntime = pytest.importorskip("onnxruntime")

HEAD = '<ir_version: 8, opset_import: ["" : 17, "local" : 1]> '

NESTED = """g (float[2, 3] x) => (float[2, 3] y) {
  a = local.outer <times = 2.0> (x)  y = local.inner(a) }
<domain: "local", opset_import: ["" : 17]> inner (a) => (b) { c = Relu(a)  b = Add(c, a) }
<domain: "local", opset_import: ["" : 17, "local" : 1]> outer <times> (a) => (b) {
  t = Constant <value_float: float = @times> ()  c = Mul(a, t)  d = local.inner(c)  b = Neg(d) }"""

BRANCHES = """g (float[2, 3] x, bool yes) => (float[2, 3] y) {
  y = If (yes) <then_branch = t () => (float[2, 3] a) { a = local.inner(x) },
    else_branch = e () => (float[2, 3] b) { b = Neg(x) }> }
<domain: "local", opset_import: ["" : 17]> inner (a) => (b) { c = Exp(a)  b = Add(c, a) }"""

LOOPED = """g (float[2, 3] x, int64 n, bool go) => (float[2, 3] y, float[k, 2, 3] all)
  <float zero = {0}> {
  y, all = Loop (n, go, x) <body = b (int64 i, bool c, float[2, 3] a)
    => (bool c2, float[2, 3] a2, float[2, 3] s) {
    m = ReduceSum <keepdims = 0> (a)  big = Greater(m, zero)  c2 = Identity(c)
    a2 = If (big) <then_branch = t () => (float[2, 3] p) { p = Sub(a, x) },
      else_branch = e () => (float[2, 3] q) { q = Add(a, x) }>
    s = Mul(a2, a) }> }"""

SEQUENCES = """g (float[6, 3] x) => (float[6, 3] y, float[2, 3] z, int64 n)
  <int64 one = {1}, int64 axis = {0}, int64[3] parts = {2, 1, 3}, int64 first = {0}> {
  s = SplitToSequence <axis = 0> (x, parts)  n = SequenceLength(s)  z = SequenceAt(s, first)
  t = SequenceErase(s, one)  u = SequenceAt(s, one)  v = SequenceInsert(t, u)
  y = ConcatFromSequence <axis = 0> (v) }"""

MAPPED = """g (float[4, 3] x) => (float[4, 3] y) <int64[2] parts = {1, 3}> {
  s = SplitToSequence <axis = 0> (x, parts)
  m = SequenceMap (s) <body = b (float[a, 3] i) => (float[a, 3] o) { h = Abs(i)  o = Sqrt(h) }>
  y = ConcatFromSequence <axis = 0> (m) }"""

OPTIONAL = """g (float[2, 3] x) => (float[2, 3] y, bool there) {
  o = Optional(x)  there = OptionalHasElement(o)  e = OptionalGetElement(o)  y = Neg(e) }"""


def feeds_of(model: onnx.ModelProto, seed: int) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    found: dict[str, Any] = {}
    for value in model.graph.input:
        kind = value.type.tensor_type
        shape = [size.dim_value for size in kind.shape.dim]
        values = {
            onnx.TensorProto.INT64: np.array(3 + seed),
            onnx.TensorProto.BOOL: np.array(seed % 2 == 0),
        }
        plain = generator.standard_normal(shape).astype(np.float32)
        found[value.name] = values.get(kind.elem_type, plain)
    return found


@pytest.mark.parametrize(
    "text", [NESTED, BRANCHES, LOOPED, SEQUENCES, MAPPED, OPTIONAL],
    ids=["nested", "branches", "looped", "sequences", "mapped", "optional"],
)  # fmt: skip
@pytest.mark.parametrize("seed", [0, 1])
def test_it_means_what_onnxruntime_says(text: str, seed: int) -> None:
    model = onnx.parser.parse_model(HEAD + text)
    feeds = feeds_of(model, seed)
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    found = NativeBackend.prepare(model).run(list(feeds.values()))
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
