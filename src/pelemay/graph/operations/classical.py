"""Features made ready: the steps of ``ai.onnx.ml`` before a model, and the maps after it.

Each meaning is said in functions that can be traced, so that the engine runs it, but for those of
texts and dictionaries. Source: ONNX, docs/Operators-ml.md; where that leaves something open,
what onnxruntime does.

>>> import array_api_compat.numpy as xp
>>> scaler(xp, xp.asarray([[1.0, 2.0]]), offset=(1.0,), scale=(1.0, 3.0))
array([[0., 3.]], dtype=float32)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pelemay.errors import ExecutionError
from pelemay.graph.dtypes import DType
from pelemay.graph.operations.classes import ML
from pelemay.graph.operations.common import Array, cast, full_like, is_float
from pelemay.graph.operations.table import Operation


def _float32(xp: Any, x: Array) -> Array:
    return cast(xp, x, DType.FLOAT32)


def array_feature_extractor(xp: Any, x: Array, places: Array) -> Array:
    """The features at these places, of the last axis; a vector counts as one row."""
    flat = xp.reshape(places, (-1,))
    rows = xp.reshape(x, (1, -1)) if x.ndim == 1 else x
    return xp.take(rows, flat, axis=rows.ndim - 1)


def binarizer(xp: Any, x: Array, *, threshold: float = 0.0) -> Array:
    return xp.astype(x > full_like(xp, threshold, x), x.dtype)


def scaler(
    xp: Any, x: Array, *, offset: tuple[float, ...] = (), scale: tuple[float, ...] = ()
) -> Array:
    """``(x - offset) * scale``, in float32."""
    y = _float32(xp, x)
    if offset:
        y = y - np.asarray(offset, np.float32)
    return y * np.asarray(scale, np.float32) if scale else y


def normalizer(xp: Any, x: Array, *, norm: str = "MAX") -> Array:
    """Each row divided by its norm; a row whose norm is zero stays."""
    y = _float32(xp, x)
    if norm == "MAX":
        size = xp.max(y, axis=-1, keepdims=True)
    elif norm == "L1":
        size = xp.sum(xp.abs(y), axis=-1, keepdims=True)
    elif norm == "L2":
        size = xp.sqrt(xp.sum(y * y, axis=-1, keepdims=True))
    else:
        raise ExecutionError(f"norm '{norm}' is not known; allowed: MAX, L1, L2")
    return y / xp.where(size == full_like(xp, 0, size), full_like(xp, 1, size), size)


def imputer(
    xp: Any,
    x: Array,
    *,
    imputed_value_floats: tuple[float, ...] = (),
    imputed_value_int64s: tuple[int, ...] = (),
    replaced_value_float: float = 0.0,
    replaced_value_int64: int = 0,
) -> Array:
    """What stands for a value that is missing, NaN as a rule, replaced for each feature."""
    values = imputed_value_floats if is_float(x) else imputed_value_int64s
    missing = replaced_value_float if is_float(x) else replaced_value_int64
    absent = xp.isnan(x) if missing != missing else x == full_like(xp, missing, x)
    return xp.where(absent, np.asarray(values, x.dtype), x)


def feature_vectorizer(xp: Any, *inputs: Array, inputdimensions: tuple[int, ...] = ()) -> Array:
    """Features side by side, in float32; of each input as many as its number says."""
    parts = [_float32(xp, xp.reshape(x, (1, -1)) if x.ndim == 1 else x) for x in inputs]
    widths = inputdimensions or tuple(part.shape[1] for part in parts)
    return xp.concat([p[:, :width] for p, width in zip(parts, widths, strict=True)], axis=1)


def _matches(xp: Any, x: Array, keys: Any) -> Array:
    """Whether each element is each key: one axis more, of the keys."""
    wide, known = xp.expand_dims(x, axis=x.ndim), np.asarray(keys, x.dtype)
    found = wide == known
    if known.dtype.kind == "f" and np.isnan(known).any():
        found = found | (xp.isnan(wide) & np.isnan(known))
    return found


def _of_texts(x: Any, keys: Any) -> Any:
    """The place of each text among the keys, -1 where it is none."""
    places = {key: place for place, key in enumerate(keys)}
    found = [places.get(text, -1) for text in np.asarray(x).reshape(-1).tolist()]
    return np.asarray(found, np.int64).reshape(np.shape(x))


def _is_text(x: Any) -> bool:
    return getattr(x.dtype, "kind", "") in "OUS"


def one_hot_encoder(
    xp: Any,
    x: Array,
    *,
    cats_int64s: tuple[int, ...] = (),
    cats_strings: tuple[str, ...] = (),
    zeros: int = 1,
) -> Array:
    """1 at the place of the category, along a new last axis; all 0 for one that is not known.

    Raises
    ------
    ExecutionError
        If ``zeros`` is 0 and a category is not known, as far as the elements can be looked at.
    """
    if _is_text(x):
        found = _of_texts(x, cats_strings)[..., None] == np.arange(len(cats_strings))
    else:
        found = _matches(xp, x, cats_int64s)
    if not zeros and isinstance(found, np.ndarray) and not found.any(axis=-1).all():
        raise ExecutionError("a category is not known, and zeros=0 does not allow that")
    return _float32(xp, found)


def label_encoder(
    xp: Any,
    x: Array,
    *,
    keys_floats: tuple[float, ...] = (),
    keys_int64s: tuple[int, ...] = (),
    keys_strings: tuple[str, ...] = (),
    keys_tensor: Any = None,
    values_floats: tuple[float, ...] = (),
    values_int64s: tuple[int, ...] = (),
    values_strings: tuple[str, ...] = (),
    values_tensor: Any = None,
    classes_strings: tuple[str, ...] = (),
    default_float: float = -0.0,
    default_int64: int = -1,
    default_string: str = "_Unused",
    default_tensor: Any = None,
) -> Array:
    """The value of each key; ``classes_strings`` of the first version stand for their places."""
    if classes_strings:
        places = tuple(range(len(classes_strings)))
        keys_strings, values_int64s = classes_strings, places
        if not _is_text(x):
            keys_int64s, values_strings = places, classes_strings
    keys: Any = keys_strings if _is_text(x) else keys_floats or keys_int64s
    if keys_tensor is not None:
        keys = np.asarray(keys_tensor).reshape(-1).tolist()
    if values_tensor is not None:
        values = np.asarray(values_tensor).reshape(-1)
        return _mapped(xp, x, keys, values, np.asarray(default_tensor).reshape(-1)[0])
    if values_strings:
        return _mapped(xp, x, keys, np.asarray(values_strings, object), default_string)
    if values_floats:
        return _mapped(xp, x, keys, np.asarray(values_floats, np.float32), default_float)
    return _mapped(xp, x, keys, np.asarray(values_int64s, np.int64), default_int64)


def _mapped(xp: Any, x: Array, keys: Any, values: Any, default: Any) -> Array:
    """The value beside the key that each element is, or the default."""
    if _is_text(x):
        places = _of_texts(x, keys)
        known = places >= 0
    else:
        found = _float32(xp, _matches(xp, x, keys))
        known = xp.max(found, axis=-1) > full_like(xp, 0, found)
        places = xp.argmax(found, axis=-1)
    if values.dtype == object:
        chosen = values[np.asarray(places)]
        return np.where(np.asarray(known), chosen, default).astype(object)
    chosen = xp.reshape(xp.take(values, xp.reshape(places, (-1,)), axis=0), places.shape)
    return xp.where(known, chosen, np.asarray(default, values.dtype))


def category_mapper(
    xp: Any,
    x: Array,
    *,
    cats_int64s: tuple[int, ...] = (),
    cats_strings: tuple[str, ...] = (),
    default_int64: int = -1,
    default_string: str = "_Unused",
) -> Array:
    """Texts to their numbers, or numbers to their texts."""
    if _is_text(x):
        return _mapped(xp, x, cats_strings, np.asarray(cats_int64s, np.int64), default_int64)
    return _mapped(xp, x, cats_int64s, np.asarray(cats_strings, object), default_string)


def dict_vectorizer(
    xp: Any,
    x: Any,
    *,
    int64_vocabulary: tuple[int, ...] = (),
    string_vocabulary: tuple[str, ...] = (),
) -> Array:
    """The value of each word of the vocabulary in a dictionary, 0 where it has none."""
    words = int64_vocabulary or string_vocabulary
    values = np.asarray(list(x.values()))
    return np.asarray([[x.get(word, 0) for word in words]], values.dtype)


def zip_map(
    xp: Any,
    x: Array,
    *,
    classlabels_int64s: tuple[int, ...] = (),
    classlabels_strings: tuple[str, ...] = (),
) -> Any:
    """A dictionary for each row: class to score."""
    labels = classlabels_int64s or classlabels_strings
    rows = np.asarray(x).reshape(-1, len(labels)).tolist()
    return [dict(zip(labels, row, strict=True)) for row in rows]


GROUP = "classical"

ROWS = (
    Operation("ArrayFeatureExtractor", array_feature_extractor, GROUP, domain=ML),
    Operation("Binarizer", binarizer, GROUP, domain=ML),
    Operation("CategoryMapper", category_mapper, GROUP, domain=ML),
    Operation("DictVectorizer", dict_vectorizer, GROUP, domain=ML, on_host=True),
    Operation("FeatureVectorizer", feature_vectorizer, GROUP, domain=ML),
    Operation("Imputer", imputer, GROUP, domain=ML),
    Operation("LabelEncoder", label_encoder, GROUP, domain=ML),
    Operation("Normalizer", normalizer, GROUP, domain=ML),
    Operation("OneHotEncoder", one_hot_encoder, GROUP, domain=ML),
    Operation("Scaler", scaler, GROUP, domain=ML),
    Operation("ZipMap", zip_map, GROUP, domain=ML, on_host=True),
)
