"""What a user of a model should know before it runs.

In: a model, and what was found of it. Out: sentences: what is so, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pelemay.bench.units import as_bytes
from pelemay.graph import DType, reads, walk
from pelemay.passes.bind import open_sizes

if TYPE_CHECKING:
    from pelemay.importers import Model

OLD_OPSET = 11
"""Exporters have written newer operator sets since 2020."""

LARGE_SHARE, LARGE_BYTES = 0.3, 16 << 20
"""From both on a single constant is worth a word."""

MOST = 3
"""Names that a sentence lists."""


def warnings_of(model: Model, findings: Mapping[str, Any]) -> list[str]:
    """All that should be known.

    Parameters
    ----------
    model : Model
        What is looked at.
    findings : mapping
        Its ``opsets``, ``operations``, ``parameter_bytes`` and ``native``.
    """
    return [
        *_opsets(findings),
        *_fallbacks(findings),
        *_open_sizes(model),
        *_wide(model),
        *_large(model, findings["parameter_bytes"]),
        *_unused(model),
        *_decoded(findings),
        *_external(model),
    ]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(f"'{name}'" for name in names[:MOST]) + more


def _opsets(findings: Mapping[str, Any]) -> Iterator[str]:
    version = findings["opsets"].get("ai.onnx")
    if version is not None and version < OLD_OPSET:
        yield (
            f"operator set {version} is old: its forms are rewritten into the newest when the "
            "model is loaded; exporting it again with a newer one may give a smaller graph"
        )
    kept = [entry for entry in findings["operations"] if "reference" in entry["runs_on"]]
    if kept:
        names = _listed([entry["operation"] for entry in kept])
        yield f"{names}: an old form that could not be rewritten; onnx.reference runs it, slowly"


def _fallbacks(findings: Mapping[str, Any]) -> Iterator[str]:
    native = findings["native"] or {}
    if refused := native.get("refused"):
        yield f"the engine cannot run it: {refused}"
    if left := native.get("fallbacks"):
        count = "1 node runs" if len(left) == 1 else f"{len(left)} nodes run"
        first = left[0]
        yield (
            f"{count} on the reference backend, slowly: {first['node']}: {first['reason']}"
            f"{'; --native lists all' if len(left) > 1 else ''}"
        )


def _open_sizes(model: Model) -> Iterator[str]:
    found = open_sizes(model.graph)
    if found:
        yield (
            f"the size of {_listed(list(found))} is open: 1 is taken here; a program is compiled "
            "for each set of sizes that a run has (--shape gives others)"
        )


def _wide(model: Model) -> Iterator[str]:
    graph = model.graph
    wide = [n for n, c in graph.constants.items() if c.dtype is DType.FLOAT64]
    made = [n for n, kind in graph.types.items() if getattr(kind, "dtype", None) is DType.FLOAT64]
    if wide or made:
        yield (
            f"float64 takes twice the memory of float32 and computes at half its speed: "
            f"{_listed([*wide, *made])}"
        )


def _large(model: Model, total: int) -> Iterator[str]:
    for name, constant in model.graph.constants.items():
        if constant.nbytes >= max(LARGE_BYTES, LARGE_SHARE * total):
            yield (
                f"'{name}' alone takes {as_bytes(constant.nbytes)}, {constant.nbytes / total:.0%} "
                "of all parameters"
            )


def _unused(model: Model) -> Iterator[str]:
    graph = model.graph
    read = {name for _, node in walk(graph) for name in reads(node)} | set(graph.outputs)
    unused = [name for name in graph.constants if name in model.parameters and name not in read]
    if unused:
        nbytes = sum(graph.constants[name].nbytes for name in unused)
        yield f"nothing reads {_listed(unused)}: {as_bytes(nbytes)} that only the file needs"


def _decoded(findings: Mapping[str, Any]) -> Iterator[str]:
    apart = findings["parameter_bytes"] - findings["parameter_bytes_in_place"]
    if apart:
        yield (
            f"{as_bytes(apart)} of parameters cannot be read in place: they are decoded, which "
            "takes as much memory; saving the model again as raw_data cures it"
        )


def _external(model: Model) -> Iterator[str]:
    files = [str(source.path) for source in model.sources[1:] if source.path]
    if files:
        yield f"weights lie beside the model, and must move with it: {_listed(files)}"
