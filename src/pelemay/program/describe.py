"""What a program says of itself: its metadata when it is made, and a summary of it afterwards.

In: a graph and a few facts of the model; or a :class:`Program`. Out: plain data that JSON can hold.

>>> metadata({"graph": "g"}, shapes={"x": (1, 3)})["shapes"]
{'x': [1, 3]}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pelemay import __version__
from pelemay.errors import UnsupportedError
from pelemay.program.program import Program


def metadata(
    signature: Mapping[str, Any],
    *,
    sources: Sequence[Mapping[str, Any]] = (),
    shapes: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What :func:`pelemay.program.build.build` adds its own entries to.

    Parameters
    ----------
    signature : mapping
        What a user sees of the model; see :meth:`pelemay.signature.Signature.to_metadata`.
    sources : sequence of mapping, optional
        Name, size and hash of each file that the weights come from.
    shapes : mapping, optional
        Input name to the shape that the program is compiled for, where one was open.
    values : mapping, optional
        Input name to the value that it is compiled for, where one was given.
    """
    return {
        **signature,
        "producer": f"pelemay {__version__}",
        "sources": [dict(source) for source in sources],
        "shapes": {name: list(map(int, shape)) for name, shape in (shapes or {}).items()},
        "values": {name: np.asarray(value).tolist() for name, value in (values or {}).items()},
    }


def described(metadata: Mapping[str, Any]) -> str:
    """For what shapes a program is, in words.

    >>> described({"shapes": {"x": [1, "n"]}, "range": {"n": [1, 512, 1]}})
    'x [1, n], n 1..512'
    """
    found = [
        f"{name} [{', '.join(map(str, shape))}]"
        for name, shape in metadata.get("shapes", {}).items()
    ]
    for name, (first, last, step) in metadata.get("range", {}).items():
        found.append(f"{name} {first}..{last}" + (f" in steps of {step}" if step > 1 else ""))
    return ", ".join(found) or "the model's own shapes"


def of_all(programs: Sequence[Program]) -> dict[str, Any]:
    """What is said of all plans of a file: ``plans`` is empty if it has one for one size only."""
    several = len(programs) > 1 or programs[0].sizes > 1
    plans = [
        {
            "for": described(program.metadata),
            "sizes": program.sizes,
            "compiled": program.metadata.get("compiled", 1),
            "arena_bytes": program.arena_bytes,
            "instructions": len(program.instructions),
            "fallbacks": len(fallbacks(program.metadata)),
        }
        for program in programs
    ]
    weights = max(program.weights_bytes for program in programs)
    return {"weights_bytes": weights, "plans": plans if several else []}


def fallbacks(found: Mapping[str, Any]) -> list[dict[str, str]]:
    """Nodes that the reference backend runs, each with the reason, from a program's metadata."""
    tail = found.get("tail") or {}
    listed = [*found.get("host", ()), *tail.get("nodes", ())]
    return [{"node": entry["node"], "reason": entry["reason"]} for entry in listed]


def refuse_fallbacks(found: Mapping[str, Any]) -> None:
    """Refuse a program that leaves something to the reference backend.

    Raises
    ------
    UnsupportedError
        With the nodes and the reasons.
    """
    if left := fallbacks(found):
        listed = "; ".join(f"{entry['node']}: {entry['reason']}" for entry in left[:5])
        more = f"; and {len(left) - 5} more" if len(left) > 5 else ""
        count = "1 node has" if len(left) == 1 else f"{len(left)} nodes have"
        what = f"{count} no instruction: {listed}{more}"
        raise UnsupportedError(what, hint="allow the reference backend to run them")


def summary(program: Program) -> dict[str, Any]:
    """What ``compile`` and ``inspect`` show of a program, in bytes and counts."""
    found = program.metadata
    left = fallbacks(found)
    nodes = int(found.get("nodes", 0))
    opcodes = Counter(instruction.opcode for instruction in program.instructions)
    return {
        "producer": found.get("producer"),
        "graph": found.get("graph"),
        "inputs": {entry["name"]: entry["type"] for entry in found.get("inputs", ())},
        "outputs": {entry["name"]: entry["type"] for entry in found.get("outputs", ())},
        "shapes": found.get("shapes", {}),
        "arena_bytes": program.arena_bytes,
        "weights": found.get("weights", "f32"),
        "weights_bytes": program.weights_bytes,
        "blocks": len(program.blocks),
        "nodes": nodes,
        "native_nodes": nodes - len(left),
        "instructions": len(program.instructions),
        "opcodes": dict(opcodes.most_common()),
        "cost": sum(i.cost for i in program.instructions if i.opcode != "host"),
        "fallbacks": left,
    }
