"""The parts of a program that have no instruction: run by the reference backend, on the host.

In: the metadata of a program and arrays that lie in the engine's memory. Out: results, written
there; or, for the tail behind the last instruction, whatever values it makes. Nothing of the
operation table is imported before the first such node runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from pelemay.engine import constant_of, guarded
from pelemay.errors import ModelError

if TYPE_CHECKING:
    import numpy.typing as npt

    from pelemay.backends.parts import Part, Store
    from pelemay.graph import Constant, Graph

Array: TypeAlias = "npt.NDArray[Any]"


@dataclass
class HostNodes:
    """What a program leaves to the reference backend.

    Parameters
    ----------
    program : pelemay._native.Program
        Holds the constants.
    metadata : mapping
        Its ``host``, ``tail`` and ``constants`` are read.
    threads : int, optional
        Of the engine, for what is compiled while running.
    isa : str, optional
        The same.
    compiles : bool
        Whether what has static types once it is reached may be compiled; see
        :mod:`pelemay.backends.parts`.
    """

    program: Any
    metadata: Mapping[str, Any]
    threads: int | None = None
    isa: str | None = None
    compiles: bool = True
    _parsed: dict[int, Graph] = field(default_factory=dict)
    _gathered: tuple[list[Array], list[Array]] = field(default_factory=lambda: ([], []))

    def __call__(self, params: tuple[int, ...], inputs: list[Any], outputs: list[Any]) -> None:
        """Run a node when the engine asks for it; its operands may come in several parts."""
        entry, part, parts = params
        if part == 0:
            self._gathered = ([], [])
        self._gathered[0].extend(inputs)
        self._gathered[1].extend(outputs)
        if part == parts - 1:
            given, taken = self._gathered
            self._gathered = ([], [])
            self._run(self._graph(entry), given, taken)

    def load(self) -> int:
        """Load what the nodes need, and say what running them takes beside it.

        Returns
        -------
        int
            Bytes, as :func:`pelemay.backends.beside.peak_bytes` estimates them.
        """
        from pelemay.backends.beside import peak_bytes
        from pelemay.backends.reference import load_for

        graphs = [self._graph(entry) for entry in range(len(self.metadata.get("host", ())))]
        graphs += [self._tail.graph] if self.metadata.get("tail") else []
        for graph in graphs:
            load_for(graph)
        return max(map(peak_bytes, graphs), default=0)

    def run_tail(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs that only the tail makes; ``values`` has inputs and outputs of the trunk."""
        tail = self._tail
        feeds = {name: values[name] for name in tail.graph.inputs if name in values}
        found = guarded(self.program, lambda: tail.run(feeds))
        return {name: _own(value) for name, value in found.items()}

    @cached_property
    def _tail(self) -> Part:
        from pelemay.backends.parts import Part

        return Part(self._from_text(self.metadata["tail"]), self.store)

    @cached_property
    def store(self) -> Store:
        """What was compiled while running."""
        from pelemay.backends.parts import KEPT_BYTES, Store

        return Store(KEPT_BYTES if self.compiles else 0, threads=self.threads, isa=self.isa)

    def _graph(self, entry: int) -> Graph:
        if entry not in self._parsed:
            self._parsed[entry] = self._from_text(self.metadata["host"][entry])
        return self._parsed[entry]

    def _from_text(self, entry: Mapping[str, Any]) -> Graph:
        from pelemay.backends.parts import with_constants
        from pelemay.graph import check
        from pelemay.graph.text import from_text

        constants = {key: self._constant(index) for key, index in entry["constants"].items()}
        graph = from_text(entry["graph"], constants)
        check(graph)
        return with_constants(graph)

    def _constant(self, index: int) -> Constant:
        from pelemay.graph import ArrayConstant, DType

        entry = self.metadata["constants"][index]
        dtype = DType.of(entry["dtype"])
        if "strings" in entry:
            value = np.array(entry["strings"], object).reshape(entry["shape"])
        else:
            value = _as_type(constant_of(self.program, entry["tensor"]), dtype.numpy)
        if list(value.shape) != entry["shape"]:
            raise ModelError(f"constant '{entry['name']}' has another shape than it says")
        return ArrayConstant(dtype, value)

    def _run(self, graph: Graph, given: list[Array], taken: list[Array]) -> None:
        names = zip(graph.inputs, given, strict=True)
        feeds = {name: _as_type(value, _type_in(graph, name, value)) for name, value in names}
        results = self._evaluate(graph, feeds)
        for name, place in zip(graph.outputs, taken, strict=True):
            target = _as_type(place, _type_in(graph, name, place))
            value = np.asarray(results[name])
            if value.shape != target.shape:
                what = f"'{name}' has shape {value.shape}; {target.shape} was planned"
                raise ModelError(what)
            target[...] = value

    def _evaluate(self, graph: Graph, feeds: Mapping[str, Any]) -> dict[str, Any]:
        from pelemay.backends.parts import Staged
        from pelemay.backends.reference import GraphRunnable

        return GraphRunnable(graph, Staged(self.store)).run(feeds)


def _own(value: Any) -> Any:
    """A value that outlives the program: constants, which are read-only, lie in its file.

    Dictionaries hold numbers and texts.
    """
    if isinstance(value, list):
        return value if value and isinstance(value[0], dict) else [_own(item) for item in value]
    return value.copy() if isinstance(value, np.ndarray) and not value.flags.writeable else value


def _type_in(graph: Graph, name: str, value: Array) -> np.dtype[Any]:
    from pelemay.graph import TensorType

    kind = graph.type_of(name)
    return kind.dtype.numpy if isinstance(kind, TensorType) else value.dtype


def _as_type(value: Array, dtype: np.dtype[Any]) -> Array:
    """Elements of a type that the engine lacks are shown as bytes, in one dimension more."""
    if value.dtype == dtype:
        return value
    if value.dtype == np.uint8 and value.ndim and value.shape[-1] == dtype.itemsize:
        return value.view(dtype)[..., 0]
    raise ModelError(f"a host node's value is {value.dtype}, not {dtype}")
