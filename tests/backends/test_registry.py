"""Which backends there are, and what happens where a package is missing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from pelemay import backends
from pelemay.backends import packages, registry
from pelemay.errors import BackendUnavailableError, InputError

HEAVY = ("numpy", "onnx", "onnxruntime", "jax", "torch", "openvino", "safetensors")


@pytest.fixture
def without(monkeypatch):
    """Let packages look as if they were not installed."""

    def remove(*missing):
        found = packages.find_spec
        for name in missing:
            monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setattr(
            packages, "find_spec", lambda name: None if name in missing else found(name)
        )

    return remove


def test_all_backends_of_this_project_are_found():
    ours = {"native", "reference", "naive", "onnx", "xla", "torch", "onnxruntime", "openvino"}
    assert ours <= set(backends.names())
    assert backends.names()[:2] == ("native", "reference")


@pytest.mark.parametrize("name", backends.names())
def test_a_backend_knows_its_name_and_says_what_it_is(name):
    if reason := backends.available()[name]:
        pytest.skip(reason)
    backend = backends.get(name)
    assert backend.name == name
    assert backend.description


def test_an_unknown_name_gets_the_names_that_are_close():
    with pytest.raises(InputError, match="did you mean 'onnxruntime'") as caught:
        backends.get("onxruntime")
    assert "reference" in caught.value.hint


def test_the_alias_is_pelemays_own():
    assert backends.get("pelemay").name == "native"


def test_a_class_is_named_by_module_and_attribute():
    assert backends.get("pelemay.backends.naive:NaiveBackend").name == "naive"
    with pytest.raises(BackendUnavailableError, match="no_such_module"):
        backends.get("no_such_module:Backend")
    with pytest.raises(BackendUnavailableError, match="NoSuchBackend"):
        backends.get("pelemay.backends.naive:NoSuchBackend")


def test_another_package_adds_a_backend(monkeypatch):
    found = {"mine": "pelemay.backends.naive:NaiveBackend", "broken": "no_such_module:Backend"}
    monkeypatch.setattr(registry, "_points", lambda: found)
    assert backends.names() == ("native", "reference", "broken", "mine")
    assert backends.get("mine").name == "naive"
    assert backends.available()["mine"] is None
    assert "no_such_module" in (backends.available()["broken"] or "")


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("xla", "jax", "xla"),
        ("torch", "torch", "torch"),
        ("onnxruntime", "onnxruntime", "onnxruntime"),
        ("openvino", "openvino", "openvino"),
    ],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    without, name, package, extra
):
    command = f"pip install 'pelemay[{extra}]'"
    without(package)
    reason = backends.available()[name]
    assert reason is not None
    assert f"'{package}'" in reason
    assert command in reason
    with pytest.raises(BackendUnavailableError) as caught:
        backends.get(name)
    assert command in str(caught.value)
    assert backends.available()["reference"] is None


def test_import_runtime_says_it_too(without):
    from pelemay.backends.via_torch import TorchBackend

    without("torch")
    with pytest.raises(BackendUnavailableError, match=r"pip install 'pelemay\[torch\]'"):
        TorchBackend().import_runtime()


def test_a_package_that_does_not_import_is_told_apart(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("raise ImportError('libfoo.so.1 is missing')")
    monkeypatch.syspath_prepend(tmp_path)

    class Broken:
        name, requires, extra = "broken", ("broken_package",), "broken"

    assert packages.why_missing(Broken) is None
    with pytest.raises(BackendUnavailableError, match=r"cannot be imported: libfoo\.so\.1"):
        packages.import_packages(Broken)


def test_missing_safetensors_is_told(without):
    without("safetensors")
    with pytest.raises(BackendUnavailableError, match=r"pip install 'pelemay\[bench\]'"):
        packages.safetensors("numpy")


def test_listing_and_getting_imports_no_heavy_package():
    code = f"""
import sys
from pelemay import backends
backends.available()
assert not set({HEAVY!r}) & set(sys.modules) - {{"numpy"}}, sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_package_does_not_even_import_numpy():
    code = f"""
import sys
import pelemay.backends
assert not set({HEAVY!r}) & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["xla", "torch", "onnxruntime", "openvino", "onnx"])
def test_getting_a_backend_does_not_import_its_package(name):
    if reason := backends.available()[name]:
        pytest.skip(reason)
    heavy = [package for package in HEAVY if package not in ("numpy", "onnx")]
    code = f"""
import sys
from pelemay import backends
backends.get({name!r})
assert not set({heavy!r}) & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


IMPORTS_BY_A_JOB = """
import sys
from pathlib import Path
import numpy as np
from pelemay import backends

backend, path = backends.get(sys.argv[1]), Path(sys.argv[2])
backend.import_runtime()
before = set(sys.modules)
backend.serialize(backend.parameters(path))
backend.prepare(path).run(dict(np.load(sys.argv[3])))
print(*sorted(name for name in set(sys.modules) - before if name.startswith(("pelemay", "onnx"))))
"""


@pytest.mark.parametrize("name", ["reference", "naive", "onnx", "xla", "torch"])
def test_what_a_job_imports_counts_as_runtime(name, small_models, tmp_path):
    if reason := backends.available()[name]:
        pytest.skip(reason)
    prepared = small_models["conv_net"]
    np.savez(tmp_path / "feeds.npz", **prepared.feeds)
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS_BY_A_JOB, name, prepared.path, tmp_path / "feeds.npz"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == []
