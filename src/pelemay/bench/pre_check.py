"""Whether all backends give the same answers, found out before anything is timed.

In: a model, backends, and what has to be compared. Out: a :class:`Check` for each. Every backend
answers in a fresh process; a wrong answer is an error in the report, not a time.

Outputs are compared with those of the most trusted backend there is (see ``TRUST``), parameters
by SHA-256 over dtype, shape and bytes, name by name. A backend whose attribute ``keeps_names``
is false, because its parameters are not arrays under the names of ONNX, is excused from the
latter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.bench.process import Reply, run_worker
from pelemay.bench.results import Check

TRUST = ("onnxruntime", "reference")
"""Backends whose answers the others are compared with, the first that runs the model."""
RELATIVE = 1e-3
OF_LARGEST = 1e-4
"""|a - b| <= RELATIVE * |b| + OF_LARGEST * max|b|, elementwise."""

PARTS = ("outputs", "parameters")

Arrays = Mapping[str, npt.NDArray[Any]]


def check_model(
    spec: Mapping[str, Any],
    model: str,
    backends: Sequence[str],
    folder: Path,
    *,
    timeout_s: float,
    on_backend: Callable[[str, Reply], None] = lambda _name, _reply: None,
) -> list[Check]:
    """Ask every backend for its answers and compare them.

    Parameters
    ----------
    spec : mapping
        Of a worker; ``parts`` says what to compare: "outputs", "parameters" or both.
    model : str
        Its name, for the report.
    backends : sequence of str
        To ask, one after the other.
    folder : Path
        Where outputs may be put for a while.
    timeout_s : float
        For each process.
    on_backend : callable
        Told the name and the reply as each has answered.
    """
    answers: dict[str, Reply] = {}
    for number, name in enumerate(backends):
        target = str(folder / f"outputs-{number}.npz")
        answers[name] = run_worker(
            {**spec, "phase": "check", "backend": name, "outputs": target}, timeout_s=timeout_s
        )
        on_backend(name, answers[name])
    checks = [
        check
        for part, compare in zip(PARTS, (_compare_outputs, _compare_parameters), strict=True)
        if part in spec["parts"]
        for check in compare({name: _part(reply, part) for name, reply in answers.items()})
    ]
    return [replace(check, model=model) for check in checks]


def _part(reply: Reply, part: str) -> Mapping[str, Any]:
    if reply.status != "ok":
        return {"status": reply.status, "message": reply.message}
    found: Mapping[str, Any] = reply.answer[part]
    return found


def _trusted(answers: Mapping[str, Mapping[str, Any]]) -> str | None:
    able = [name for name, answer in answers.items() if answer["status"] == "ok"]
    return min(able, key=lambda n: TRUST.index(n) if n in TRUST else len(TRUST), default=None)


def _compare_outputs(answers: Mapping[str, Mapping[str, Any]]) -> list[Check]:
    trusted = _trusted(answers)
    expected = _load(answers[trusted]["value"]) if trusted else {}
    checks = []
    for name, answer in answers.items():
        check = Check("", name, "outputs", answer["status"], answer.get("message", ""))
        if check.status == "ok" and name != trusted:
            found = _load(answer["value"])
            wrong, deviation = compare_arrays(found, expected)
            message = f"compared with {trusted}" if not wrong else f"unlike {trusted}: {wrong}"
            check = replace(
                check, status="wrong" if wrong else "ok", message=message, deviation=deviation
            )
        checks.append(check)
    return checks


def _load(path: str) -> dict[str, npt.NDArray[Any]]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def compare_arrays(found: Arrays, expected: Arrays) -> tuple[str, float]:
    """Compare outputs by name.

    Returns
    -------
    str
        What is wrong with the first that differs; empty if none does.
    float
        The largest difference over the largest value of that output.

    Examples
    --------
    >>> compare_arrays({"y": np.ones(2)}, {"y": np.array([1.0, 2.0])})
    ("output 'y' differs by 1 where the largest value is 2", 0.5)
    """
    if set(found) != set(expected):
        return f"its outputs are {sorted(found)}, not {sorted(expected)}", np.inf
    deviations = [0.0]
    for name, right in expected.items():
        wrong, deviation = _difference(name, found[name], right)
        if wrong:
            return wrong, deviation
        deviations.append(deviation)
    return "", max(deviations)


def _difference(name: str, left: npt.NDArray[Any], right: npt.NDArray[Any]) -> tuple[str, float]:
    if left.shape != right.shape or left.dtype != right.dtype:
        is_a, should_be = (f"{a.dtype.name}{list(a.shape)}" for a in (left, right))
        return f"output '{name}' is {is_a}, not {should_be}", np.inf
    if right.dtype.kind not in "fc":
        return ("", 0.0) if np.array_equal(left, right) else (f"output '{name}' differs", np.inf)
    finite = np.abs(right[np.isfinite(right)])
    largest = float(finite.max()) if finite.size else 0.0
    with np.errstate(invalid="ignore"):
        gap = float(np.nanmax(np.abs(left - right), initial=0.0))
    deviation = gap / largest if largest else gap
    if np.allclose(left, right, rtol=RELATIVE, atol=OF_LARGEST * largest, equal_nan=True):
        return "", deviation
    where = f"where the largest value is {largest:.3g}"
    return f"output '{name}' differs by {gap:.3g} {where}", deviation


def _compare_parameters(answers: Mapping[str, Mapping[str, Any]]) -> list[Check]:
    named = {name: a for name, a in answers.items() if a.get("keeps_names", True)}
    trusted = _trusted(named)
    expected = answers[trusted]["value"] if trusted else {}
    checks = []
    for name, answer in answers.items():
        check = Check("", name, "parameters", answer["status"], answer.get("message", ""))
        if check.status == "ok" and name not in named:
            check = replace(check, message="not compared: it does not keep the names of ONNX")
        elif check.status == "ok" and (wrong := compare_digests(answer["value"], expected)):
            check = replace(check, status="wrong", message=f"unlike {trusted}: {wrong}")
        checks.append(check)
    return checks


def compare_digests(found: Mapping[str, str], expected: Mapping[str, str]) -> str:
    """What is wrong with parameters, told by name; empty if nothing is.

    Examples
    --------
    >>> compare_digests({"a": "1", "c": "3"}, {"a": "1", "b": "2"})
    'missing: b; not in the model: c'
    """
    differing = [name for name in expected if name in found and found[name] != expected[name]]
    groups = {
        "missing": sorted(set(expected) - set(found)),
        "not in the model": sorted(set(found) - set(expected)),
        "different": sorted(differing),
    }
    return "; ".join(f"{what}: {_few(names)}" for what, names in groups.items() if names)


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
