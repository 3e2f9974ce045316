"""Operations of ai.onnx.ml: the reference and native instructions against onnxruntime."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from pelemay.errors import ExecutionError
from pelemay.graph.operations import find
from pelemay.graph.operations.classes import ML
from pelemay.onnx_backend import NativeBackend, PelemayBackend

ROWS, COLUMNS = 6, 4
X = np.random.default_rng(0).standard_normal((ROWS, COLUMNS)).astype(np.float32)
HOLES = np.where(np.random.default_rng(1).random(X.shape) < 0.3, np.float32("nan"), X)
WHOLE = np.random.default_rng(2).integers(0, 6, X.shape)
TEXTS = np.random.default_rng(3).choice(np.array(["a", "b", "c"], object), (ROWS, 2))


@dataclass(frozen=True)
class Case:
    """One node over one input, and constants after it."""

    op: str
    x: Any = field(default_factory=lambda: X)
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1
    constants: tuple[Any, ...] = ()
    native: bool = True
    """Whether instructions alone run it: no texts, no dictionaries."""


def numbers(count: int, seed: int = 5) -> list[float]:
    return np.random.default_rng(seed).standard_normal(count).astype(np.float32).tolist()


def forest(
    leaves: str, targets: tuple[int, ...], modes: tuple[str, ...] = ("BRANCH_LEQ",), **more: Any
) -> dict[str, Any]:
    """Four full trees of three levels, a weight of each leaf for each target."""
    random, made = np.random.default_rng(7), []
    for tree in range(4):
        for node in range(15):
            leaf = node >= 7
            mode = "LEAF" if leaf else str(random.choice(modes))
            follow = (0, 0) if leaf else (2 * node + 1, 2 * node + 2)
            made.append((tree, node, int(random.integers(COLUMNS)), mode, *follow))
    names = ("treeids", "nodeids", "featureids", "modes", "truenodeids", "falsenodeids")
    nodes = {f"nodes_{k}": list(v) for k, v in zip(names, zip(*made, strict=True), strict=True)}
    ends = [(t, n, target) for t, n, _, mode, *_ in made if mode == "LEAF" for target in targets]
    given = zip(("treeids", "nodeids", "ids"), zip(*ends, strict=True), strict=True)
    weights = np.asarray(numbers(len(ends)), np.float32)
    return {
        **nodes,
        "nodes_values": numbers(len(made)),
        **{f"{leaves}_{key}": list(values) for key, values in given},
        f"{leaves}_weights": (np.abs(weights) / 8 if more.pop("positive", 0) else weights).tolist(),
        **more,
    }


def classified(targets: tuple[int, ...], labels: int, **more: Any) -> Case:
    made = forest("class", targets, classlabels_int64s=list(range(5, 5 + labels)), **more)
    return Case("TreeEnsembleClassifier", attributes=made, outputs=2)


def regressed(x: Any = X, **more: Any) -> Case:
    return Case("TreeEnsembleRegressor", x, forest("target", (0, 1), n_targets=2, **more))


def apart(aggregate: str) -> dict[str, Any]:
    """Leaves that each give to one target; nobody gives to the last."""
    made = forest("target", (0,), n_targets=3, aggregate_function=aggregate)
    return {**made, "target_ids": [n // 3 % 2 for n, _ in enumerate(made["target_ids"])]}


def machine(classes: int, kernel: str, *, probabilities: bool = False) -> Case:
    sizes = [4, 3, 5][:classes]
    pairs = classes * (classes - 1) // 2
    made = {
        "coefficients": numbers(sum(sizes) * (classes - 1)),
        "support_vectors": numbers(sum(sizes) * COLUMNS, seed=6),
        "vectors_per_class": sizes,
        "rho": numbers(pairs, seed=8),
        "kernel_type": kernel,
        "kernel_params": [0.3, 0.1, 2.0],
        "classlabels_ints": list(range(3, 3 + classes)),
    }
    if probabilities:
        made |= {"prob_a": [-0.5] * pairs, "prob_b": [0.2] * pairs}
    return Case("SVMClassifier", attributes=made, outputs=2)


def supported(kernel: str, **more: Any) -> Case:
    made = {"coefficients": numbers(7), "support_vectors": numbers(7 * COLUMNS, seed=6)}
    made |= {"n_supports": 7, "rho": [0.3], "kernel_type": kernel, "kernel_params": [0.3, 0.1, 2.0]}
    return Case("SVMRegressor", attributes={**made, **more})


def linear(columns: int, labels: list[int], **more: Any) -> Case:
    made = {"coefficients": numbers(columns * COLUMNS), "intercepts": numbers(columns, seed=9)}
    return Case(
        "LinearClassifier", attributes={**made, "classlabels_ints": labels, **more}, outputs=2
    )


ALL_MODES = tuple(f"BRANCH_{mode}" for mode in ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ"))
TRACKS = [n % 2 for n in range(60)]

CASES = {
    "trees, three classes": classified((0, 1, 2), 3, post_transform="SOFTMAX"),
    "trees, zeros kept": classified((0, 1, 2), 3, post_transform="SOFTMAX_ZERO"),
    "trees, one of two": classified((0,), 2),
    "trees, one of two, logistic": classified((0,), 2, post_transform="LOGISTIC"),
    "trees, one of two, positive": classified((0,), 2, positive=1),
    "trees, the second of two": classified((1,), 2, positive=1),
    "trees, sums": regressed(base_values=[0.1, 0.3]),
    "trees, average": regressed(aggregate_function="AVERAGE"),
    "trees, least": regressed(aggregate_function="MIN"),
    "trees, most": regressed(aggregate_function="MAX"),
    "trees, least of some": Case("TreeEnsembleRegressor", attributes=apart("MIN")),
    "trees, most of some": Case("TreeEnsembleRegressor", attributes=apart("MAX")),
    "trees, all comparisons": regressed(modes=ALL_MODES),
    "trees, missing": regressed(HOLES, nodes_missing_value_tracks_true=TRACKS),
    "trees, doubles": regressed(X.astype(np.float64)),
    "linear, three classes": linear(3, [3, 4, 5], post_transform="SOFTMAX"),
    "linear, two classes": linear(1, [3, 4]),
    "linear, two classes, logistic": linear(1, [3, 4], post_transform="LOGISTIC"),
    "linear, targets": Case(
        "LinearRegressor",
        attributes={"coefficients": numbers(8), "intercepts": numbers(2), "targets": 2},
    ),
    "machine, pairs": machine(3, "RBF"),
    "machine, two": machine(2, "POLY"),
    "machine, probabilities": machine(3, "SIGMOID", probabilities=True),
    "machine, one sample's probabilities": replace(machine(3, "RBF", probabilities=True), x=X[:1]),
    "machine, two probabilities": machine(2, "LINEAR", probabilities=True),
    "machine, regression": supported("RBF"),
    "machine, one class": supported("SIGMOID", one_class=1),
    "scaler": Case("Scaler", attributes={"offset": numbers(4), "scale": numbers(4, seed=6)}),
    "largest": Case("Normalizer", attributes={"norm": "MAX"}),
    "sums": Case("Normalizer", attributes={"norm": "L1"}),
    "squares": Case("Normalizer", attributes={"norm": "L2"}),
    "binarizer": Case("Binarizer", attributes={"threshold": 0.1}),
    "imputer": Case(
        "Imputer",
        HOLES,
        {"imputed_value_floats": numbers(4), "replaced_value_float": float("nan")},
    ),
    "imputer of integers": Case(
        "Imputer", WHOLE, {"imputed_value_int64s": [9], "replaced_value_int64": 2}
    ),
    "features": Case("ArrayFeatureExtractor", constants=(np.array([[1, 3, 3]]),)),
    "vectorizer": Case("FeatureVectorizer", attributes={"inputdimensions": [COLUMNS]}),
    "one hot": Case("OneHotEncoder", WHOLE, {"cats_int64s": [0, 2, 5]}),
    "one hot texts": Case("OneHotEncoder", TEXTS, {"cats_strings": ["a", "c"]}, native=False),
    "labels": Case(
        "LabelEncoder",
        WHOLE,
        {"keys_int64s": [0, 2, 5], "values_floats": [1.0, 2.0, 3.0], "default_float": -7.0},
    ),
    "labels of texts": Case(
        "LabelEncoder",
        TEXTS,
        {"keys_strings": ["a", "b"], "values_int64s": [1, 2], "default_int64": -7},
        native=False,
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def test_reference(case: Case) -> None:
    model = model_of(case)
    same(PelemayBackend.prepare(model).run([case.x]), expected(model, case))


def test_native(case: Case) -> None:
    model = model_of(case)
    prepared = NativeBackend.prepare(model, allow_fallback=not case.native)
    same(prepared.run([case.x]), expected(model, case))


def same(found: Any, wanted: Any) -> None:
    for y, z in zip(found, wanted, strict=True):
        assert y.shape == z.shape
        if z.dtype.kind == "f":
            np.testing.assert_allclose(y, z, rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_array_equal(y, z)


def model_of(case: Case) -> Any:
    import onnx
    from onnx import helper, numpy_helper

    constants = {f"c{n}": value for n, value in enumerate(case.constants)}
    names = [f"y{n}" for n in range(case.outputs)]
    node = helper.make_node(case.op, ["x", *constants], names, domain=ML, **case.attributes)
    kind = onnx.TensorProto.STRING if case.x.dtype == object else None
    kind = kind or helper.np_dtype_to_tensor_dtype(case.x.dtype)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", kind, case.x.shape)],
        [onnx.ValueInfoProto(name=name) for name in names],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(ML, 3)]
    return helper.make_model(graph, ir_version=8, opset_imports=opsets)


def expected(model: Any, case: Case) -> Any:
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": case.x})


def test_labels_that_are_texts_are_looked_up_after_native_instructions() -> None:
    case = classified((0, 1, 2), 3)
    del case.attributes["classlabels_int64s"]
    case.attributes["classlabels_strings"] = ["low", "middle", "high"]
    model = model_of(case)
    label, scores = NativeBackend.prepare(model).run([X])
    wanted, numbers_ = expected(model, case)
    assert list(label) == list(wanted)
    np.testing.assert_allclose(scores, numbers_, rtol=1e-4, atol=1e-5)


def test_a_tree_that_leads_back_to_itself_is_refused() -> None:
    made = forest("target", (0,))
    made["nodes_truenodeids"][1] = 0
    model = model_of(Case("TreeEnsembleRegressor", attributes=made))
    with pytest.raises(ExecutionError, match="back to themselves"):
        PelemayBackend.prepare(model).run([X])


def test_what_is_not_known_is_refused() -> None:
    import array_api_compat.numpy as xp

    row = find("Normalizer", ML)
    assert row is not None
    with pytest.raises(ExecutionError, match="allowed: MAX, L1, L2"):
        row.meaning(xp, X, norm="L3")


def test_zip_map_gives_a_dictionary_for_each_row() -> None:
    row = find("ZipMap", ML)
    assert row is not None
    scores = np.array([[0.25, 0.75], [1.0, 0.0]], np.float32)
    found = row.meaning(None, scores, classlabels_strings=("no", "yes"))
    assert found == [{"no": 0.25, "yes": 0.75}, {"no": 1.0, "yes": 0.0}]
