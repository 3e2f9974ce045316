"""``InferenceSession``: the calls of onnxruntime's, so that changing one import line is enough.

In: the path of a model, or its bytes. Out: a session whose ``run`` takes and gives NumPy arrays.

>>> import numpy as np, onnx.parser
>>> model = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
... g (float[2] x) => (float[2] y) { y = Neg(x) }''')
>>> session = InferenceSession(model.SerializeToString())
>>> session.get_inputs()[0]
NodeArg(name='x', type='tensor(float)', shape=[2])
>>> session.run(None, {"x": np.array([1, -2], np.float32)})
[array([-1.,  2.], dtype=float32)]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pelemay.errors import InputError
from pelemay.graph import (
    DType,
    MapType,
    OptionalType,
    SequenceType,
    SparseTensorType,
    TensorType,
    ValueType,
)
from pelemay.pipeline import DEFAULT_BACKEND, prepare

if TYPE_CHECKING:
    from pathlib import Path

    from pelemay.backends.protocol import Backend
    from pelemay.signature import Signature, Types

_ORT_NAMES = {DType.FLOAT32: "float", DType.FLOAT64: "double"}


class NodeArg(NamedTuple):
    """Name, type and shape of an input or output, in onnxruntime's words.

    Parameters
    ----------
    name : str
        The value's name.
    type : str
        Such as ``"tensor(float)"`` or ``"seq(tensor(int64))"``.
    shape : list
        Sizes; a name or None stands for a size that is not fixed.
    """

    name: str
    type: str
    shape: list[int | str | None]


class ModelMetadata(NamedTuple):
    """What the model says of itself, in onnxruntime's words."""

    producer_name: str = ""
    graph_name: str = ""
    domain: str = ""
    description: str = ""
    graph_description: str = ""
    version: int = 0
    custom_metadata_map: Mapping[str, str] = MappingProxyType({})


class SessionOptions:
    """The options of onnxruntime's that mean something here.

    Parameters
    ----------
    intra_op_num_threads : int
        Threads to compute with; 0 leaves it to the backend.
    """

    def __init__(self, intra_op_num_threads: int = 0) -> None:
        self.intra_op_num_threads = intra_op_num_threads


class InferenceSession:
    """A model that is ready to run.

    Parameters
    ----------
    path_or_bytes : str, os.PathLike or bytes
        An ONNX file, or what such a file holds.
    sess_options : SessionOptions, optional
        Or onnxruntime's own; only ``intra_op_num_threads`` is read.
    providers, provider_options
        Taken so that existing code runs; there is only the CPU.
    backend : str
        Which backend runs the model (``pelemay doctor`` lists them).
    threads : int, optional
        Threads to compute with; goes before ``sess_options``.
    **options
        Of the backend's own, as :func:`pelemay.pipeline.prepare` takes them.

    Raises
    ------
    ModelError, UnsupportedError, BackendUnavailableError
        As :func:`pelemay.pipeline.prepare` says.
    """

    def __init__(
        self,
        path_or_bytes: str | Path | bytes,
        sess_options: SessionOptions | Any | None = None,
        providers: Sequence[Any] | None = None,
        provider_options: Sequence[Any] | None = None,
        *,
        backend: str | Backend = DEFAULT_BACKEND,
        threads: int | None = None,
        **options: Any,
    ) -> None:
        named = {p if isinstance(p, str) else p[0] for p in providers or ()}
        if unknown := named - {"CPUExecutionProvider"}:
            import logging

            what = "providers %s are not here; the CPU is used"
            logging.getLogger(__name__).warning(what, sorted(unknown))
        threads = threads or getattr(sess_options, "intra_op_num_threads", 0) or None
        path = path_or_bytes
        if isinstance(path, bytes):
            path = self._written(path)
        self._prepared = prepare(path, backend, threads=threads, **options)
        self._signature = self._prepared.signature

    def _written(self, model: bytes) -> Path:
        """The bytes as a file that goes with this session: backends take paths."""
        import shutil
        import tempfile
        import weakref
        from pathlib import Path

        folder = tempfile.mkdtemp(prefix="pelemay-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        path = Path(folder) / "model.onnx"
        path.write_bytes(model)
        return path

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: Any = None,
        *,
        into: Mapping[str, Any] | None = None,
    ) -> list[Any]:
        """Run the model once.

        Parameters
        ----------
        output_names : sequence of str or None
            Outputs wanted; None for all, in the model's order.
        input_feed : mapping
            Input name to NumPy array.
        run_options
            Not read.
        into : mapping, optional
            Output name to the array that it is written into; for the native backend. Where a
            model updates a cache, such as with ``TensorScatter``, the array given for the present
            may be the one given for the past: it is written where it lies.

        Returns
        -------
        list
            The outputs, in the order asked for.

        Raises
        ------
        InputError
            If a name, an element type or a shape does not fit the model, or an output cannot be
            written into the array given for it.
        """
        known = list(self._signature.outputs)
        for name in output_names or ():
            if name not in known:
                raise InputError(f"there is no output '{name}'", hint=f"outputs are {known}")
        feeds = self._checked(input_feed)
        options: dict[str, Any] = {}
        if into:
            if self.backend != DEFAULT_BACKEND:
                what = f"backend '{self.backend}' makes its outputs itself"
                raise InputError(what, hint=f"into= is for backend '{DEFAULT_BACKEND}'")
            options["into"] = into
        results = self._prepared.runnable.run(feeds, list(output_names or known), **options)
        return list(results.values())

    def _checked(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        types, overridable = self._signature.inputs, self._signature.overridable
        for name in feeds:
            if name not in types and name not in overridable:
                raise InputError(f"there is no input '{name}'", hint=f"inputs are {list(types)}")
        for name, kind in types.items():
            if name not in feeds and not isinstance(kind, OptionalType):
                raise InputError(f"input '{name}' is missing", hint=f"inputs are {list(types)}")
        return {
            name: check_feed(name, value, types.get(name) or overridable.get(name))
            for name, value in feeds.items()
        }

    def get_inputs(self) -> list[NodeArg]:
        """The inputs that :meth:`run` needs."""
        return _node_args(self._signature.inputs)

    def get_outputs(self) -> list[NodeArg]:
        """The outputs that :meth:`run` gives."""
        return _node_args(self._signature.outputs)

    def get_overridable_initializers(self) -> list[NodeArg]:
        """Initializers that the model also lists as inputs, so that a feed may replace them."""
        return _node_args(self._signature.overridable)

    def get_modelmeta(self) -> ModelMetadata:
        """What the model says of itself."""
        about = self._signature.about
        return ModelMetadata(
            about.get("producer_name", ""),
            self._signature.name,
            about.get("domain", ""),
            about.get("doc_string", ""),
            about.get("graph_doc_string", ""),
            about.get("model_version", 0),
            dict(about.get("properties", {})),
        )

    def get_providers(self) -> list[str]:
        """The only provider there is."""
        return ["CPUExecutionProvider"]

    @property
    def signature(self) -> Signature:
        """Names and types of inputs and outputs, and what the model says of itself."""
        return self._signature

    @property
    def backend(self) -> str:
        """The name of the backend that runs the model."""
        return self._prepared.backend.name


def check_feed(name: str, value: Any, kind: ValueType | None) -> Any:
    """The value as an array of the input's type; ``InputError`` if it does not fit."""
    if not isinstance(kind, TensorType):
        return value
    array = np.asarray(value)
    expected = kind.dtype.numpy
    if not isinstance(value, (np.ndarray, np.generic)) and array.dtype != expected:
        array = array.astype(expected)
    if array.dtype != expected and DType.of_numpy(array.dtype) is not kind.dtype:
        what = f"input '{name}' is {kind.dtype.value}, but the array given is {array.dtype}"
        raise InputError(what, hint=f"convert it with .astype('{kind.dtype.value}')")
    _check_shape(name, array.shape, kind)
    return array


def _check_shape(name: str, shape: tuple[int, ...], kind: TensorType) -> None:
    if kind.shape is None:
        return
    fits = len(shape) == len(kind.shape) and all(
        not isinstance(want, int) or want == have
        for want, have in zip(kind.shape, shape, strict=True)
    )
    if not fits:
        raise InputError(f"input '{name}' is {kind}, but the array given is {list(shape)}")


def _node_args(types: Types) -> list[NodeArg]:
    return [_node_arg(name, kind) for name, kind in types.items()]


def _node_arg(name: str, kind: ValueType | None) -> NodeArg:
    shape = list(kind.shape or ()) if isinstance(kind, (TensorType, SparseTensorType)) else []
    return NodeArg(name, _type_text(kind), shape)


def _type_text(kind: ValueType | None) -> str:
    match kind:
        case TensorType():
            return f"tensor({_ORT_NAMES.get(kind.dtype, kind.dtype.value)})"
        case SparseTensorType():
            return f"sparse_tensor({_ORT_NAMES.get(kind.dtype, kind.dtype.value)})"
        case SequenceType():
            return f"seq({_type_text(kind.element)})"
        case OptionalType():
            return f"optional({_type_text(kind.element)})"
        case MapType():
            key = _ORT_NAMES.get(kind.key, kind.key.value)
            return f"map({key},{_type_text(kind.value)})"
    return "unknown"
