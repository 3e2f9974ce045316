"""What a suite found, in one sentence per model.

In: a :class:`Suite`. Out: sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pelemay.bench.figures import allocated_bytes, peak_rss_bytes
from pelemay.bench.results import Result
from pelemay.bench.scenario import ModelInfo
from pelemay.bench.suite import Suite
from pelemay.bench.units import as_bytes, as_ratio

_TO_DO = {
    "import+serialize": "import and serialize",
    "import": "import",
    "load+first run": "load and run once",
    "run": "run",
}
_WAYS = {"naive": "decoding element by element", "reference": "in place", "native": "in place"}
_SAME = 1.1

_Reading = tuple[str, Callable[[Result], float | None]]
_FIGURES: tuple[_Reading, ...] = (
    ("allocates {} to {}", allocated_bytes),
    ("takes {} of resident memory to {}", peak_rss_bytes),
)


def findings(suite: Suite) -> list[str]:
    """One sentence for each model: the most and the least memory for the same job.

    It speaks of the first job, in the order import and serialize, import, load and run, run, that
    at least two backends did; of allocated bytes, or of peak resident memory where the heap was
    not followed. Saved results that are compared with do not count where there are new ones.
    """
    return [f"{describe_model(model)}: {finding_of(suite, model)}" for model in suite.models]


def describe_model(model: ModelInfo) -> str:
    """A model's name with its size, encoding and whether it is a stand-in.

    >>> from pathlib import Path
    >>> describe_model(ModelInfo("net", Path("net.onnx"), 47_000_000, True, "raw_data"))
    'net (47.0 MB, raw_data, stand-in)'
    """
    facts = [as_bytes(model.file_bytes), model.encoding, "stand-in" if model.is_stand_in else ""]
    return f"{model.name} ({', '.join(fact for fact in facts if fact)})"


def finding_of(suite: Suite, model: ModelInfo) -> str:
    """The sentence about one model, without its name."""
    fine = [r for r in suite.results if r.scenario.model == model.name and r.is_ok]
    fine = [r for r in fine if not r.scenario.tag] or fine
    for least in (2, 1):
        for job, to_do in _TO_DO.items():
            results = [r for r in fine if r.scenario.job == job]
            for verb, read in _FIGURES:
                ranked = _ranked(results, read)
                if len(ranked) >= least:
                    return _sentence(verb, to_do, ranked)
    return "nothing was measured."


def _ranked(
    results: Sequence[Result], read: Callable[[Result], float | None]
) -> list[tuple[float, str]]:
    values = [(read(result), result.scenario.label) for result in results]
    return sorted((value, label) for value, label in values if value is not None)


def _sentence(verb: str, to_do: str, ranked: Sequence[tuple[float, str]]) -> str:
    (least, best), (most, worst) = ranked[0], ranked[-1]
    said = f"{_way(worst)} {verb.format(as_bytes(most), to_do)}"
    if len(ranked) == 1:
        return f"{said}."
    if not most:
        return f"every backend {verb.format('nothing', to_do)}."
    if not least:
        return f"{said}, {_way(best)} nothing."
    if most / least < _SAME:
        return f"{said}, and no backend needs less than {as_bytes(least)}."
    return f"{said}, {_way(best)} {as_bytes(least)}: {as_ratio(most / least)} less."


def _way(label: str) -> str:
    return _WAYS.get(label, label)
