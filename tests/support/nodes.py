"""Single nodes, lowered and run by the engine, against their meaning in double precision."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import array_api_compat.numpy
import numpy as np

from pelemay.engine import Engine, open_program
from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
from pelemay.graph.operations import find
from pelemay.plan.types import Placement, Plan
from pelemay.program.build import build
from pelemay.program.image import image
from pelemay.program.program import Program, contiguous_strides
from support.ops import isas

Array = Any


@dataclass(frozen=True)
class Case:
    """A node and its inputs.

    Parameters
    ----------
    op : str
        The operation, ``domain::op`` where it has a domain.
    inputs : tuple
        Arrays, or None for those that are left out.
    attributes : mapping
        Of the node.
    constants : tuple of int
        Numbers of the inputs that are known before the run.
    wanted : tuple of int, optional
        Numbers of the outputs that the node has; all that the meaning gives if not said.
    """

    op: str
    inputs: tuple[Array | None, ...]
    attributes: Mapping[str, Any]
    constants: tuple[int, ...] = ()
    wanted: tuple[int, ...] | None = None

    def meaning(self, *, wide: bool) -> list[Array]:
        """What the reference gives; with ``wide`` floats are computed in double precision."""
        domain, _, op = self.op.rpartition("::")
        row = find(op, domain)
        inputs = [_widened(x) if wide and x is not None else x for x in self.inputs]
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            result = row.meaning(array_api_compat.numpy, *inputs, **self._options(op))
        outputs = list(result) if isinstance(result, tuple) else [result]
        return [np.asarray(y) for y in outputs]

    def _options(self, op: str) -> dict[str, Any]:
        counted = {"num_outputs": len(self.wanted)} if op == "MaxPool" and self.wanted else {}
        return {**self.attributes, **counted}

    def program(self, weights: str = "f32") -> tuple[Any, list[Array]]:
        """The node as a program that is open, and the arrays that it takes."""
        program, inputs = self.built(weights)
        return open_program(image(program)), inputs

    def built(self, weights: str = "f32") -> tuple[Program, list[Array]]:
        """The node as a program, and the arrays that it takes."""
        plain = self.meaning(wide=False)
        wanted = range(len(plain)) if self.wanted is None else self.wanted
        names = ["" if x is None else f"x{i}" for i, x in enumerate(self.inputs)]
        outputs = tuple(f"y{i}" if i in wanted else "" for i in range(max(wanted) + 1))
        domain, _, op = self.op.rpartition("::")
        node = Node(op, tuple(names), outputs, dict(self.attributes), domain=domain)
        constants, inputs = {}, {}
        for i, x in enumerate(self.inputs):
            if x is not None and i in self.constants:
                constants[f"x{i}"] = ArrayConstant.of(x)
            elif x is not None:
                inputs[f"x{i}"] = x
        graph = Graph(
            "case",
            inputs={name: _type(x) for name, x in inputs.items()},
            outputs={f"y{i}": _type(plain[i]) for i in wanted},
            nodes=(node,),
            constants=constants,
        )
        program = build(_plan(graph), weights=weights)
        refused = [entry["reason"] for entry in program.metadata["host"]]
        assert not refused, refused
        return program, list(inputs.values())

    def run(self, workers: int = 1, isa: str | None = None) -> list[Array]:
        """The outputs that the engine gives."""
        program, inputs = self.program()
        return Engine(program, threads=workers, isa=isa).run(inputs)

    def check(
        self,
        *,
        rtol: float = 1e-5,
        of_largest: bool = False,
        workers: Sequence[int] = (1, 2, 3),
        sets: Sequence[str] | None = None,
    ) -> None:
        """Every instruction set agrees with the meaning, and any number of workers to the bit.

        The error is relative to each number, or to the largest of the output.
        """
        program, inputs = self.program()
        expected = self.meaning(wide=True)
        if self.wanted is not None:
            expected = [expected[i] for i in self.wanted]
        for isa in sets or isas():
            first = Engine(program, threads=workers[0], isa=isa).run(inputs)
            for y, ideal in zip(first, expected, strict=True):
                assert_close(y, ideal, rtol, of_largest=of_largest, what=isa)
            for count in workers[1:]:
                again = Engine(program, threads=count, isa=isa).run(inputs)
                for y, other in zip(first, again, strict=True):
                    what = f"{isa}, {count} workers"
                    np.testing.assert_array_equal(other, y, what, strict=True)


def assert_close(
    y: Array, ideal: Array, rtol: float, *, of_largest: bool = False, what: str = ""
) -> None:
    """Floats agree up to ``rtol`` (subnormal ones to a few of their steps), all else to the bit."""
    assert y.shape == ideal.shape, what
    if y.dtype.kind != "f":
        np.testing.assert_array_equal(y, ideal, what)
        return
    finite = np.abs(ideal[np.isfinite(ideal)])
    atol = rtol * float(finite.max()) if of_largest and finite.size else 0.0
    atol = max(atol, 4 * float(np.finfo(y.dtype).smallest_subnormal))
    with np.errstate(over="ignore"):
        ideal = ideal.astype(y.dtype)
    np.testing.assert_allclose(y, ideal, rtol, atol, err_msg=what)


def product(**choices: Sequence[Any]) -> list[dict[str, Any]]:
    """Every combination, as keyword arguments.

    >>> product(a=(1, 2), b=(3,))
    [{'a': 1, 'b': 3}, {'a': 2, 'b': 3}]
    """
    return [
        dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())
    ]


def _widened(x: Array) -> Array:
    return x.astype(np.float64) if x.dtype == np.float32 else x


def _type(x: Array) -> TensorType:
    return TensorType(DType.of_numpy(x.dtype), x.shape)


def _plan(graph: Graph) -> Plan:
    """Every value in an array of its own."""
    placements = {}
    groups = (("input", graph.inputs), ("constant", graph.constants), ("output", graph.outputs))
    for space, names in groups:
        for name in names:
            kind = graph.type_of(name)
            assert isinstance(kind, TensorType)
            shape = tuple(int(d) for d in kind.shape or ())
            placements[name] = Placement(space, name, 0, contiguous_strides(shape))  # type: ignore[arg-type]
    return Plan(graph, placements, (), 0, 0, 0)
