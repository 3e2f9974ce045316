"""``pelemay inspect``: what is in a model, and what it weighs, without reading its weights."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pelemay.cli.output import add_json_flag, console, print_json, size, table
from pelemay.cli.programs import listing, rows_of, show_fallbacks, show_opcodes, show_plans
from pelemay.cli.sources import resolve

if TYPE_CHECKING:
    from pelemay.graph import Graph
    from pelemay.importers import Model

HELP = "Show what is in a model, and what it weighs, without reading its weights."
EXAMPLES = """\
  pelemay inspect resnet101-v1-7
  pelemay inspect model.onnx --parameters     every parameter: where it lies, and how
  pelemay inspect model.onnx --text           the graph as text
  pelemay inspect model.onnx --native         what the engine runs, what not, and why
  pelemay inspect model.plm                   a compiled program; --text lists its instructions
  pelemay inspect model.onnx --json"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "model", metavar="MODEL", help="an ONNX or .plm file, or a name of 'models list'"
    )
    parser.add_argument("--parameters", action="store_true", help="list every parameter")
    parser.add_argument("--text", action="store_true", help="print the graph as text")
    parser.add_argument(
        "--native", action="store_true", help="say what the engine would not run, and why"
    )
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    """Print what was asked for."""
    from pelemay.importers import load

    path = resolve(args.model)
    if path.suffix == ".plm":
        return _run_program(path, args)
    model = load(path)
    if args.text:
        from pelemay.graph.text import to_text

        print(to_text(model.graph))
        return 0
    findings = examine(model)
    if args.native:
        findings["native"] = _native(model)
    if args.parameters:
        findings["parameter_list"] = _parameters(model)
    if args.json:
        print_json(findings)
    else:
        _show(findings)
    return 0


def _run_program(path: Path, args: argparse.Namespace) -> int:
    """The same for a compiled program."""
    from pelemay.program.describe import of_all, summary
    from pelemay.program.read import read_plans

    programs = read_plans(path)
    if args.text:
        for program in programs:
            console().print("\n".join(listing(program)), markup=False, soft_wrap=True)
        return 0
    findings = {"file": str(path), "file_bytes": path.stat().st_size, **summary(programs[0])}
    findings |= of_all(programs)
    if args.parameters:
        blocks = {(b.offset, b.nbytes): b for program in programs for b in program.blocks}
        findings["block_list"] = [
            {"name": b.name, "bytes": b.nbytes, "offset": b.offset}
            for _, b in sorted(blocks.items())
        ]
    if args.json:
        print_json(findings)
    else:
        _show_program(findings)
    return 0


def _show_program(findings: dict[str, Any]) -> None:
    head = ("file", f"{findings['file']} ({size(findings['file_bytes'])})")
    console().print(table("program", "", rows=[head, *rows_of(findings)]))
    show_plans(findings)
    show_opcodes(findings)
    show_fallbacks(findings)
    if listed := findings.get("block_list"):
        rows = [(b["name"], size(b["bytes"]), f"{b['offset']:,}") for b in listed]
        console().print(table("block", "size", "at byte", rows=rows, right=[1, 2]))


def _native(model: Model) -> dict[str, Any]:
    """What the engine would run, and what it would not; nothing is written."""
    from pelemay import pipeline
    from pelemay.program.describe import summary

    return summary(pipeline.lower(model))


def examine(model: Model) -> dict[str, Any]:
    """Everything that the command says of a model, as plain data."""
    places = [model.parameters.placement(name) for name in model.parameters]
    proto = model.proto
    return {
        "file": str(model.path),
        "file_bytes": model.path.stat().st_size if model.path else None,
        "producer": " ".join(filter(None, (proto.producer_name, proto.producer_version))),
        "ir_version": proto.ir_version,
        "opsets": {o.domain or "ai.onnx": o.version for o in proto.opset_import},
        "inputs": {arg.name: str(arg.type) for arg in model.inputs},
        "outputs": {arg.name: str(arg.type) for arg in model.outputs},
        "parameters": len(places),
        "parameter_bytes": sum(place.nbytes for place in places),
        "parameter_bytes_in_place": sum(place.nbytes for place in places if place.in_place),
        "encodings": dict(Counter(place.encoding for place in places)),
        "operations": _operations(model.graph),
    }


def _operations(graph: Graph) -> list[dict[str, Any]]:
    from pelemay.graph import walk

    counts = Counter((n.qualified, n.version) for _, n in walk(graph))
    return [
        {
            "operation": name,
            "count": count,
            "runs_on": "operation table" if version == 0 else f"onnx.reference ({version})",
        }
        for (name, version), count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def _parameters(model: Model) -> list[dict[str, Any]]:
    rows = []
    for name in model.parameters:
        place = model.parameters.placement(name)
        constant = model.graph.constants[name]
        rows.append(
            {
                "name": name,
                "dtype": constant.dtype.value,
                "shape": list(constant.shape),
                "bytes": place.nbytes,
                "encoding": place.encoding,
                "file": str(place.path),
                "offset": place.offset,
                "in_place": place.in_place,
            }
        )
    return rows


def _show(findings: dict[str, Any]) -> None:
    out = console()
    total, in_place = findings["parameter_bytes"], findings["parameter_bytes_in_place"]
    encodings = ", ".join(f"{count} {name}" for name, count in findings["encodings"].items())
    rows = [
        ("file", f"{findings['file']} ({size(findings['file_bytes'] or 0)})"),
        ("producer", findings["producer"] or "not said"),
        ("operator sets", ", ".join(f"{k} {v}" for k, v in findings["opsets"].items())),
        *((f"input {name}", kind) for name, kind in findings["inputs"].items()),
        *((f"output {name}", kind) for name, kind in findings["outputs"].items()),
        ("parameters", f"{findings['parameters']} ({size(total)}; {encodings or 'none'})"),
        ("read in place", f"{in_place / total:.0%}" if total else "nothing to read"),
    ]
    out.print(table("model", "", rows=rows))
    rows3 = [(o["operation"], str(o["count"]), o["runs_on"]) for o in findings["operations"]]
    out.print(table("operation", "count", "runs on", rows=rows3, right=[1]))
    if native := findings.get("native"):
        out.print(table("compiled", "", rows=rows_of(native)))
        show_fallbacks(native)
    if listed := findings.get("parameter_list"):
        rows5 = [
            (
                p["name"],
                f"{p['dtype']}{p['shape']}",
                size(p["bytes"]),
                p["encoding"],
                f"{p['offset']:,}" if p["in_place"] else "decoded",
            )
            for p in listed
        ]
        out.print(
            table("parameter", "type", "size", "encoding", "at byte", rows=rows5, right=[2, 4])
        )
