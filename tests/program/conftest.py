"""Plans that are obvious: every value has its own piece of the arena, nothing is shared."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
from pelemay.plan.types import Placement, Plan
from pelemay.program.program import contiguous_strides

F32 = DType.FLOAT32


def tensor(*shape: int, dtype: DType = F32) -> TensorType:
    return TensorType(dtype, shape)


def naive_plan(graph: Graph) -> Plan:
    placements = {}
    end = 0
    names = [
        *graph.inputs,
        *graph.constants,
        *(n for node in graph.nodes for n in node.outputs if n),
    ]
    for name in names:
        kind = graph.type_of(name)
        assert isinstance(kind, TensorType)
        assert kind.shape is not None
        strides = contiguous_strides(tuple(int(d) for d in kind.shape))
        space = (
            "input" if name in graph.inputs
            else "constant" if name in graph.constants
            else "output" if name in graph.outputs
            else "arena"
        )  # fmt: skip
        placements[name] = Placement(space, name, end if space == "arena" else 0, strides)
        if space == "arena":
            nbytes = math.prod(kind.shape) * kind.dtype.numpy.itemsize
            end += -(-nbytes // 64) * 64
    return Plan(graph, placements, (), end, end, end)


@pytest.fixture
def plan_of() -> Callable[[Graph], Plan]:
    return naive_plan


@pytest.fixture
def chain() -> Graph:
    """y = Gelu(Relu(x) + w) through a middle value, with a constant in memory."""
    w = np.arange(6, dtype=np.float32).reshape(2, 3)
    nodes = (
        Node("Relu", ("x",), ("a",), name="first"),
        Node("Add", ("a", "w"), ("b",), name="second"),
        Node("Gelu", ("b",), ("y",), {"approximate": "tanh"}, name="third"),
    )
    x = tensor(2, 3)
    return Graph("chain", {"x": x}, {"y": x}, nodes, {"w": ArrayConstant.of(w)}, {"a": x, "b": x})


@pytest.fixture
def plm(tmp_path: Path) -> Callable[..., Path]:
    """Writes a program to a file in a folder of its own."""
    from pelemay.program.write import write_program

    def write(program: Any, name: str = "model.plm") -> Path:
        return write_program(program, tmp_path / name).path

    return write
