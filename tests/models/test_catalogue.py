from __future__ import annotations

import subprocess
import sys

import pytest

from pelemay import models
from pelemay.errors import InputError
from pelemay.models import standins
from pelemay.models.catalogue import ENTRIES, CatalogueEntry
from pelemay.models.standins import writer

EACH = pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)


def test_the_three_of_the_original_benchmark_come_first() -> None:
    assert [e.name for e in models.available()[:3]] == [
        "cats_v_dogs",
        "cat_dog_breeds",
        "resnet101-v1-7",
    ]
    assert [e.original for e in ENTRIES] == [True] * 3 + [False] * (len(ENTRIES) - 3)


def test_names_are_unique() -> None:
    names = [n for e in ENTRIES for n in (e.name, e.file_name, e.stand_in_file_name)]
    assert len(set(names)) == len(names)


@EACH
def test_a_row_is_complete(entry: CatalogueEntry) -> None:
    assert entry.file_name.endswith(".onnx")
    assert all(url.startswith("https://") and url.endswith(entry.file_name) for url in entry.urls)
    assert (entry.sha256 is None) == (not entry.urls)
    assert entry.sha256 is None or len(bytes.fromhex(entry.sha256)) == 32
    assert entry.architecture in standins.ARCHITECTURES


@EACH
def test_the_stand_in_is_what_the_row_says(entry: CatalogueEntry) -> None:
    blueprint = standins.blueprint(entry.architecture, stand_in_for=entry.name)
    model = blueprint.model
    first = model.graph.input[0]
    shape = tuple(d.dim_param or d.dim_value for d in first.type.tensor_type.shape.dim)
    assert (first.name, shape) == (entry.input_name, entry.input_shape)
    assert blueprint.encoding == entry.encoding
    assert [o.version for o in model.opset_import] == [entry.opset]
    # fastai's originals carry 220 KB of stack traces in the doc strings of their nodes.
    tolerance = 0.006 if entry.input_name == "actual_input_1" else 0.0001
    assert writer.size_bytes(blueprint) == pytest.approx(entry.size_bytes, rel=tolerance)


@pytest.mark.parametrize(
    "name", ["resnet50-v1-7", "resnet50-v1-7.onnx", "resnet50-v1-7.stand-in.onnx"]
)
def test_find_accepts_name_and_file_names(name: str) -> None:
    assert models.find(name).name == "resnet50-v1-7"


@pytest.mark.parametrize(
    ("name", "guess"),
    [("resnet101", "'resnet101-v1-7'"), ("squeznet1.1-7", "'squeezenet1.1-7'")],
)
def test_find_says_what_is_close(name: str, guess: str) -> None:
    with pytest.raises(InputError) as caught:
        models.find(name)
    assert guess in str(caught.value)


@pytest.mark.parametrize("name", ["", "xyzzy"])
def test_find_does_not_guess_wildly(name: str) -> None:
    with pytest.raises(InputError) as caught:
        models.find(name)
    assert "Did you mean" not in str(caught.value)


def test_the_catalogue_imports_nothing_heavy() -> None:
    code = (
        "import sys, pelemay.models; "
        "heavy = {'numpy', 'onnx', 'pooch', 'requests', 'PIL', 'rich'} & set(sys.modules); "
        "print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
