"""What a model takes and gives: names and types, known without its graph.

In: a model, or what a compiled program says of the model that it was made from. Out: a
:class:`Signature`. Nothing heavy is imported to read one from a program.

>>> import json
>>> text = '{"inputs": [{"name": "x", "type": "float32[n]", "dtype": "float32", "shape": ["n"]}]}'
>>> str(Signature.from_metadata(json.loads(text)).inputs["x"])
'float32[n]'
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from pelemay.errors import ModelError
from pelemay.graph import DType, TensorType, ValueType

if TYPE_CHECKING:
    from pelemay.importers import Model

Types = Mapping[str, ValueType | None]


_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Signature(NamedTuple):
    """Inputs and outputs of a model, and what it says of itself.

    Attributes
    ----------
    inputs, outputs : mapping
        Name to type, in the model's order; None where the model does not say it.
    overridable : mapping
        Initializers that a feed may replace, name to type.
    by_value : tuple of str
        Inputs whose values shape the run.
    name : str
        The graph's name.
    about : mapping
        As :class:`pelemay.importers.model.Metadata` has it.
    """

    inputs: Types = _NOTHING
    outputs: Types = _NOTHING
    overridable: Types = _NOTHING
    by_value: tuple[str, ...] = ()
    name: str = ""
    about: Mapping[str, Any] = _NOTHING

    @classmethod
    def of(cls, model: Model) -> Signature:
        """The signature of a model that was loaded.

        Raises
        ------
        ModelError
            If its graph is broken.
        """
        from dataclasses import asdict

        from pelemay.passes.host_inputs import host_inputs

        graph = model.graph
        listed = {value.name for value in model.proto.graph.input}
        return cls(
            {value.name: value.type for value in model.inputs},
            {value.name: value.type for value in model.outputs},
            {name: graph.type_of(name) for name in graph.constants if name in listed},
            host_inputs(graph),
            model.proto.graph.name,
            asdict(model.metadata),
        )

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Signature:
        """The signature that :meth:`to_metadata` gave.

        Raises
        ------
        ModelError
            If an entry is not as it should be.
        """
        try:
            return cls(
                _types(metadata.get("inputs", ())),
                _types(metadata.get("outputs", ())),
                _types(_unpacked(metadata.get("overridable", ()))),
                tuple(map(str, metadata.get("by_value", ()))),
                str(metadata.get("graph", "")),
                dict(metadata.get("model", {})),
            )
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ModelError(f"the program's signature is damaged: {error!r}") from error

    def to_metadata(self) -> dict[str, Any]:
        """What JSON can hold.

        Initializers are listed in a text of their own: there may be hundreds, and a run of a
        program needs none of them.
        """
        overridable = [_entry(name, kind) for name, kind in self.overridable.items()]
        return {
            "inputs": [_entry(name, kind) for name, kind in self.inputs.items()],
            "outputs": [_entry(name, kind) for name, kind in self.outputs.items()],
            "overridable": json.dumps(overridable),
            "by_value": list(self.by_value),
            "graph": self.name,
            "model": dict(self.about),
        }

    @property
    def is_static(self) -> bool:
        """Whether a plan can be made before any input is known."""
        return not self.by_value and all(
            isinstance(kind, TensorType) and kind.nbytes is not None
            for kind in self.inputs.values()
        )


def _entry(name: str, kind: ValueType | None) -> dict[str, Any]:
    from pelemay.graph.text.printer import write_type

    entry: dict[str, Any] = {"name": name, "type": write_type(kind) if kind else None}
    if isinstance(kind, TensorType):
        shape = None if kind.shape is None else list(kind.shape)
        entry |= {"dtype": kind.dtype.value, "shape": shape}
    return entry


def _unpacked(entries: Any) -> Any:
    return json.loads(entries) if isinstance(entries, str) else entries


def _types(entries: Iterable[Mapping[str, Any]]) -> dict[str, ValueType | None]:
    return {entry["name"]: _type(entry) for entry in entries}


def _type(entry: Mapping[str, Any]) -> ValueType | None:
    if "dtype" in entry:
        shape = entry["shape"]
        known = None if shape is None else tuple(map(_dim, shape))
        return TensorType(DType.of(entry["dtype"]), known)
    if entry["type"] is None:
        return None
    from pelemay.graph.text import from_text

    graph = from_text(f'graph "" (%x: {entry["type"]}) -> () {{}}')
    return graph.inputs["x"]


def _dim(size: Any) -> int | str | None:
    if size is None or isinstance(size, (int, str)):
        return size
    raise ValueError(f"{size!r} is no size")
