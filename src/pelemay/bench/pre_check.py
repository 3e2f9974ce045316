"""Whether all backends give the same answers, found out before anything is timed.

In: a model, backends, and what has to be compared. Out: a :class:`Check` for each. Every backend
answers in a fresh process; a wrong answer is an error in the report, not a time.

Outputs are compared with those of the most trusted backend there is (see ``TRUST``), parameters
by SHA-256 over dtype, shape and bytes, name by name. A backend whose attribute ``keeps_names``
is false, because its parameters are not arrays under the names of ONNX, is excused from the
latter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
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

Arrays = Mapping[str, npt.NDArray[Any]]


def ask(spec: Mapping[str, Any], *, part: str, timeout_s: float) -> Reply:
    """Have one backend compute its answer in a fresh process.

    Parameters
    ----------
    spec : mapping
        Of a worker, with ``outputs``, the path where outputs may lie until they are compared.
    part : str
        "outputs" or "parameters".
    timeout_s : float
        For the process.
    """
    return run_worker({**spec, "phase": "check", "part": part}, timeout_s=timeout_s)


def compare(model: str, part: str, replies: Mapping[str, Reply]) -> list[Check]:
    """Compare what the backends answered for one model.

    Parameters
    ----------
    model : str
        Its name, for the report.
    part : str
        "outputs" or "parameters".
    replies : mapping
        Backends to what :func:`ask` gave for them.

    Returns
    -------
    list of Check
        One for each backend, in the order of ``replies``.
    """
    difference = _differing_outputs if part == "outputs" else _differing_parameters
    comparable = {n: r for n, r in replies.items() if part == "outputs" or _keeps_names(r)}
    trusted = _trusted(comparable)
    checks = []
    for name, reply in replies.items():
        check = Check(model, name, part, reply.status, reply.message)
        if reply.status == "ok" and name not in comparable:
            what = "not compared: it does not keep the names of ONNX"
            check = replace(check, message=what, is_compared=False)
        elif reply.status == "ok" and trusted is not None and name != trusted:
            wrong, deviation = difference(reply.answer["value"], replies[trusted].answer["value"])
            message = f"unlike {trusted}: {wrong}" if wrong else f"compared with {trusted}"
            status = "wrong" if wrong else "ok"
            check = replace(check, status=status, message=message, deviation=deviation)
        checks.append(check)
    return checks


def _keeps_names(reply: Reply) -> bool:
    return bool(reply.answer.get("keeps_names", True))


def _trusted(replies: Mapping[str, Reply]) -> str | None:
    able = [name for name, reply in replies.items() if reply.status == "ok"]
    return min(able, key=lambda n: TRUST.index(n) if n in TRUST else len(TRUST), default=None)


def _differing_outputs(found: str, expected: str) -> tuple[str, float | None]:
    return compare_arrays(_load(found), _load(expected))


def _differing_parameters(
    found: Mapping[str, str], expected: Mapping[str, str]
) -> tuple[str, float | None]:
    return compare_digests(found, expected), None


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
