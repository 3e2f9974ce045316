"""Estimators of scikit-learn and their kind, trained on made-up data, as skl2onnx writes them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from entry import Entry, Feeds

ROWS, COLUMNS = 300, 8

Make = Callable[[], Any]


def entries() -> list[Entry]:
    """All of this module."""
    named = {**_trees(), **_linear(), **_others()}
    return [
        Entry(f"{name}.sklearn", family, "scikit-learn, skl2onnx", partial(_write, make, options))
        for name, (family, make, options) in named.items()
    ]


def _estimator(place: str, **settings: Any) -> Make:
    """What makes an estimator, imported when it is called."""

    def make() -> Any:
        from importlib import import_module

        module, _, kind = place.rpartition(".")
        return getattr(import_module(f"sklearn.{module}"), kind)(**settings)

    return make


Row = tuple[str, Make, dict[str, Any]]


def _trees() -> dict[str, Row]:
    few, family = {"n_estimators": 20, "random_state": 0}, "gradient-boosted trees"
    make = _estimator
    return {
        "gradient_boosting_classifier": (
            family,
            make("ensemble.GradientBoostingClassifier", **few),
            {},
        ),
        "gradient_boosting_regressor": (
            family,
            make("ensemble.GradientBoostingRegressor", **few),
            {"kind": "regression"},
        ),
        "hist_gradient_boosting_classifier": (
            family,
            make("ensemble.HistGradientBoostingClassifier", max_iter=20),
            {"missing": True, "zipmap": False},
        ),
        "hist_gradient_boosting_regressor": (
            family,
            make("ensemble.HistGradientBoostingRegressor", max_iter=20),
            {"kind": "regression", "missing": True},
        ),
        "random_forest_classifier": (
            "random forest",
            make("ensemble.RandomForestClassifier", **few),
            {},
        ),
        "random_forest_large": (
            "random forest",
            make("ensemble.RandomForestClassifier", n_estimators=200, random_state=0),
            {"zipmap": False},
        ),
        "random_forest_regressor": (
            "random forest",
            make("ensemble.RandomForestRegressor", **few),
            {"kind": "regression"},
        ),
        "extra_trees_classifier": (
            "random forest",
            make("ensemble.ExtraTreesClassifier", **few),
            {"zipmap": False},
        ),
        "decision_tree_classifier": (
            "decision tree",
            make("tree.DecisionTreeClassifier", random_state=0),
            {"zipmap": False},
        ),
        "ada_boost_classifier": (
            family,
            make("ensemble.AdaBoostClassifier", n_estimators=10, random_state=0),
            {"zipmap": False},
        ),
        "isolation_forest": (
            "random forest",
            make("ensemble.IsolationForest", n_estimators=20, random_state=0),
            {"kind": "alone"},
        ),
    }


def _linear() -> dict[str, Row]:
    make, plain = _estimator, {"zipmap": False}
    return {
        "logistic_regression": ("linear model", make("linear_model.LogisticRegression"), {}),
        "logistic_regression_binary": (
            "linear model",
            make("linear_model.LogisticRegression"),
            {"kind": "binary"},
        ),
        "logistic_regression_of_strings": (
            "linear model",
            make("linear_model.LogisticRegression"),
            {"kind": "strings"},
        ),
        "linear_regression": (
            "linear model",
            make("linear_model.LinearRegression"),
            {"kind": "regression"},
        ),
        "sgd_classifier": (
            "linear model",
            make("linear_model.SGDClassifier", random_state=0),
            plain,
        ),
        "linear_svc": ("SVM", make("svm.LinearSVC", random_state=0), {}),
        "svc_rbf": ("SVM", make("svm.SVC", probability=False), plain),
        "svc_poly_probability": (
            "SVM",
            make("svm.SVC", kernel="poly", probability=True, random_state=0),
            plain,
        ),
        "nu_svc_sigmoid": ("SVM", make("svm.NuSVC", kernel="sigmoid", nu=0.2), plain),
        "svr_rbf": ("SVM", make("svm.SVR"), {"kind": "regression"}),
        "one_class_svm": ("SVM", make("svm.OneClassSVM"), {"kind": "alone"}),
    }


def _others() -> dict[str, Row]:
    make, plain = _estimator, {"zipmap": False}
    return {
        "mlp_classifier": (
            "MLP",
            make("neural_network.MLPClassifier", max_iter=20, random_state=0),
            plain,
        ),
        "mlp_regressor": (
            "MLP",
            make("neural_network.MLPRegressor", max_iter=20, random_state=0),
            {"kind": "regression"},
        ),
        "k_neighbors_classifier": (
            "nearest neighbours",
            make("neighbors.KNeighborsClassifier"),
            plain,
        ),
        "k_neighbors_regressor": (
            "nearest neighbours",
            make("neighbors.KNeighborsRegressor"),
            {"kind": "regression"},
        ),
        "gaussian_nb": ("naive Bayes", make("naive_bayes.GaussianNB"), plain),
        "k_means": (
            "clustering",
            make("cluster.KMeans", n_clusters=4, random_state=0),
            {"kind": "alone"},
        ),
        "gaussian_mixture": (
            "clustering",
            make("mixture.GaussianMixture", n_components=3, random_state=0),
            {"kind": "alone"},
        ),
        "gaussian_process": (
            "Gaussian process",
            make("gaussian_process.GaussianProcessRegressor", alpha=1.0),
            {"kind": "regression"},
        ),
        "pca": ("preprocessing", make("decomposition.PCA", n_components=3), {"kind": "alone"}),
        "lda": ("linear model", make("discriminant_analysis.LinearDiscriminantAnalysis"), plain),
        "preprocessing": ("preprocessing", _preprocessing, plain),
        "columns": ("preprocessing", _columns, {"kind": "columns"}),
        "ordinal_text": ("preprocessing", _ordinal, {"kind": "texts"}),
        "voting": ("ensemble", _voting, plain),
        "stacking": ("ensemble", _stacking, plain),
    }


def _preprocessing() -> Any:
    """Every numeric step, then a classifier."""
    from sklearn import preprocessing as p
    from sklearn.feature_selection import SelectKBest
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    scaled = make_union(p.StandardScaler(), p.MinMaxScaler())
    steps = (p.Normalizer(), p.MaxAbsScaler(), p.PolynomialFeatures(2), SelectKBest(k=20))
    wide = make_union(
        make_pipeline(scaled, *steps), p.Binarizer(), p.KBinsDiscretizer(4, encode="ordinal")
    )
    return make_pipeline(SimpleImputer(), wide, LogisticRegression(max_iter=200))


def _columns() -> Any:
    """Numbers and texts, each its own way, into boosted trees."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    texts = OneHotEncoder(handle_unknown="ignore")
    both = ColumnTransformer([("numbers", numbers, ["a", "b"]), ("texts", texts, ["city"])])
    return make_pipeline(both, GradientBoostingClassifier(n_estimators=10, random_state=0))


def _ordinal() -> Any:
    from sklearn.preprocessing import OrdinalEncoder

    return OrdinalEncoder()


def _voting() -> Any:
    from sklearn.ensemble import VotingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.tree import DecisionTreeClassifier

    return VotingClassifier(
        [("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=4))],
        voting="soft",
        flatten_transform=False,
    )


def _stacking() -> Any:
    from sklearn.ensemble import RandomForestClassifier, StackingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB

    first = [("a", RandomForestClassifier(n_estimators=10, random_state=0)), ("b", GaussianNB())]
    return StackingClassifier(first, LogisticRegression(), cv=3)


def _write(make: Make, options: dict[str, Any], path: Path) -> Feeds:
    """Train and convert; the feeds are rows that were not seen."""
    import warnings

    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    warnings.simplefilter("ignore")
    kind, model = options.get("kind", "classes"), make()
    make_data = with_gaps if options.get("missing") else data
    x, y = make_data(np.random.default_rng(0), kind)
    _with_plain_numbers()
    model.fit(x) if kind in ("alone", "texts") else model.fit(x, y)
    types: list[Any] = [("x", FloatTensorType([None, COLUMNS]))]
    if kind == "texts":
        types = [("x", StringTensorType([None, 2]))]
    if kind == "columns":
        kinds = {"a": FloatTensorType, "b": FloatTensorType, "city": StringTensorType}
        types = [(name, t([None, 1])) for name, t in kinds.items()]
    wanted = {"zipmap": False} if options.get("zipmap") is False else {}
    made = convert_sklearn(
        model,
        initial_types=types,
        target_opset={"": 17, "ai.onnx.ml": 3},
        options={id(model): wanted} if wanted else None,
    )
    path.write_bytes(made.SerializeToString())
    given, _ = make_data(np.random.default_rng(1), kind)
    if kind == "columns":
        return {
            n: given[n].to_numpy()[:16, None].astype(np.float32 if n != "city" else object)
            for n in ("a", "b", "city")
        }
    return {"x": given[:16]}


def _with_plain_numbers() -> None:
    """Give onnx, which takes no truth values, those of histogram-based trees as integers."""
    from skl2onnx.common import tree_ensemble

    add = tree_ensemble.add_node
    name = "nodes_missing_value_tracks_true"

    def adding(*args: Any, **options: Any) -> None:
        add(*args, **{**options, name: int(options.get(name, 0))})

    tree_ensemble.add_node = adding


CITIES = np.array(["Kitakyushu", "Fukuoka", "Tokyo", "Osaka"], object)


def data(random: np.random.Generator, kind: str) -> tuple[Any, Any]:
    """Rows and targets."""
    if kind == "texts":
        return random.choice(CITIES, (ROWS, 2)), None
    if kind == "columns":
        import pandas

        a, b = random.standard_normal((2, ROWS)).astype(np.float32)
        a[::7] = np.nan
        city = random.choice(CITIES, ROWS)
        return pandas.DataFrame({"a": a, "b": b, "city": city}), (
            b + (city == "Tokyo") > 0.3
        ).astype(int)
    x = random.standard_normal((ROWS, COLUMNS)).astype(np.float32)
    score = x[:, 0] + x[:, 1] * x[:, 2] + 0.3 * random.standard_normal(ROWS)
    if kind == "regression":
        return x, score.astype(np.float32)
    classes = np.digitize(score, [0.0] if kind == "binary" else [-0.7, 0.7])
    return x, np.array(["low", "middle", "high"])[classes] if kind == "strings" else classes


def with_gaps(random: np.random.Generator, kind: str) -> tuple[Any, Any]:
    """Rows of which some numbers are missing, and targets."""
    x, y = data(random, kind)
    x[::5, 3] = np.nan
    return x, y
