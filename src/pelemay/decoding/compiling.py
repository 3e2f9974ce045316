"""A decoder compiled for a context.

In: an ONNX file. Out: a ``.plm`` file with a plan for a piece of a prompt and one for a token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pelemay import pipeline
from pelemay.decoding.attention_pasts import with_pasts_apart
from pelemay.decoding.buffers import with_buffers
from pelemay.decoding.positions import with_counts
from pelemay.decoding.roles import roles_of
from pelemay.decoding.sizes import Context, cache_types, cases_for

if TYPE_CHECKING:
    from pelemay.importers import Model
    from pelemay.pipeline import Compiled
    from pelemay.target import Target


def compile_decoder(
    model: Model,
    output: str | Path,
    context: Context,
    *,
    target: Target | None = None,
    allow_fallback: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Compiled:
    """Compile a decoder to a ``.plm`` file.

    Parameters
    ----------
    model : Model
        As :func:`pelemay.load` gives; keys and values are among its inputs and outputs.
    output : str or Path
        Written in a stream; whole, or not there at all.
    context : Context
        Room for tokens.
    target, allow_fallback, progress
        As for :func:`pelemay.pipeline.compile`.

    Raises
    ------
    InputError
        If the model is no decoder, or was exported for another context.
    UnsupportedError
        If its caches cannot be written in place.
    """
    roles = roles_of(*((end.name for end in ends) for ends in (model.inputs, model.outputs)))
    graph, roles = with_counts(*with_buffers(*with_pasts_apart(model.graph, roles)))
    buffered = _of(model, graph)
    return pipeline.compile(
        buffered,
        output,
        cases=cases_for(context, roles, {**graph.inputs, **cache_types(graph, roles)}),
        target=target,
        allow_fallback=allow_fallback,
        progress=progress,
    )


def _of(model: Model, graph: Graph) -> Model:
    """The model with another graph, whose inputs it takes."""
    from pelemay.importers import ValueInfo

    if graph is model.graph:
        return model
    inputs = tuple(ValueInfo(name, kind) for name, kind in graph.inputs.items())
    changed = replace(model, inputs=inputs)
    vars(changed)["graph"] = graph
    return changed


if TYPE_CHECKING:
    from pelemay.graph import Graph
