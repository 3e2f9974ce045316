"""A network whose weights go through a window, and engines that stream them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pelemay.compilation import compile_graph
from pelemay.engine import Engine, open_program
from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
from pelemay.program.write import write_program
from pelemay.target import Target

KIB = 1 << 10


def network(*, channels: int = 192) -> Graph:
    """Convolutions and products of 16 KiB to 1.3 MiB, one of them used twice."""
    random = np.random.default_rng(5)

    def weights(*shape: int) -> ArrayConstant:
        scale = np.sqrt(2 / np.prod(shape[1:]))
        return ArrayConstant.of((random.standard_normal(shape) * scale).astype(np.float32))

    c = channels
    pads = {"pads": (1, 1, 1, 1)}
    nodes = (
        Node("Conv", ("x", "w1", "b1"), ("a",), pads),
        Node("Relu", ("a",), ("b",)),
        Node("Conv", ("b", "w2", "b1"), ("c",), pads),
        Node("Add", ("c", "b"), ("d",)),
        Node("Conv", ("d", "w3"), ("e",)),
        Node("Conv", ("e", "w3"), ("f",)),
        Node("Conv", ("f", "w4", "b1"), ("g",), {"group": c, **pads}),
        Node("GlobalAveragePool", ("g",), ("p",)),
        Node("Flatten", ("p",), ("h",)),
        Node("Gemm", ("h", "fc", "fb"), ("y",), {"transB": 1}),
    )
    constants = {
        "w1": weights(c, 16, 3, 3),
        "b1": weights(c),
        "w2": weights(c, c, 3, 3),
        "w3": weights(c, c, 1, 1),
        "w4": weights(c, 1, 3, 3),
        "fc": weights(1000, c),
        "fb": weights(1000),
    }
    x = TensorType(DType.FLOAT32, (1, 16, 7, 7))
    return Graph("network", {"x": x}, {"y": None}, nodes, constants)


def write_network(folder: Path, *, channels: int = 192) -> Path:
    """The network in a file, in blocks of 128 KiB."""
    program = compile_graph(network(channels=channels), target=Target(block_bytes=128 * KIB))
    return write_program(program, folder / "network.plm").path


def streamed(path: Path, budget: int | None = None, threads: int = 2) -> Engine:
    """An engine with that budget, or the least that works."""
    program = open_program(path, streamed=True)
    least = program.stream_need()["least"]
    return Engine(program, threads=threads, weights_bytes=least if budget is None else budget)


def budgets(path: Path, count: int = 5) -> list[int]:
    """From the least to more than all."""
    need = open_program(path, streamed=True).stream_need()
    return [int(b) for b in np.linspace(need["least"], need["most"], count)] + [need["most"] * 2]


def flip(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))
