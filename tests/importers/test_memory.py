"""What loading 178 MB costs: time, anonymous memory, and pages of the file, in a fresh process."""

from __future__ import annotations

import json
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

MEASURE = """
import json, sys, time
from pathlib import Path
import numpy as np, onnx
import pelemay.importers.convert
from pelemay.importers import load

def status(name):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status")
                if line.startswith(name + ":"))

def mapped(path):
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    for line in lines:
        if line.endswith(str(path)):
            rss = next(line for line in lines if line.startswith("Rss:"))
            return int(rss.split()[1]) * 1024
"""


@pytest.fixture(scope="module", params=["float_data", "raw_data"])
def encoding(request) -> str:
    return request.param


def test_loading_adds_little(run_python, resnet101, encoding):
    # Processor time, because a busy machine must not fail the test.
    code = (
        MEASURE
        + """
path = sys.argv[1]
Path("/proc/self/clear_refs").write_text("5")  # makes the peak start from here
before = {name: status(name) for name in ("RssAnon", "VmHWM")}
times = []
for _ in range(5):
    start = time.process_time()
    model = load(path)
    times.append(time.process_time() - start)
    if len(times) == 1:
        anonymous = status("RssAnon") - before["RssAnon"]
        peak = status("VmHWM") - before["VmHWM"]
print(json.dumps({"seconds": min(times), "anonymous": anonymous, "peak": peak,
                  "mapped": mapped(path), "names": len(model.parameters),
                  "nbytes": model.nbytes, "in_place": sum(model.parameters.placement(n).in_place
                                                          for n in model.parameters)}))
"""
    )
    found = json.loads(run_python(code, resnet101[encoding]))
    assert resnet101[encoding].stat().st_size > 170_000_000
    assert found["nbytes"] > 170_000_000
    assert found["names"] == found["in_place"] == 520
    assert found["anonymous"] < 5 << 20
    assert found["peak"] < 5 << 20
    assert found["seconds"] < 0.1
    assert found["mapped"] == 0, "no page of the mapping has been touched"


def test_pages_are_touched_only_when_read(run_python, resnet101, encoding):
    code = (
        MEASURE
        + """
path = sys.argv[1]
model = load(path)
views = dict(model.parameters)
shapes = [view.shape for view in views.values()]
untouched = mapped(path)
view = views["weight103"]
assert view.sum() == 0
print(json.dumps([untouched, mapped(path), view.nbytes, len(shapes)]))
"""
    )
    untouched, touched, nbytes, _ = json.loads(run_python(code, resnet101[encoding]))
    assert untouched == 0
    assert nbytes <= touched + 4096
    # The kernel may map a huge page around what is read, and no more.
    assert touched <= nbytes + (4 << 20)


def test_reading_a_typed_field_does_not_make_objects(run_python, resnet101, encoding):
    code = (
        MEASURE
        + """
model = load(sys.argv[1])
before = status("RssAnon")
total = sum(float(value.sum()) for value in model.parameters.values())
assert total == 0
print(status("RssAnon") - before)
"""
    )
    assert int(run_python(code, resnet101[encoding])) < 5 << 20
