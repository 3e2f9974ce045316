"""Boosted trees of LightGBM and XGBoost, trained on made-up data, as onnxmltools writes them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from classical import COLUMNS, with_gaps
from entry import Entry, Feeds

FAMILY = "gradient-boosted trees"
FEW = {"n_estimators": 20, "random_state": 0}

LIGHTGBM: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "lightgbm_classifier": ("LGBMClassifier", "classes", {}),
    "lightgbm_classifier_binary": ("LGBMClassifier", "binary", {}),
    "lightgbm_regressor": ("LGBMRegressor", "regression", {}),
    "lightgbm_dart": ("LGBMRegressor", "regression", {"boosting_type": "dart"}),
    "lightgbm_categories": ("LGBMClassifier", "categories", {"categorical_feature": [0]}),
}
XGBOOST: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "xgboost_classifier": ("XGBClassifier", "classes", {}),
    "xgboost_classifier_binary": ("XGBClassifier", "binary", {}),
    "xgboost_regressor": ("XGBRegressor", "regression", {}),
    "xgboost_random_forest": ("XGBRFRegressor", "regression", {}),
}


def entries() -> list[Entry]:
    """All of this module."""
    light = ((n, "LightGBM", partial(_lightgbm, *row)) for n, row in LIGHTGBM.items())
    extreme = ((n, "XGBoost", partial(_xgboost, *row)) for n, row in XGBOOST.items())
    return [
        Entry(f"{name}.onnxmltools", FAMILY, f"{maker}, onnxmltools", write)
        for name, maker, write in (*light, *extreme)
    ]


def _lightgbm(kind: str, rows: str, settings: dict[str, Any], path: Path) -> Feeds:
    import lightgbm
    from onnxmltools import convert_lightgbm

    model = getattr(lightgbm, kind)(**FEW, **settings, verbose=-1)
    return _write(model, convert_lightgbm, rows, {"zipmap": False}, path)


def _xgboost(kind: str, rows: str, settings: dict[str, Any], path: Path) -> Feeds:
    import xgboost
    from onnxmltools import convert_xgboost

    return _write(getattr(xgboost, kind)(**FEW, **settings), convert_xgboost, rows, {}, path)


def _write(model: Any, convert: Any, rows: str, options: dict[str, Any], path: Path) -> Feeds:
    """Train and convert; the feeds are rows that were not seen."""
    from onnxmltools.convert.common.data_types import FloatTensorType

    model.fit(*_data(0, rows))
    types = [("x", FloatTensorType([None, COLUMNS]))]
    made = convert(model, initial_types=types, target_opset=15, **options)
    path.write_bytes(made.SerializeToString())
    return {"x": _data(1, rows)[0][:16]}


def _data(seed: int, rows: str) -> tuple[Any, Any]:
    """Rows and targets; with categories in the first column, if that is asked for."""
    random = np.random.default_rng(seed)
    if rows != "categories":
        return with_gaps(random, rows)
    x, y = with_gaps(random, "classes")
    x[:, 0] = random.integers(0, 6, len(x))
    return x, np.where(x[:, 0] % 2 == 1, y, 0)
