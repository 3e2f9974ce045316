"""Reports of one fixed suite, compared with files in ``golden/``.

After a wanted change: ``PELEMAY_WRITE_GOLDEN=1 pytest tests/bench/test_reports.py``, and read the
difference.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelemay.bench import (
    FIGURES,
    FORMATTERS,
    Suite,
    explain,
    findings,
    format_console,
    format_header,
    format_markdown,
)
from pelemay.bench.reports.bars import MARK, draw
from pelemay.bench.reports.sections import agreement
from pelemay.bench.results import Check

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(
    ("name", "width"), [("console-80.txt", 80), ("console-120.txt", 120), ("report.md", 0)]
)
def test_golden(suite: Suite, name: str, width: int) -> None:
    found = format_console(suite, width=width) if width else format_markdown(suite)
    if os.environ.get("PELEMAY_WRITE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / name).write_text(found, encoding="utf-8")
    assert found == (GOLDEN / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(suite: Suite, width: int) -> None:
    for line in format_console(suite, width=width).splitlines():
        assert len(line) <= width, line


def test_plain_text_has_no_escapes_and_colour_has(suite: Suite) -> None:
    assert "\x1b" not in format_console(suite)
    assert "\x1b[" in format_console(suite, color=True)


def test_the_header_alone(suite: Suite) -> None:
    said = format_header(suite)
    assert format_console(suite).startswith(said.rstrip("\n"))
    for part in ("Cores           2", "Fake CPU", "shrunk from", "Estimated time"):
        assert part in said


def test_every_format_is_text(suite: Suite) -> None:
    for formatter in FORMATTERS.values():
        assert formatter(suite).endswith("\n")
    assert Suite.from_json(FORMATTERS["json"](suite)) == suite
    assert json.loads(FORMATTERS["json"](suite))["version"] == 1


def test_compared_suites_show_their_tags(suite: Suite) -> None:
    said = format_console(suite.compared_with([replace(suite, tag="before")]))
    assert "naive (before)" in said


def test_a_header_that_was_seen_is_not_repeated(suite: Suite) -> None:
    begun = replace(suite, used={}, elapsed_s=0.0)
    whole, rest = format_console(suite), format_console(suite, begun=begun)
    assert "Fake CPU" in whole
    assert "Fake CPU" not in rest
    assert rest.startswith("Measured  import+serialize: warm-up")
    assert "Taken     2 min 21 s" in rest
    assert whole.endswith(rest[rest.index("\n\n") :])


def test_findings_are_of_the_new_figures(suite: Suite) -> None:
    assert findings(suite.compared_with([replace(suite, tag="before")])) == findings(suite)
    assert "(before)" in findings(replace(suite, results=()).compared_with(
        [replace(suite, tag="before")]
    ))[0]  # fmt: skip


def test_agreement_says_how_far(suite: Suite) -> None:
    one = Check("net", "naive", "outputs", "ok")
    assert "No two backends" in agreement(replace(suite, checks=(one,)))
    other = replace(one, backend="onnx", part="parameters", is_compared=False)
    assert "No two backends" in agreement(replace(suite, checks=(other,)))
    two = (one, replace(one, backend="onnx", message="compared with naive", deviation=0.0))
    assert "bit for bit" in agreement(replace(suite, checks=two))
    near = (one, replace(two[1], deviation=2e-5))
    assert "2.0e-05" in agreement(replace(suite, checks=near))
    wrong = (one, replace(two[1], status="wrong"))
    assert agreement(replace(suite, checks=wrong)).startswith("Wrong answers")
    assert agreement(replace(suite, checks=())) == ""


def test_a_suite_without_results_is_still_a_report(suite: Suite) -> None:
    empty = replace(suite, results=(), checks=())
    assert "nothing was measured" in format_console(empty)
    assert "nothing was measured" in format_markdown(empty)


def test_outliers_are_left_out_when_asked(suite: Suite) -> None:
    options = replace(suite.options, exclude_outliers=True)
    result = replace(suite.results[0], samples_ns=(10, 11, 12, 13, 14, 15, 16, 5000))
    said = format_console(replace(suite, options=options, results=(result,)))
    assert "excluded" in said
    assert "5.00 µs" not in said


def test_findings(suite: Suite) -> None:
    assert findings(suite) == [
        "resnet101-v1-7 (179 MB, float_data, stand-in): decoding element by element allocates "
        "2.90 GB to import and serialize, in place 400 kB: 7,200x less."
    ]
    no_heap = tuple(replace(result, heap=None) for result in suite.results)
    assert (
        "takes 2.10 GB of resident memory to import" in findings(replace(suite, results=no_heap))[0]
    )
    one = tuple(r for r in suite.results if r.scenario.backend == "reference")
    assert findings(replace(suite, results=one))[0].endswith(
        "in place allocates 400 kB to import and serialize."
    )
    same = (one[0], replace(one[0], scenario=replace(one[0].scenario, backend="onnx")))
    assert "no backend needs less than" in findings(replace(suite, results=same))[0]


def test_every_figure_is_explained() -> None:
    said = explain()
    assert all(len(line) <= 80 for line in said.splitlines())
    for figure in FIGURES:
        assert f"\n{figure.title} " in f"\n{said}"
        assert len(figure.explanation) > 15
    assert len({figure.title for figure in FIGURES}) == len(FIGURES)


@given(st.integers(0, 10**10), st.integers(0, 10**10), st.integers(0, 10**10), st.integers(10, 150))
def test_bars_have_the_width_asked_for(first: int, second: int, mark: int, width: int) -> None:
    most = max(first + second, mark, 1)
    drawn = draw(first, second, mark, most=most, width=width)
    assert len(drawn) == width
    assert drawn.count(MARK) == 1
    filled = width - drawn.count(" ")
    assert abs(filled - (first + second) / most * width) <= 3
