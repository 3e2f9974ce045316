"""Describe a network without its weights: nodes, and how each parameter will be drawn.

In: calls that name inputs, parameters, nodes and outputs. Out: a :class:`Blueprint`, a few
hundred KB whatever the size of the network, which :mod:`pelemay.models.standins.writer`
turns into a file.

>>> b = GraphBuilder("tiny", opset=13)
>>> x = b.input("x", (1, 4))
>>> b.output(b.node("MatMul", [x, b.parameter("w", (4, 2), Normal(0.5))], "y"), (1, 2))
>>> b.blueprint().parameter_bytes
32
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import onnx
from onnx import TensorProto, helper

Encoding = Literal["raw_data", "float_data"]
Dimension = int | str


@dataclass(frozen=True)
class Normal:
    """Draw from a normal distribution; each group of ``centre`` values is shifted to ``mean``."""

    std: float
    centre: int = 0
    mean: float = 0.0


@dataclass(frozen=True)
class Uniform:
    """Draw evenly from ``low`` to ``high``."""

    low: float
    high: float


@dataclass(frozen=True)
class Exact:
    """These very values, in order: shapes of a Reshape, bounds of a Clip."""

    values: tuple[float, ...]


Law = Normal | Uniform | Exact


@dataclass(frozen=True)
class Parameter:
    """An initializer that does not exist yet: what it is called and how it is drawn."""

    name: str
    shape: tuple[int, ...]
    law: Law
    data_type: int = TensorProto.FLOAT

    @property
    def count(self) -> int:
        """How many elements it has; 1 for a scalar."""
        return prod(self.shape)


@dataclass(frozen=True)
class Blueprint:
    """A network whose weights are drawn only while it is written.

    Attributes
    ----------
    model : onnx.ModelProto
        Everything but the initializers.
    parameters : tuple of Parameter
        In the order in which the file holds them.
    encoding : {"raw_data", "float_data"}
        The field of TensorProto that the float weights go to.
    """

    model: onnx.ModelProto
    parameters: tuple[Parameter, ...]
    encoding: Encoding

    @property
    def parameter_bytes(self) -> int:
        """Bytes of all float parameters together."""
        return sum(4 * p.count for p in self.parameters if p.data_type == TensorProto.FLOAT)


class GraphBuilder:
    """Collects a graph node by node; each call returns the name of the value that it made.

    Parameters
    ----------
    name : str
        Name of the graph.
    opset : int
        Version of the default operator set.
    encoding : {"raw_data", "float_data"}
        Where the float weights will be stored.
    ir_version : int
        Before version 4, initializers are listed among the graph's inputs too.
    """

    def __init__(
        self, name: str, *, opset: int, encoding: Encoding = "raw_data", ir_version: int = 8
    ) -> None:
        self.name = name
        self.opset = opset
        self.encoding: Encoding = encoding
        self.ir_version = ir_version
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.parameters: list[Parameter] = []

    def input(
        self, name: str, shape: Sequence[Dimension], data_type: int = TensorProto.FLOAT
    ) -> str:
        """Add an input of the graph."""
        self.inputs.append(helper.make_tensor_value_info(name, data_type, list(shape)))
        return name

    def output(
        self, name: str, shape: Sequence[Dimension], data_type: int = TensorProto.FLOAT
    ) -> None:
        """Make the value ``name`` an output of the graph."""
        self.outputs.append(helper.make_tensor_value_info(name, data_type, list(shape)))

    def parameter(
        self,
        name: str,
        shape: tuple[int, ...],
        law: Law,
        data_type: int = TensorProto.FLOAT,
    ) -> str:
        """Add an initializer, to be drawn by ``law`` when the file is written."""
        self.parameters.append(Parameter(name, shape, law, data_type))
        if self.ir_version < 4:
            self.input(name, shape, data_type)
        return name

    def integers(self, name: str, values: Sequence[int]) -> str:
        """Add a one-dimensional int64 initializer."""
        law = Exact(tuple(values))
        return self.parameter(name, (len(values),), law, TensorProto.INT64)

    def scalar(self, name: str, value: float) -> str:
        """Add a float initializer of rank 0."""
        return self.parameter(name, (), Exact((value,)))

    def node(self, op_type: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node with one output; the node is called like its output."""
        self.nodes.append(
            helper.make_node(op_type, list(inputs), [output], name=output, **attributes)
        )
        return output

    def blueprint(self) -> Blueprint:
        """Close the graph."""
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs)
        opsets = [helper.make_opsetid("", self.opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=self.ir_version)
        return Blueprint(model, tuple(self.parameters), self.encoding)


def he_normal(fan_in: int, *, centre: bool = True, gain: float = 1.0) -> Normal:
    """He et al.'s law for the weights of a layer that reads ``fan_in`` rectified values.

    Each filter is centred (weight standardisation, Qiao et al. 2019): what comes out of a
    ReLU is positive on average, and without trained batch statistics that constant grows
    with depth until it drowns the input.

    Source: He et al. 2015, "Delving Deep into Rectifiers", equation 10.

    >>> he_normal(50)
    Normal(std=0.2, centre=50, mean=0.0)
    """
    return Normal(gain * (2.0 / fan_in) ** 0.5, fan_in if centre else 0)
