"""Write a blueprint as an ONNX file, one piece of one weight at a time.

In: a :class:`~pelemay.models.standins.builder.Blueprint` and a seed. Out: the file's bytes, in
pieces of at most 1 MiB, in the order in which protobuf would have put them. Every length is
known before the first byte is drawn, so no weight is ever held whole.

>>> from pelemay.models.standins.builder import GraphBuilder, Normal
>>> b = GraphBuilder("tiny", opset=13)
>>> b.output(b.node("Relu", [b.parameter("w", (4,), Normal(1.0))], "y"), (4,))
>>> data = b"".join(pieces(b.blueprint(), seed=1))
>>> len(data) == size_bytes(b.blueprint())
True
>>> onnx.load_from_string(data).graph.initializer[0].name
'w'
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt
import onnx
from onnx import GraphProto, ModelProto, TensorProto

from pelemay.models.standins.builder import Blueprint, Encoding, Exact, Normal, Parameter, Uniform

# Field numbers of onnx.proto: ModelProto.graph, GraphProto.initializer, and the two
# homes of float weights in TensorProto.
_GRAPH, _INITIALIZER = 7, 5
_PAYLOAD = {"float_data": 4, "raw_data": 9}

# Elements drawn at once: 1 MiB of floats.
_PIECE = 1 << 18


def size_bytes(blueprint: Blueprint) -> int:
    """Size of the file that :func:`write` makes of it; no weight is drawn.

    Returns
    -------
    int
        Bytes.
    """
    before, tensors, after = _lengths(blueprint)
    return before + tensors + after


def write(
    blueprint: Blueprint,
    path: Path,
    *,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> str:
    """Write the file and return its SHA-256.

    Parameters
    ----------
    blueprint : Blueprint
        The network.
    path : Path
        Created or overwritten; the caller puts the finished file in its place.
    seed : int
        The same seed gives the same bytes, with the same version of NumPy's generators.
    progress : callable, optional
        Told the number of bytes of each piece after it is written.

    Returns
    -------
    str
        Hexadecimal SHA-256 of the file.
    """
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for piece in pieces(blueprint, seed=seed):
            file.write(piece)
            digest.update(piece)
            if progress is not None:
                progress(len(piece))
    return digest.hexdigest()


def pieces(blueprint: Blueprint, *, seed: int) -> Iterator[bytes]:
    """The bytes of the file, from first to last, in pieces of at most about 1 MiB.

    The weights of a tensor depend on the seed and its name only, not on its place.

    Yields
    ------
    bytes
    """
    head, tail = _split_model(blueprint.model)
    graph_head, graph_tail = _split_graph(blueprint.model.graph)
    records = [_record(p, blueprint.encoding) for p in blueprint.parameters]
    inner = sum(len(prefix) + size + len(suffix) for prefix, size, suffix in records)
    yield head + _open(_GRAPH, len(graph_head) + inner + len(graph_tail)) + graph_head
    for parameter, (prefix, size, suffix) in zip(blueprint.parameters, records, strict=True):
        yield prefix
        if size:
            yield from _draw(parameter, seed)
        if suffix:
            yield suffix
    yield graph_tail + tail


def _lengths(blueprint: Blueprint) -> tuple[int, int, int]:
    head, tail = _split_model(blueprint.model)
    graph_head, graph_tail = _split_graph(blueprint.model.graph)
    records = [_record(p, blueprint.encoding) for p in blueprint.parameters]
    inner = sum(len(prefix) + size + len(suffix) for prefix, size, suffix in records)
    graph = len(graph_head) + inner + len(graph_tail)
    before = len(head) + len(_open(_GRAPH, graph)) + len(graph_head)
    return before, inner, len(graph_tail) + len(tail)


def _split_model(model: ModelProto) -> tuple[bytes, bytes]:
    """The fields of the model before its graph, and those after it."""
    head, tail = ModelProto(), ModelProto()
    head.CopyFrom(model)
    for field in ("graph", "opset_import", "metadata_props", "functions"):
        head.ClearField(field)
    tail.opset_import.extend(model.opset_import)
    tail.metadata_props.extend(model.metadata_props)
    return head.SerializeToString(deterministic=True), tail.SerializeToString(deterministic=True)


def _split_graph(graph: GraphProto) -> tuple[bytes, bytes]:
    """The fields of the graph before its initializers, and those after them."""
    head = GraphProto(node=graph.node, name=graph.name)
    tail = GraphProto(input=graph.input, output=graph.output)
    return head.SerializeToString(deterministic=True), tail.SerializeToString(deterministic=True)


def _record(parameter: Parameter, encoding: Encoding) -> tuple[bytes, int, bytes]:
    """One initializer: bytes before its drawn payload, the payload's size, bytes after it."""
    if isinstance(parameter.law, Exact):
        body = _exact_tensor(parameter, encoding).SerializeToString(deterministic=True)
        return _open(_INITIALIZER, len(body)) + body, 0, b""
    shape = TensorProto(dims=parameter.shape, data_type=parameter.data_type).SerializeToString()
    name = TensorProto(name=parameter.name).SerializeToString()
    size = 4 * parameter.count
    payload = _open(_PAYLOAD[encoding], size)
    # Field numbers rise: float_data (4) comes before the name (8), raw_data (9) after it.
    prefix, suffix = (shape, name) if encoding == "float_data" else (shape + name, b"")
    length = len(prefix) + len(payload) + size + len(suffix)
    return _open(_INITIALIZER, length) + prefix + payload, size, suffix


def _exact_tensor(parameter: Parameter, encoding: Encoding) -> TensorProto:
    assert isinstance(parameter.law, Exact)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(parameter.data_type)
    values = np.array(parameter.law.values, dtype)
    raw = encoding == "raw_data"
    return onnx.helper.make_tensor(
        parameter.name,
        parameter.data_type,
        parameter.shape,
        values.tobytes() if raw else values.tolist(),
        raw=raw,
    )


def _draw(parameter: Parameter, seed: int) -> Iterator[bytes]:
    rng = np.random.Generator(np.random.SFC64([seed, crc32(parameter.name.encode())]))
    group = parameter.law.centre if isinstance(parameter.law, Normal) else 0
    step = max(group, _PIECE - _PIECE % group if group else _PIECE)
    for start in range(0, parameter.count, step):
        yield _values(parameter, rng, min(step, parameter.count - start)).tobytes()


def _values(parameter: Parameter, rng: np.random.Generator, count: int) -> npt.NDArray[np.float32]:
    law = parameter.law
    if isinstance(law, Uniform):
        values = rng.random(count, np.float32)
        values *= np.float32(law.high - law.low)
        values += np.float32(law.low)
    else:
        assert isinstance(law, Normal)
        values = rng.standard_normal(count, np.float32)
        values *= np.float32(law.std)
        if law.centre:
            groups = values.reshape(-1, law.centre)
            groups -= groups.mean(axis=1, keepdims=True) - np.float32(law.mean)
    return values.astype("<f4", copy=False)


def _open(field: int, length: int) -> bytes:
    """Key and length of a length-delimited field (wire type 2)."""
    return _varint(field << 3 | 2) + _varint(length)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
