"""Plans within several limits, as the data that pages draw."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx.parser
import pytest

import pelemay
from pelemay import pipeline
from pelemay.cli import main
from pelemay.errors import InputError, MemoryLimitError
from pelemay.importers import load
from pelemay.importers.model import from_proto
from pelemay.target import Target
from pelemay.views import Plans, plans
from support.pictured import CHANNELS, IMAGE


def values(frame: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    for buffer in frame["buffers"]:
        for value in buffer[5]:
            yield buffer, value


def test_limits_grow_and_times_fall(found: Plans) -> None:
    assert list(found.limits) == sorted(found.limits)
    times = [sum(frame["micros"]) + frame["reading"] for frame in found.frames]
    assert times == sorted(times, reverse=True)
    assert found.frames[0]["arena"] < found.frames[-1]["arena"]
    assert len(found.frames) >= 3


def test_each_limit_has_the_program_that_compiling_for_it_gives(
    found: Plans, model_file: Path
) -> None:
    model = load(model_file)
    for frame in found.frames:
        program = pipeline.lower(model, target=Target(budget_bytes=frame["limit"]))
        assert program.arena_bytes == frame["arena"]
        assert len(program.instructions) == sum(frame["instructions"])
    with pytest.raises(MemoryLimitError):
        pipeline.lower(model, target=Target(budget_bytes=found.limits[0] - 1))


def test_what_a_run_takes_keeps_to_the_limit(found: Plans) -> None:
    for frame in found.frames:
        parts = ("arena", "scratch", "ends", "tables", "memory")
        assert sum(frame[part] for part in parts) <= frame["limit"]
        assert frame["window"] <= frame["memory"]
    assert found.frames[-1]["read"] == 0
    assert found.frames[0]["read"] > found.model_bytes


def test_values_lie_in_their_buffers_while_these_are_held(found: Plans) -> None:
    seen = set()
    for frame in found.frames:
        for (offset, nbytes, first, last, *_), value in values(frame):
            name, _, at, size, born, dies, _ = value
            seen.add(name)
            assert offset <= at
            assert at + size <= offset + nbytes <= frame["arena"]
            assert first <= born <= dies <= last
    assert {"stem", "inner", "half"} <= {name.partition("::")[0] for name in seen}


def test_a_chain_holds_rows_in_rings(found: Plans) -> None:
    frame = found.frames[0]
    rings = {value[0]: value for _, value in values(frame) if value[6]}
    stem = next(value for name, value in rings.items() if name.startswith("stem"))
    assert stem[3] == stem[6] * IMAGE * CHANNELS * 4
    assert 0 < stem[6] < IMAGE
    assert len(frame["chains"]) == 1
    number = next(i for i, layer in enumerate(found.layers) if layer["name"] == "/body/stem")
    steps = list(zip(*[iter(frame["steps"])] * 3, strict=True))
    made = [row for node, begin, end in steps if node == number for row in range(begin, end)]
    assert made == list(range(IMAGE))
    assert number in [row[0] for row in frame["rows"]]


def test_the_peak_is_the_step_that_holds_the_most(found: Plans) -> None:
    for frame in found.frames:
        count = len(frame["steps"]) // 3
        held = [
            sum(-(-b[1] // 64) * 64 for b in frame["buffers"] if b[2] <= step <= b[3])
            for step in range(count)
        ]
        peak = frame["peak"]
        assert peak["bytes"] == max(held)
        assert set(held[peak["step"] : peak["end"]]) == {max(held)}


def test_loads_bring_weights_before_they_are_used(found: Plans) -> None:
    for frame in found.frames:
        for slot, nbytes, first, last, after, stays in frame["loads"]:
            assert slot + nbytes <= frame["memory"]
            assert first <= last < sum(frame["instructions"])
            assert after is None or after < first
            assert stays in (0, 1)
    assert all(load[5] for load in found.frames[-1]["loads"])
    assert any(not load[5] for load in found.frames[0]["loads"])


def test_layers_have_their_weights_and_products(found: Plans) -> None:
    layers = {layer["name"]: layer for layer in found.layers}
    assert layers["/body/block/inner"]["macs"] == IMAGE * IMAGE * CHANNELS * CHANNELS * 9
    assert layers["/head/fc"]["weights"] == 2048 * 100 * 4


def test_a_limit_of_ones_own_is_shown_first(model_file: Path, found: Plans) -> None:
    asked = found.limits[0] + 1000
    made = pelemay.plans(model_file, limits=2, memory_limit=str(asked))
    assert [frame["limit"] for frame in made.frames if frame["asked"]] == [asked]
    with pytest.raises(MemoryLimitError):
        plans(model_file, memory_limit=1000)
    with pytest.raises(InputError, match="at least 1"):
        plans(model_file, limits=0)


def test_what_is_not_planned_is_said() -> None:
    proto = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]> g (float[3, 4] x) => (int64[2, n] z, float[3, 4] y)
        { a = Relu(x) z = NonZero(a) y = Exp(a) }"""  # noqa: E501 - a model's text
    )
    made = plans(from_proto(proto), limits=2)
    assert made.fallbacks == ("NonZero 'z'",)
    assert "not planned: 1 node on the reference backend" in made.html()


def test_a_notebook_shows_the_page(found: Plans) -> None:
    assert found._repr_html_().startswith("<iframe srcdoc=")
    assert repr(found).startswith("<Plans of net within ")


def test_the_command_writes_the_page(
    model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "plan.html"
    assert main(["plan", str(model_file), "--html", str(page), "--limits", "2"]) == 0
    text = page.read_text(encoding="utf-8")
    assert "net runs in" in capsys.readouterr().out
    assert text.startswith("<!DOCTYPE html>")
    assert len(text) < 100_000
    assert main(["plan", str(model_file), "--html", str(page), "--arena", "least"]) == 1
    assert "--budget" in capsys.readouterr().err
    missing = str(tmp_path / "no" / "plan.html")
    assert main(["plan", str(model_file), "--html", missing, "--limits", "1"]) == 1
    assert "cannot be written" in capsys.readouterr().err
