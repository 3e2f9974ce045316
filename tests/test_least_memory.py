"""What a run of MobileNetV2 takes at least, and what it loads: neither grows unseen."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from pelemay import models, pipeline
from pelemay.memory import MIB
from pelemay.target import Target
from support.processes import measured
from support.run_tool import TOOL, refused

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells"
)

BUDGET = 7 << 18

REFUSED = """
import re, sys
import numpy

def anonymous():
    return int(re.search(r"Anonymous: +([0-9]+)", open("/proc/self/smaps_rollup").read())[1]) << 10

modules, numpy_alone, least = set(sys.modules), anonymous(), 0
{run}
from pelemay.memory import held
own, loaded = held() - numpy_alone, sorted(set(sys.modules) - modules)
import json
print(json.dumps([own, least - numpy_alone, loaded]))
"""

SESSION = """
from pelemay.errors import MemoryLimitError
from pelemay.session import InferenceSession
try:
    InferenceSession(sys.argv[1], threads=2, memory_limit="8MiB")
except MemoryLimitError as error:
    least = error.least_bytes
"""

COMMAND = """
from pelemay.cli import main
main(["run", *sys.argv[1:], "--threads=2", "--memory-limit=8MiB"])
"""

JSON = {"_json", "json", "json.decoder", "json.encoder", "json.scanner"}
LIBRARY = {"copy", "dataclasses", "importlib._abc", "importlib.util"} | JSON

OURS = {
    "pelemay",
    "pelemay._native",
    *(f"pelemay.{name}" for name in ("engine", "errors", "memory", "pipeline", "session")),
    *(f"pelemay.{name}" for name in ("signature", "target")),
    "pelemay.backends",
    *(f"pelemay.backends.{name}" for name in ("in_place", "native", "packages", "programs")),
    *(f"pelemay.backends.{name}" for name in ("protocol", "registry")),
    *("pelemay.graph", "pelemay.graph.dtypes", "pelemay.graph.values"),
}
"""All that a session loads of pelemay. Each module is memory that a network does not get: one that
a run can do without is imported where it is needed."""

COMMANDS = {
    "pelemay.cli",
    *(f"pelemay.cli.{name}" for name in ("answers", "arrays", "feeds", "output", "run", "sources")),
}

HEAVY = {"logging", "pathlib", "tempfile", "threading", "urllib", "zipfile"}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("least") / "m.plm"
    model = models.get("mobilenetv2-12", stand_in="always").path
    shapes = {"input": (1, 3, 224, 224)}
    pipeline.compile(model, path, shapes=shapes, target=Target(budget_bytes=BUDGET))
    return path


def test_a_session_takes_little_beside_numpy(program: Path) -> None:
    """Of the 7.3 MiB, 4 are kept for what cannot be measured, and 1.7 are the run."""
    own, least, loaded = json.loads(measured(REFUSED.format(run=SESSION), program))
    ours = {name for name in loaded if name.partition(".")[0] == "pelemay"}
    assert ours == OURS
    assert set(loaded) - ours <= LIBRARY
    assert own <= 5.3 * MIB
    assert least <= 7.5 * MIB


def test_the_command_takes_little_more(program: Path) -> None:
    own, _, loaded = json.loads(measured(REFUSED.format(run=COMMAND), program))
    ours = {name for name in loaded if name.partition(".")[0] == "pelemay"}
    assert ours <= OURS | COMMANDS
    assert not HEAVY & set(loaded)
    assert own <= 6.3 * MIB


@pytest.mark.skipif(TOOL is None or not TOOL.exists(), reason="pelemay-run is not built")
def test_the_tool_takes_less_than_3_mebibytes(program: Path) -> None:
    np.save(program.with_name("x.npy"), np.zeros((1, 3, 224, 224), np.float32))
    arguments = ["--input=x.npy", "--memory-limit=100KiB", "--threads=1", "--time"]
    said = refused(program.name, *arguments, cwd=program.parent)
    found = re.search(r"the least that works is ([\d.]+) MiB with 1 thread", said)
    assert found, said
    assert float(found[1]) <= 2.75
