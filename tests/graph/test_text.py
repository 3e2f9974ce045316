"""The text form: what is printed parses to the same graph; hostile text gives a ModelError."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pelemay.errors import GraphError, InputError, ModelError
from pelemay.graph import (
    ArrayConstant,
    Constant,
    DType,
    Graph,
    MapType,
    Node,
    OptionalType,
    SequenceType,
    SparseTensorType,
    TensorType,
)
from pelemay.graph.text import external_constants, from_text, to_text

FLOAT = DType.FLOAT32


def array_of(dtype: DType, shape: tuple[int, ...], fill: bytes) -> np.ndarray[Any, Any]:
    """An array of any bits, from a cycle of ``fill``."""
    count = int(np.prod(shape))
    if dtype is DType.BOOL:
        return np.resize(np.frombuffer(fill, np.uint8) % 2, count).astype(bool).reshape(shape)
    if dtype.numpy.itemsize == 1 and dtype.bits < 8:
        words = np.resize(np.frombuffer(fill, np.uint8) % (1 << dtype.bits), count)
        if dtype.kind.value == "int":
            half = 1 << (dtype.bits - 1)
            return (words.astype(np.int8) - half).astype(dtype.numpy).reshape(shape)
        if dtype.kind.value == "uint":
            return words.astype(dtype.numpy).reshape(shape)
        return words.view(dtype.numpy).reshape(shape)
    raw = np.resize(np.frombuffer(fill, np.uint8), count * dtype.numpy.itemsize)
    return raw.view(dtype.numpy).reshape(shape)


def same_constant(a: Constant, b: Constant) -> bool:
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return False
    if a.dtype is DType.STRING:
        return list(a.array().flat) == list(b.array().flat)
    return a.array().tobytes() == b.array().tobytes()


def same_attribute(a: Any, b: Any) -> bool:
    if isinstance(a, tuple):
        return isinstance(b, tuple) and same_list(a, b, same_attribute)
    if isinstance(a, Graph):
        return isinstance(b, Graph) and same(a, b)
    if isinstance(a, Constant):
        return isinstance(b, Constant) and same_constant(a, b)
    if isinstance(a, float):
        return isinstance(b, float) and struct.pack("d", a) == struct.pack("d", b)
    return type(a) is type(b) and bool(a == b)


def same_list(a: Any, b: Any, equal: Callable[[Any, Any], bool]) -> bool:
    return len(a) == len(b) and all(map(equal, a, b))


def same_items(a: Any, b: Any, equal: Callable[[Any, Any], bool]) -> bool:
    return list(a) == list(b) and same_list(list(a.values()), list(b.values()), equal)


def same_node(a: Node, b: Node) -> bool:
    fields = ("op", "inputs", "outputs", "domain", "version", "name")
    return all(getattr(a, f) == getattr(b, f) for f in fields) and same_items(
        a.attributes, b.attributes, same_attribute
    )


def same(a: Graph, b: Graph) -> bool:
    """Equal in every field; floats and constants bit for bit, mappings in their order."""
    return (
        a.name == b.name
        and list(a.inputs.items()) == list(b.inputs.items())
        and list(a.outputs.items()) == list(b.outputs.items())
        and dict(a.types) == dict(b.types)
        and same_items(a.constants, b.constants, same_constant)
        and same_list(a.nodes, b.nodes, same_node)
    )


# Surrogates are among characters(): ONNX strings that are not UTF-8 come as such.
any_text = st.text(st.characters(), max_size=6)
names = st.sampled_from(["x", "y", "/a/b.1", "onnx::Conv_1", "_", "inf", "a:0", "graph"]) | st.text(
    st.characters(), min_size=1, max_size=6
)
dtypes = st.sampled_from(DType)
shapes = st.none() | st.lists(
    st.none() | st.integers(0, 2**63 - 1) | any_text, max_size=3
).map(tuple)  # fmt: skip
types = st.recursive(
    st.builds(TensorType, dtypes, shapes) | st.builds(SparseTensorType, dtypes, shapes),
    lambda inner: (
        st.builds(SequenceType, inner)
        | st.builds(OptionalType, inner)
        | st.builds(MapType, dtypes, inner)
    ),
    max_leaves=3,
)


@st.composite
def constants(draw: st.DrawFn, max_size: int = 4) -> Constant:
    dtype = draw(dtypes)
    shape = tuple(draw(st.lists(st.integers(0, max_size), max_size=2)))
    if dtype is DType.STRING:
        value = np.empty(shape, object)
        value.flat = [draw(any_text) for _ in range(value.size)] or None
        return ArrayConstant.of(value)
    return ArrayConstant.of(array_of(dtype, shape, draw(st.binary(min_size=64, max_size=64))))


ints = st.integers(-(2**63), 2**63 - 1)
floats = st.floats() | st.binary(min_size=8, max_size=8).map(lambda b: struct.unpack("d", b)[0])


def graphs(depth: int = 1) -> st.SearchStrategy[Graph]:
    items: list[st.SearchStrategy[Any]] = [ints, floats, any_text, dtypes, types, constants()]
    if depth:
        items.append(graphs(depth - 1))
    attributes = st.one_of(*items, *(st.lists(i, max_size=3).map(tuple) for i in items))
    some_names = st.lists(names | st.just(""), max_size=3).map(tuple)
    nodes = st.builds(
        Node,
        names,
        some_names,
        some_names,
        st.dictionaries(any_text, attributes, max_size=2),
        st.sampled_from(["", "ai.onnx.ml", "a b"]),
        st.integers(0, 30),
        any_text,
    )
    values = st.dictionaries(names, st.none() | types, max_size=2)
    return st.builds(
        Graph,
        any_text,
        values,
        values,
        st.lists(nodes, max_size=3).map(tuple),
        st.dictionaries(names, constants(max_size=6 if depth else 4), max_size=2),
        st.dictionaries(names, types, max_size=2),
    )


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(graphs())
def test_what_is_printed_parses_to_the_same_graph(graph: Graph) -> None:
    assert same(from_text(to_text(graph), graph.constants), graph)
    assert same(from_text(to_text(graph, constants="all")), graph)
    outside = external_constants(graph, "none")
    assert same(from_text(to_text(graph, constants="none"), outside), graph)


@pytest.mark.parametrize("dtype", [d for d in DType if d is not DType.STRING])
def test_every_element_of_16_bits_and_less_is_written_bit_by_bit(dtype: DType) -> None:
    words = np.arange(1 << min(dtype.bits, 12), dtype=np.uint16)
    wide = (words << 4 | words & 15) if dtype.bits >= 16 else words
    fill = wide.tobytes() if dtype.bits >= 16 else words.astype(np.uint8).tobytes()
    value = array_of(dtype, (len(words),), fill)
    graph = Graph("g", {}, {}, (), {"w": ArrayConstant.of(value)})
    back = from_text(to_text(graph, constants="all")).constants["w"]
    assert back.dtype is dtype
    assert back.array().tobytes() == value.tobytes()


def branches() -> Graph:
    weight = ArrayConstant.of(np.zeros((5, 5), np.float32))
    inner = Graph(
        "then", {}, {"z": None}, (Node("Add", ("x", "w"), ("z",)),), {"w": weight}
    )  # fmt: skip
    node = Node(
        "If",
        ("c",),
        ("y",),
        {"then_branch": inner, "else_branch": Graph("else", {}, {"x": None}, ())},
        version=21,
        name='the "if"',
    )
    lstm = Node(
        "Gelu", ("y", "", "a b"), ("h", "", "o"), {"k": (1, 2), "s": (), "f": 0.1, "to": FLOAT},
        domain="com.microsoft",
    )  # fmt: skip
    x = TensorType(FLOAT, (1, "n", None))
    return Graph(
        "main",
        inputs={"x": x, "c": TensorType(DType.BOOL, ())},
        outputs={"h": x, "o": None},
        nodes=(node, lstm),
        constants={
            "a b": ArrayConstant.of([[1, -1]]),
            "big": ArrayConstant.of(np.zeros((17,), np.float16)),
        },
        types={"y": SequenceType(x), "z2": TensorType(FLOAT)},
    )


PRINTED = """\
graph "main" (%x: float32[1, n, ?], %c: bool[]) -> (%h: float32[1, n, ?], %o) {
  const %"a b": int64[1, 2] = [1, -1]
  const %big: float16[17] = external
  type %z2: float32
  %y: sequence(float32[1, n, ?]) = If(%c) {
    then_branch = graph "then" () -> (%z) {
      const %w: float32[5, 5] = external "y.then_branch/w"
      %z = Add(%x, %w)
    },
    else_branch = graph "else" () -> (%x) {
    }
  } @21 "the \\"if\\""
  %h, _, %o = com.microsoft::Gelu(%y, _, %"a b") {k = [1, 2], s = [], f = 0.1, to = float32}
}
"""


def test_the_text_is_for_people() -> None:
    assert to_text(branches()) == PRINTED


def test_what_a_person_writes_may_be_spaced_and_commented() -> None:
    loose = PRINTED.replace("  ", " # a comment, %x = (\n\t").replace(", ", ",")
    outside = external_constants(branches())
    assert sorted(outside) == ["big", "y.then_branch/w"]
    assert same(from_text(loose, outside), branches())


def test_long_signatures_stand_one_value_a_line() -> None:
    kind = TensorType(FLOAT, (1, 2, 3))
    graph = Graph("g", {f"input_{i}": kind for i in range(9)}, {"input_0": kind}, ())
    lines = to_text(graph).splitlines()
    assert lines[1] == "  %input_0: float32[1, 2, 3],"
    assert max(map(len, lines)) < 100
    assert same(from_text(to_text(graph)), graph)


def test_external_keys_do_not_collide() -> None:
    big = [ArrayConstant.of(np.full((20,), i)) for i in range(4)]
    node = Node("N", (), ("y",), {"value": big[0], "more": (big[1], big[1], big[2])})
    graph = Graph("g", {}, {}, (node,), {"y.more": big[3], "again": big[3]})
    outside = external_constants(graph)
    assert list(outside) == ["y.more", "y.value", "y.more'", "y.more''"]
    assert same(from_text(to_text(graph), outside), graph)


def test_big_constants_are_not_read() -> None:
    class Lazy:
        dtype, shape, nbytes = FLOAT, (1000,), 4000

        def array(self) -> Any:
            raise AssertionError("read")

    graph = Graph("g", {}, {}, (), {"w": Lazy()})
    assert from_text(to_text(graph), graph.constants).constants["w"] is graph.constants["w"]


BROKEN = [
    ("", "line 1, column 1: expected 'graph', but found the end"),
    ("graph g", "line 1, column 7: expected a string in quotes, but found 'g'"),
    ('graph "g" () -> () {}\n}', "line 2, column 1: expected the end, but found '}'"),
    ('graph "g" () -> () {\n  %y == X()', "line 2, column 7: expected an operation, but found '='"),
    ('graph "g" () -> () {\n  y = X()', "expected 'const', 'type', a value's name"),
    ('graph "g" () -> () {\n  ~', "line 2, column 3: '~' begins no token"),
    ('graph "g" (%x, %x) -> () {}', "column 16: 'x' stands here for the second time"),
    ('graph "g" () -> () {%y=X(){a=1,a=2}}', "column 32: attribute 'a' stands here for the second"),
    ('graph "g" () -> () {%y:bool=X() %y:bool=X()}', "type of 'y' stands here for the second"),
    ('graph "g" () -> () {%y=X(){a=float33}}', "expected an attribute, but found 'float33'"),
    ('graph "g" () -> () {%y=X(){a=[1,]}}', "expected an attribute, but found ']'"),
    ('graph "g" () -> () {%y=X(){a=[[1]]}}', "expected an attribute, but found '['"),
    ('graph "g" () -> () {%y=X()@1.5}', "expected a version of 64 bits, but found '1.5'"),
    ('graph "g" () -> () {%y=X(){a=18446744073709551616}}', "an integer of 64 bits"),
    ('graph "\\q" () -> () {}', "line 1, column 7: a broken string: \\q is not an escape"),
    ('graph "\\u{110000}" () -> () {}', "a broken string"),
    ('graph "a\nb" () -> () {}', "begins no token"),
    ('graph "g" () -> () {const %a: float32 = external}', "expected '[', but found '='"),
    ('graph "g" () -> () {const %a: int8[1] = [128]}', "128 does not fit int8"),
    ('graph "g" () -> () {const %a: int8[1] = [1.0]}', "'1.0' is no integer, as int8 needs"),
    ('graph "g" () -> () {const %a: int8[2] = [1]}', "int8[2] has not 1 elements"),
    ('graph "g" () -> () {const %a: int8[-1] = [1]}', "is negative"),
    ('graph "g" () -> () {const %a: int8[n] = [1]}', "expected a size, but found 'n'"),
    ('graph "g" () -> () {const %a: bool[1] = [1]}', "expected 'true' or 'false', but found '1'"),
    ('graph "g" () -> () {const %a: float16[1] = [bits(0x12345)]}', "out of bounds"),
    ('graph "g" () -> () {const %a: complex64[1] = [1]}', "expected '(', but found '1'"),
    ('graph "g" () -> () {const %a: int64[99999999999] = [1]}', "has not 1 elements"),
    (f'graph "g" () -> () {{const %a: int64[{"1," * 99}1] = [1]}}', "maximum supported dimension"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_an_error_says_where_and_what(text: str, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        from_text(text)
    assert message in str(caught.value)
    assert str(caught.value).startswith("line ")


def test_a_missing_constant_is_named() -> None:
    with pytest.raises(ModelError, match="line 3, column 15: constant 'big' is not in the text"):
        from_text(PRINTED)


def test_a_constant_of_another_type_is_refused() -> None:
    other = {"big": ArrayConstant.of(np.zeros((17,), np.float32))}
    with pytest.raises(ModelError, match=r"'big' is float16\[17\], but the one given is float32"):
        from_text(PRINTED, other)


def nested(levels: int) -> str:
    return 'graph "g" () -> () { %y = X() {a = ' * levels + 'graph "g" () -> () {}' + "} }" * levels


HOSTILE = [
    (nested(65), "graphs nest deeper than 64"),
    (nested(20_000), "graphs nest deeper than 64"),
    (f'graph "g" (%x: {"sequence(" * 65}bool', "types nest deeper than 64"),
    (f'graph "g" (%x: {"map(bool, " * 100_000}', "types nest deeper than 64"),
    ('graph "' + "a" * 1_000_000, "begins no token"),
    (f'graph "g" (%x: float32[{"9" * 1_000_000}])', "a number has at most 40 characters"),
    (f'graph "g" (%x: float32[1e{"9" * 30}])', "a size of 64 bits"),
    (f'graph "g" (%x: float32[{"[" * 1_000_000}])', "expected a dimension"),
    ("#" * 1_000_000, "expected 'graph'"),
    ("%" + "a::" * 300_000, "expected 'graph'"),
    ("\\" * 1_000_000, "begins no token"),
]


@pytest.mark.parametrize(("text", "message"), HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        from_text(text)


def test_the_deepest_graph_prints_and_parses() -> None:
    graph = from_text(nested(64))
    assert same(from_text(to_text(graph)), graph)
    kind = TensorType(FLOAT)
    for _ in range(64):
        kind = OptionalType(kind)
    graph = Graph("g", {"x": kind}, {}, ())
    assert same(from_text(to_text(graph)), graph)


def test_what_nests_too_deeply_is_not_printed() -> None:
    graph, kind = Graph("g", {}, {}, ()), TensorType(FLOAT)
    for _ in range(200):
        graph = Graph("g", {}, {}, (Node("X", (), (), {"a": graph}),))
        kind = OptionalType(kind)
    for deep in (graph, Graph("g", {"x": kind}, {}, ())):
        with pytest.raises(GraphError, match="nest deeper than 64"):
            to_text(deep)


def test_what_is_no_attribute_is_not_printed() -> None:
    for value in (object(), 1 << 65):
        graph = Graph("g", {}, {}, (Node("X", (), (), {"a": value}),))  # type: ignore[dict-item]
        with pytest.raises(GraphError, match="not the type of an attribute"):
            to_text(graph)
    with pytest.raises(InputError, match="small"):
        to_text(Graph("g", {}, {}, ()), constants="big")  # type: ignore[arg-type]


SCRAPS = st.sampled_from(
    ['"', "%", "{", "}", "(", ")", "[", "]", ",", "=", ":", "::", "@", "->", "_", "-", "#", "\\",
     " ", "\n", "inf", "nan", "bits(0x1)", "1e400", "-1", "type ", "const ", "graph ", "tensor ",
     "external", "float8_e4m3fn", "int4", "string[1]", "sparse(", "map(", "complex64"]
) | st.text(max_size=3)  # fmt: skip


@settings(max_examples=400)
@given(
    st.lists(st.tuples(st.integers(0, len(PRINTED)), st.integers(0, 12), SCRAPS), max_size=6)
)  # fmt: skip
def test_damaged_text_gives_a_graph_or_a_model_error(edits: list[tuple[int, int, str]]) -> None:
    text, outside = PRINTED, external_constants(branches())
    for start, length, scrap in edits:
        text = text[:start] + scrap + text[start + length :]
    try:
        graph = from_text(text, outside)
    except ModelError:
        return
    assert same(from_text(to_text(graph), external_constants(graph)), graph)
