"""The page of a suite, without a browser: what stands in it, and how large it gets."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from pelemay.bench import FIGURES, format_html
from pelemay.bench.reports.page.devices import DEVICES
from pelemay.bench.reports.page.scatter import front
from support.suites import fixed_suite, followed_suite


def test_the_finding_stands_first_and_all_figures_are_explained() -> None:
    html = format_html(fixed_suite())
    assert "<h1>Decoding element by element allocates 2.90 GB" in html
    for figure in FIGURES:
        assert f"<dt>{figure.title}</dt>" in html
    for device in DEVICES:
        assert device.name in html
    assert "Fake CPU" in html
    assert "unlike onnxruntime: output" in html


def test_a_large_suite_stays_small() -> None:
    html = format_html(followed_suite(models=3))
    assert html.count("data-series=") == 48
    assert len(html.encode()) < 2_000_000


def test_the_data_is_what_was_sampled() -> None:
    suite = followed_suite()
    html = format_html(suite)
    found = re.search(r'id="data-series-0-0">(.*?)</script>', html)
    assert found
    data = json.loads(found[1])
    least = min(
        (r for r in suite.results if r.scenario.job == "import+serialize"),
        key=lambda r: r.memory.baseline + r.memory.peak_rss if r.memory else 0,
    )
    assert least.timeline
    assert tuple(data["anonymous"]) == least.timeline.anonymous
    assert tuple(data["file"]) == least.timeline.file_backed


def test_suites_without_figures_are_pages_too() -> None:
    empty = replace(fixed_suite(), results=(), checks=(), models=())
    assert "Nothing was measured" in format_html(empty)
    bare = replace(
        fixed_suite(), results=tuple(replace(r, memory=None) for r in fixed_suite().results)
    )
    assert "No memory was read" in format_html(bare)
    assert "Memory over time" not in format_html(bare)


def test_a_timeline_that_the_budget_left_out_is_told_of() -> None:
    suite = fixed_suite()
    asked = replace(suite, options=replace(suite.options, timeline_s=0.4))
    assert "Left out to keep the time budget" in format_html(asked)


def test_names_are_escaped() -> None:
    suite = fixed_suite()
    results = [replace(r, scenario=replace(r.scenario, backend="<b>&")) for r in suite.results]
    assert "<b>&" not in format_html(replace(suite, results=tuple(results)))


def test_a_notebook_shows_the_page_in_a_frame() -> None:
    shown = followed_suite()._repr_html_()
    assert shown.startswith('<iframe srcdoc="&lt;!DOCTYPE html&gt;')
    assert shown.count("<") == 2


def test_nothing_on_the_front_is_beaten() -> None:
    points = [(1.0, 5.0), (1.0, 4.0), (2.0, 4.0), (3.0, 1.0)]
    assert front(points) == [(1.0, 4.0), (3.0, 1.0)]
    assert front([]) == []
