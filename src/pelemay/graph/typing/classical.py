"""Types of the operations of ``ai.onnx.ml``.

In: a :class:`Site`. Out: the types of its outputs.
"""

from __future__ import annotations

from itertools import combinations

from pelemay.graph.dtypes import DType
from pelemay.graph.operations.classes import ML
from pelemay.graph.operations.fused import DOMAIN
from pelemay.graph.typing.dims import tensor, total
from pelemay.graph.typing.site import Rule, Site, Types
from pelemay.graph.values import Dim, MapType, SequenceType, Shape, TensorType


def same(site: Site) -> Types:
    """The type of the input."""
    return (site.type(0),)


def in_float32(site: Site) -> Types:
    """The input's shape."""
    return (tensor(DType.FLOAT32, site.shape(0)),)


def array_feature_extractor(site: Site) -> Types:
    """The input's shape, with as many features as places."""
    shape, places = site.shape(0), site.shape(1)
    if shape is None:
        return (tensor(site.dtype(0), None),)
    count = None if places is None else _elements(places)
    head: Shape = (1,) if len(shape) == 1 else shape[:-1]
    return (tensor(site.dtype(0), (*head, count)),)


def _elements(shape: Shape) -> Dim:
    left = [dim for dim in shape if dim != 1]
    return left[0] if len(left) == 1 else 1 if not left else None


def _rows(shape: Shape | None) -> Dim:
    """How many rows of features; a vector is one."""
    if shape is None:
        return None
    return 1 if len(shape) < 2 else shape[0]


def feature_vectorizer(site: Site) -> Types:
    """Rows, and the features of all inputs."""
    shapes = [site.shape(i) for i in range(len(site.node.inputs))]
    widths = site.attribute("inputdimensions") or [s[-1] if s else None for s in shapes]
    return (tensor(DType.FLOAT32, (_rows(shapes[0]), total(widths))),)


def one_hot_encoder(site: Site) -> Types:
    """The input's shape, and a place for each category."""
    shape = site.shape(0)
    count = len(site.attribute("cats_int64s") or site.attribute("cats_strings"))
    return (tensor(DType.FLOAT32, None if shape is None else (*shape, count)),)


def label_encoder(site: Site) -> Types:
    """The input's shape, of the type of the values."""
    shape = site.shape(0)
    if site.attribute("classes_strings"):
        text = site.dtype(0) is DType.STRING
        return (tensor(DType.INT64 if text else DType.STRING, shape),)
    if (values := site.attribute("values_tensor")) is not None:
        return (tensor(values.dtype, shape),)
    if site.attribute("values_strings"):
        return (tensor(DType.STRING, shape),)
    dtype = DType.FLOAT32 if site.attribute("values_floats") else DType.INT64
    return (tensor(dtype, shape),)


def category_mapper(site: Site) -> Types:
    """Numbers for texts, or texts for numbers."""
    text = site.dtype(0) is DType.STRING
    return (tensor(DType.INT64 if text else DType.STRING, site.shape(0)),)


def dict_vectorizer(site: Site) -> Types:
    """One row, a value for each word of the vocabulary."""
    kind = site.type(0)
    value = kind.value if isinstance(kind, MapType) else None
    words = site.attribute("int64_vocabulary") or site.attribute("string_vocabulary")
    return (tensor(value.dtype if isinstance(value, TensorType) else None, (1, len(words))),)


def zip_map(site: Site) -> Types:
    """A list of dictionaries."""
    key = DType.INT64 if site.attribute("classlabels_int64s") else DType.STRING
    return (SequenceType(MapType(key, TensorType(DType.FLOAT32, ()))),)


def regressor(site: Site) -> Types:
    """Rows, and a value for each target."""
    return (tensor(DType.FLOAT32, (_rows(site.shape(0)), int(site.attribute("n_targets")))),)


def linear_regressor(site: Site) -> Types:
    """Rows, and a value for each target."""
    return (tensor(DType.FLOAT32, (_rows(site.shape(0)), int(site.attribute("targets")))),)


def svm_regressor(site: Site) -> Types:
    """Rows of one value."""
    return (tensor(DType.FLOAT32, (_rows(site.shape(0)), 1)),)


def tree_ensemble(site: Site) -> Types:
    """Rows, and a value for each target, of the input's type."""
    return (tensor(site.dtype(0), (_rows(site.shape(0)), int(site.attribute("n_targets")))),)


def _labelled(site: Site, ints: str, columns: Dim) -> Types:
    numbers = bool(site.attribute(ints))
    rows = _rows(site.shape(0))
    label = tensor(DType.INT64 if numbers else DType.STRING, (rows,))
    return label, tensor(DType.FLOAT32, (rows, columns))


def tree_ensemble_classifier(site: Site) -> Types:
    """A label for each row, and a score for each class."""
    labels = site.attribute("classlabels_int64s") or site.attribute("classlabels_strings")
    return _labelled(site, "classlabels_int64s", len(labels))


def linear_classifier(site: Site) -> Types:
    """A label for each row, and a score for each class, or only one."""
    labels = site.attribute("classlabels_ints") or site.attribute("classlabels_strings")
    shape, count = site.shape(0), len(site.attribute("coefficients"))
    width = shape[-1] if shape else None
    columns = count // width if isinstance(width, int) and width else None
    if columns == 1 and len(labels) == 2:
        columns = 2
    return _labelled(site, "classlabels_ints", columns)


def svm_classifier(site: Site) -> Types:
    """A label for each row; probabilities of classes, or scores of pairs of them."""
    classes = len(site.attribute("classlabels_ints") or site.attribute("classlabels_strings"))
    pairs = len(list(combinations(range(classes), 2)))
    of_classes = site.attribute("prob_a") or not site.attribute("vectors_per_class")
    return _labelled(site, "classlabels_ints", classes if of_classes else max(pairs, 2))


def pairwise_coupling(site: Site) -> Types:
    """Rows, and a probability for each class."""
    return (tensor(DType.FLOAT32, (_rows(site.shape(0)), int(site.attribute("classes")))),)


_RULES: dict[str, Rule] = {
    "ArrayFeatureExtractor": array_feature_extractor,
    "Binarizer": same,
    "CategoryMapper": category_mapper,
    "DictVectorizer": dict_vectorizer,
    "FeatureVectorizer": feature_vectorizer,
    "Imputer": same,
    "LabelEncoder": label_encoder,
    "LinearClassifier": linear_classifier,
    "LinearRegressor": linear_regressor,
    "Normalizer": in_float32,
    "OneHotEncoder": one_hot_encoder,
    "SVMClassifier": svm_classifier,
    "SVMRegressor": svm_regressor,
    "Scaler": in_float32,
    "TreeEnsemble": tree_ensemble,
    "TreeEnsembleClassifier": tree_ensemble_classifier,
    "TreeEnsembleRegressor": regressor,
    "ZipMap": zip_map,
}

RULES: dict[str, Rule] = {
    **{f"{ML}::{name}": rule for name, rule in _RULES.items()},
    f"{DOMAIN}::Forest": tree_ensemble,
    f"{DOMAIN}::PairwiseCoupling": pairwise_coupling,
}
