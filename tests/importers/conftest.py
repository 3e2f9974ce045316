"""Builders of models: by hand, because ONNX's helpers cannot write all that a file may hold."""

from __future__ import annotations

import math
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import onnx
import pytest


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def key(number: int, wire: int) -> bytes:
    return varint(number << 3 | wire)


def number(field: int, value: int) -> bytes:
    return key(field, 0) + varint(value)


def message(field: int, content: bytes | str) -> bytes:
    content = content.encode() if isinstance(content, str) else content
    return key(field, 2) + varint(len(content)) + content


def tensor(name: str | bytes, dtype: int, dims: Iterable[int], payload: bytes) -> bytes:
    sizes = b"".join(number(1, dim) for dim in dims)
    return sizes + number(2, dtype) + payload + message(8, name)


def graph(*tensors: bytes, more: bytes = b"") -> bytes:
    return message(2, "g") + b"".join(message(5, item) for item in tensors) + more


def model(graph_bytes: bytes) -> bytes:
    return number(1, 8) + message(7, graph_bytes) + message(8, number(2, 17))


@pytest.fixture(scope="session")
def pb() -> SimpleNamespace:
    """The protobuf wire format, by hand."""
    names = (varint, key, number, message, tensor, graph, model)
    return SimpleNamespace(**{f.__name__: f for f in names})


@pytest.fixture(scope="session")
def run_python() -> Callable[..., str]:
    """Run code in a fresh process; what it printed. A failure shows what it wrote to stderr."""

    def run(code: str, *arguments: object, timeout: int = 120) -> str:
        command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run


def convolutions() -> list[tuple[int, int, int]]:
    """(out, in, kernel) of ResNet-101's 104 convolutions."""
    found, before = [(64, 3, 7)], 64
    for blocks, width in ((3, 64), (4, 128), (23, 256), (3, 512)):
        for block in range(blocks):
            found += [(width, before, 1), (width, width, 3), (4 * width, width, 1)]
            found += [(4 * width, before, 1)] if not block else []
            before = 4 * width
    return found


@pytest.fixture(scope="session")
def resnet101(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files as large as ResNet-101's, with its tensors, in both encodings; zeros are holes."""
    folder = tmp_path_factory.mktemp("resnet101")
    fields = {"float_data": 4, "raw_data": 9}
    return {name: _write(folder / f"{name}.onnx", field) for name, field in fields.items()}


def _write(path: Path, field: int) -> Path:
    heads, nodes, value = [], [], "data"
    for index, (out, into, kernel) in enumerate(convolutions()):
        shapes = {"weight": (out, into, kernel, kernel)}
        shapes |= dict.fromkeys(("gamma", "beta", "mean", "var"), (out,))
        for part, shape in shapes.items():
            nbytes = 4 * math.prod(shape)
            payload = key(field, 2) + varint(nbytes)
            heads.append((tensor(f"{part}{index}", 1, shape, b""), payload, nbytes))
        conv = onnx.helper.make_node(
            "Conv", [value, f"weight{index}"], [f"c{index}"], kernel_shape=[kernel, kernel]
        )
        parts = [f"{part}{index}" for part in ("gamma", "beta", "mean", "var")]
        norm = onnx.helper.make_node("BatchNormalization", [f"c{index}", *parts], [f"n{index}"])
        nodes += [message(1, node.SerializeToString()) for node in (conv, norm)]
        value = f"n{index}"
    kind = onnx.helper.make_tensor_type_proto(1, None)
    ports = [onnx.ValueInfoProto(name=name, type=kind) for name in ("data", value)]
    more = b"".join(nodes) + message(2, "g")
    more += b"".join(
        message(n, p.SerializeToString()) for n, p in zip((11, 12), ports, strict=True)
    )
    _write_holes(path, heads, more)
    return path


def _write_holes(path: Path, heads: list[tuple[bytes, bytes, int]], more: bytes) -> None:
    sizes = [len(head) + len(payload) + nbytes for head, payload, nbytes in heads]
    whole = sum(len(message(5, b"") + varint(size)) - 1 + size for size in sizes) + len(more)
    with path.open("wb") as file:
        file.write(number(1, 8) + message(8, number(2, 17)) + key(7, 2) + varint(whole))
        for (head, payload, nbytes), size in zip(heads, sizes, strict=True):
            file.write(key(5, 2) + varint(size) + head + payload)
            file.seek(nbytes, 1)
        file.write(more)
