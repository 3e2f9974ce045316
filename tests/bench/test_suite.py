from __future__ import annotations

import json
import socket
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelemay.bench import JOBS, Options, Suite
from pelemay.bench.codec import decode, encode
from pelemay.bench.machine import Machine, describe, package_versions
from pelemay.bench.results import Check, Result
from pelemay.bench.scenario import ModelInfo, Scenario
from pelemay.errors import BenchmarkError, InputError

MODEL = ModelInfo("net", Path("net.onnx"), 100)
text = st.text(max_size=5)
results = st.builds(
    Result,
    st.builds(Scenario, text, text, text, text),
    status=st.sampled_from(["ok", "wrong"]),
    samples_ns=st.lists(st.integers(0, 10**12), max_size=4).map(tuple),
)
suites = st.builds(
    Suite,
    machine=st.builds(Machine, cpu=text, cores=st.integers(0, 99)),
    options=st.builds(Options, time_s=st.floats(0, 9), threads=st.none() | st.integers(1, 9)),
    used=st.dictionaries(st.sampled_from(sorted(JOBS)), st.builds(Options)),
    models=st.just((MODEL,)),
    results=st.lists(results, max_size=3).map(tuple),
    checks=st.lists(st.builds(Check, text, text, text, text), max_size=2).map(tuple),
    tag=text,
)


@given(suites)
def test_json_is_read_back_as_it_was(suite: Suite) -> None:
    assert Suite.from_json(suite.to_json()) == suite


def test_all_fields_of_a_real_result_are_read_back(suite: Suite) -> None:
    assert suite.results[0].memory is not None
    assert suite.results[0].heap is not None
    assert suite.results[0].fit is not None
    assert Suite.from_json(suite.to_json()) == suite


def test_a_newer_program_may_have_added_fields(suite: Suite) -> None:
    body = json.loads(suite.to_json())
    body["new"] = body["results"][0]["memory"]["new"] = 1
    assert Suite.from_json(json.dumps(body)) == suite


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": "other"}, "not a suite"),
        ({"version": 2}, "version 2; allowed: up to 1. Update pelemay"),
        ({"results": 3}, "broken"),
        ({"machine": {"cores": "two"}}, "broken"),
        ({"options": {"time_s": -1}}, "time_s"),
    ],
)
def test_other_files_are_refused(suite: Suite, changes: dict[str, Any], said: str) -> None:
    body = {**json.loads(suite.to_json()), **changes}
    with pytest.raises((BenchmarkError, InputError), match=said):
        Suite.from_json(json.dumps(body), where="a.json")


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '"x"'])
def test_broken_json_is_refused(text: str) -> None:
    with pytest.raises(BenchmarkError, match=r"a\.json"):
        Suite.from_json(text, where="a.json")


def test_a_file_is_written_whole_or_not_at_all(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = suite.save(tmp_path / "suite.json")
    before = path.read_bytes()

    def fail(*_: Any) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(BenchmarkError, match="no space"):
        replace(suite, tag="other").save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="cannot be read"):
        Suite.load(tmp_path / "nothing.json")


def test_saved_suites_are_compared_under_their_tags(suite: Suite) -> None:
    older = replace(suite, tag="before", models=(MODEL,))
    nameless = replace(suite, tag="", machine=Machine(date="2026-01-01"))
    merged = suite.compared_with([older, nameless])
    labels = [result.scenario.label for result in merged.results]
    count = len(suite.results)
    assert labels[count] == "reference (before)"
    assert labels[2 * count] == "reference (2026-01-01)"
    assert len(merged.results) == 3 * count
    assert {model.name for model in merged.models} == {m.name for m in suite.models} | {"net"}


def test_paths_and_the_host_are_not_saved(suite: Suite) -> None:
    body = encode(replace(suite, machine=describe()))
    assert body["models"][0]["path"] == suite.models[0].path.name
    assert socket.gethostname() not in json.dumps(body["machine"]["kernel"])


def test_the_machine_is_described() -> None:
    machine = describe()
    assert machine.cores >= 1
    assert machine.python.split()[1][0] == "3"
    assert {"pelemay", "numpy", "onnx"} <= set(machine.packages)
    assert package_versions("no-such-package") == {}


@pytest.mark.parametrize("name", ["warmup_s", "min_samples", "threads"])
def test_options_have_limits(name: str) -> None:
    with pytest.raises(InputError, match=name):
        Options(**{name: -1})
    with pytest.raises(InputError, match="1 or more"):
        Options(min_samples=0)


def test_every_value_of_a_suite_is_frozen(suite: Suite) -> None:
    def check(value: Any) -> None:
        if is_dataclass(value):
            assert type(value).__dataclass_params__.frozen  # type: ignore[attr-defined]
            for field in fields(value):
                check(getattr(value, field.name))
        elif isinstance(value, tuple):
            for item in value:
                check(item)
        else:
            assert not isinstance(value, list)

    check(suite)


def test_a_value_of_the_wrong_kind_is_not_decoded() -> None:
    with pytest.raises(TypeError, match="'x' is not of type int"):
        decode(ModelInfo, {"name": "n", "path": "p", "file_bytes": "x"})


def test_models_of_the_catalogue_are_described(tmp_path: Path) -> None:
    class Row:
        name, encoding = "resnet", "float_data"

    class FromCatalogue:
        path, entry, is_stand_in = tmp_path / "file.onnx", Row, True

    FromCatalogue.path.write_bytes(b"1234")
    found = ModelInfo.of(FromCatalogue)
    assert found == ModelInfo("resnet", FromCatalogue.path, 4, True, "float_data")
    assert ModelInfo.of(str(FromCatalogue.path)).name == "file"
    assert ModelInfo.of(found) is found
