"""How two exporters write and name layers: MXNet (the zoo's files) and PyTorch.

In: layers. Out: nodes and parameters with the names, attributes and encodings that those
exporters gave them, so that a stand-in has the size of the original to within 0.6 %.

>>> b = MxnetGraph("net0", opset=7)
>>> b.conv("", b.input("data", (1, 3, 8, 8)), (3, 4), Window(3))
'net0_conv0_fwd'
>>> b.parameters[0].name
'net0_conv0_weight'
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pelemay.models.standins.builder import Dimension, GraphBuilder, Law, Normal, Uniform, he_normal

# Variance of a centred He convolution over rectified unit normals: 2 * (1/2 - 1/(2 pi)).
CENTRED_VARIANCE = 0.6817

# With this gain the same convolution keeps the variance at 1, as if a normalisation were
# folded into it.
FOLDED_GAIN = CENTRED_VARIANCE**-0.5


@dataclass(frozen=True)
class Window:
    """How a convolution slides: its kernel, stride, padding and groups."""

    kernel: int = 1
    stride: int = 1
    padding: int = 0
    groups: int = 1

    def attributes(self) -> dict[str, Any]:
        """As ONNX spells them."""
        return {
            "dilations": [1, 1],
            "group": self.groups,
            "kernel_shape": [self.kernel, self.kernel],
            "pads": [self.padding] * 4,
            "strides": [self.stride, self.stride],
        }


class MxnetGraph(GraphBuilder):
    """MXNet's names: prefix, scope, kind, running number; weights in float_data.

    Parameters
    ----------
    prefix : str
        What every name begins with.
    opset : int
        7 or 8.
    """

    def __init__(self, prefix: str, *, opset: int) -> None:
        super().__init__(prefix, opset=opset, encoding="float_data", ir_version=3)
        self.prefix = prefix
        self._counts: dict[str, int] = {}

    @property
    def step(self) -> int:
        """Nodes, parameters and the input so far; the exporter names some values by it."""
        return 1 + len(self.nodes) + len(self.parameters)

    def label(self, scope: str, kind: str) -> str:
        """The next name of this kind."""
        stem = f"{self.prefix}_{scope}{kind}"
        number = self._counts.get(stem, 0)
        self._counts[stem] = number + 1
        return f"{stem}{number}"

    def conv(
        self,
        scope: str,
        x: str,
        widths: tuple[int, int],
        window: Window,
        *,
        bias: bool = False,
        law: Normal | None = None,
    ) -> str:
        """A convolution from ``widths[0]`` to ``widths[1]`` channels; He weights by default."""
        inputs, outputs = widths
        fan = inputs // window.groups
        name = self.label(scope, "conv")
        law = law or he_normal(fan * window.kernel**2)
        shape = (outputs, fan, window.kernel, window.kernel)
        sources = [x, self.parameter(f"{name}_weight", shape, law)]
        if bias:
            sources.append(self.parameter(f"{name}_bias", (outputs,), Normal(0.01)))
        return self.node("Conv", sources, f"{name}_fwd", **window.attributes())

    def norm(
        self,
        scope: str,
        x: str,
        width: int,
        *,
        scale: float = 1.0,
        variance: float = CENTRED_VARIANCE,
    ) -> str:
        """A BatchNormalization that expects the given variance and gives ``scale``."""
        name = self.label(scope, "batchnorm")
        laws: dict[str, Law] = {
            "gamma": Uniform(0.9 * scale, 1.1 * scale),
            "beta": Normal(0.1 * scale),
            "running_mean": Normal(0.1),
            "running_var": Uniform(0.9 * variance, 1.1 * variance),
        }
        sources = [self.parameter(f"{name}_{k}", (width,), law) for k, law in laws.items()]
        # ``spatial`` is in every BatchNormalization of the originals; opset 9 dropped it.
        attributes = {"epsilon": 1e-5, "momentum": 0.9, "spatial": 1}
        return self.node("BatchNormalization", [x, *sources], f"{name}_fwd", **attributes)

    def relu(self, scope: str, x: str) -> str:
        """A Relu."""
        return self.node("Relu", [x], f"{self.label(scope, 'relu')}_fwd")

    def max_pool(self, scope: str, x: str, *, padding: int) -> str:
        """The 3x3 pooling with stride 2 that all these networks use."""
        name = f"{self.label(scope, 'pool')}_fwd"
        return self.node(
            "MaxPool", [x], name, kernel_shape=[3, 3], pads=[padding] * 4, strides=[2, 2]
        )

    def flatten(self, scope: str, x: str, shape: tuple[Dimension, ...]) -> None:
        """The Reshape to (batch, everything) that ends the fixed-size networks."""
        target = self.integers(f"reshape_attr_tensor{self.step}", (0, -1))
        name = f"{self.prefix}_{scope}flatten0_reshape0"
        self.output(self.node("Reshape", [x, target], name), shape)


class TorchGraph(GraphBuilder):
    """PyTorch's names: nodes by kind and place, folded weights by a running number.

    Parameters
    ----------
    opset, ir_version : int
        As the exporter wrote them.
    weight_name : str
        A format with one field for the number.
    first : int
        Number of the first convolution's weight; the exporter counts three per convolution.
    """

    def __init__(self, *, opset: int, ir_version: int, weight_name: str, first: int) -> None:
        super().__init__("torch_jit", opset=opset, ir_version=ir_version)
        self.weight_name = weight_name
        self.number = first

    def op(self, op_type: str, inputs: Iterable[str], **attributes: Any) -> str:
        """A node, named by its kind and its place in the graph."""
        return self.node(op_type, list(inputs), f"{op_type}_{len(self.nodes)}", **attributes)

    def conv(
        self,
        x: str,
        widths: tuple[int, int],
        window: Window,
        *,
        gain: float = FOLDED_GAIN,
        law: Normal | None = None,
    ) -> str:
        """A convolution with bias, the normalisation after it folded in."""
        inputs, outputs = widths
        fan = inputs // window.groups
        law = law or he_normal(fan * window.kernel**2, gain=gain)
        shape = (outputs, fan, window.kernel, window.kernel)
        weight = self.parameter(self.weight_name.format(self.number), shape, law)
        bias = self.parameter(self.weight_name.format(self.number + 1), (outputs,), Normal(0.1))
        self.number += 3
        return self.op("Conv", [x, weight, bias], **window.attributes())
