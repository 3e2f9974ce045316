"""Modules of PyTorch as files: settled random weights, and both exporters.

In: a function that builds a module and its arguments. Out: an entry of the bed for each exporter.

Weights as they are initialised make poor tests: layers that start at zero add nothing, and
normalisations with unit statistics let values grow or vanish. So constants are stirred, and the
statistics of batch normalisation are those of one pass with the inputs.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from entry import Entry, Feeds

Build = Callable[[], tuple[Any, tuple[Any, ...]]]
"""Gives a module and the arguments of a call."""

OPSET = {"torchscript": 17, "dynamo": 18}


@dataclass(frozen=True)
class Network:
    """A module to be exported.

    Parameters
    ----------
    name, family : str
        As those of an entry.
    build : callable
        Gives the module and the arguments of a call.
    open : mapping, optional
        Input's number to its open axes: axis to name.
    exporters : sequence of str
        Which ones can write it.
    tolerance, why
        As those of an entry.
    """

    name: str
    family: str
    build: Build
    open: Mapping[int, Mapping[int, str]] = field(default_factory=dict)
    exporters: Sequence[str] = ("torchscript", "dynamo")
    tolerance: float = 1e-4
    why: str = ""

    def entries(self) -> list[Entry]:
        """One for each exporter."""
        return [
            Entry(
                f"{self.name}.{exporter}",
                self.family,
                f"torch, {exporter}",
                partial(write, self, exporter),
                self.tolerance,
                self.why,
            )
            for exporter in self.exporters
        ]


def write(network: Network, exporter: str, path: Path) -> Feeds:
    """Export; the feeds are the arguments, by the names of the inputs."""
    import torch

    torch.manual_seed(0)
    torch.backends.mha.set_fastpath_enabled(False)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    module, args = network.build()
    module = settled(module, args)
    names = [f"input_{i}" for i in range(len(args))]
    shapes: dict[str, Any]
    if exporter == "dynamo":
        given = tuple(
            {axis: torch.export.Dim(name) for axis, name in network.open.get(i, {}).items()} or None
            for i in range(len(args))
        )
        shapes = {"dynamic_shapes": given if network.open else None, "external_data": False}
    else:
        shapes = {"dynamic_axes": {names[i]: dict(a) for i, a in network.open.items()}}
    with torch.no_grad():
        torch.onnx.export(
            module,
            args,
            str(path),
            input_names=names,
            dynamo=exporter == "dynamo",
            opset_version=OPSET[exporter],
            **shapes,
        )
    return {name: arg.numpy() for name, arg in zip(names, args, strict=True)}


def settled(module: Any, args: tuple[Any, ...]) -> Any:
    """The module in its evaluation mode, its constants stirred, its statistics those of a pass."""
    import torch

    with torch.no_grad():
        for parameter in module.parameters():
            flat = parameter.flatten()
            if flat.numel() > 1 and torch.all(flat == flat[0]):
                parameter.add_(0.2 * torch.randn_like(parameter))
        norms = [
            m for m in module.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)
        ]
        module.eval()
        hooks = [norm.register_forward_pre_hook(_measure) for norm in norms]
        if hooks:
            module(*args)
        for hook in hooks:
            hook.remove()
    return module


def _measure(norm: Any, inputs: tuple[Any, ...]) -> None:
    """Take the statistics of what comes in; a single value of a channel has no variance."""
    x = inputs[0]
    axes = [axis for axis in range(x.ndim) if axis != 1]
    norm.running_mean.copy_(x.mean(axes))
    if x.numel() > x.shape[1]:
        norm.running_var.copy_(x.var(axes, unbiased=False).clamp(min=1e-3))


def image(*shape: int) -> Any:
    """Made-up pixels, normalised."""
    import torch

    return torch.from_numpy(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


def tokens(*shape: int, below: int) -> Any:
    """Made-up token ids."""
    import torch

    return torch.from_numpy(np.random.default_rng(0).integers(1, below, shape))
