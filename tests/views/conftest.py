"""Plans of the network that pictures are tested with."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from pelemay.views import Plans, plans
from support.pictured import network


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("views") / "net.onnx"
    onnx.save(network(), path)
    return path


@pytest.fixture(scope="session")
def found(model_file: Path) -> Plans:
    return plans(model_file, limits=5)
