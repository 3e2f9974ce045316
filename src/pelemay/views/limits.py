"""The plans of a model within several limits, for people to look at.

In: a model, and what is known of its inputs. Out: :class:`Plans`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pelemay.errors import InputError
from pelemay.target import size_of

if TYPE_CHECKING:
    from pelemay.importers import Model
    from pelemay.views.frames import Json

LIMITS = 8
"""Limits that there are plans for."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Plans:
    """Plans of one model, from the least memory that it runs in to all that is of use.

    A notebook shows them as a page: what lies where in memory while the model runs, with a slider
    for the limit.

    Attributes
    ----------
    name : str
        What the model is called.
    model_bytes : int
        Bytes of its parameters as stored.
    layers : tuple of mapping
        What is done, in order: name, operation, result, bytes of weights, multiply-accumulates.
    frames : tuple of mapping
        For each limit, the smallest first, the plan as plain data; ``limit`` and ``arena`` are
        bytes.
    fallbacks : tuple of str
        Nodes that run on the reference backend; what these take beside is not planned.
    """

    name: str
    model_bytes: int
    layers: tuple[Json, ...]
    frames: tuple[Json, ...]
    fallbacks: tuple[str, ...] = ()

    @property
    def limits(self) -> tuple[int, ...]:
        """Bytes that a run may take, of each plan."""
        return tuple(frame["limit"] for frame in self.frames)

    @property
    def finding(self) -> str:
        """What the plans say, in one sentence."""
        least, most = self.frames[0], self.frames[-1]
        if least is most:
            return f"{self.name} takes {_size(most)} for a run."
        factor = micros_of(least) / micros_of(most)
        return (
            f"{self.name} runs in {_size(least)} instead of {_size(most)}, "
            f"in an estimated {factor:.2g} times the time."
        )

    def html(self) -> str:
        """The page, as text of one HTML file."""
        from pelemay.views.plan_page import page_of

        return page_of(self).html()

    def save(self, file: str | os.PathLike[str]) -> Path:
        """Write the page.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        return written(file, self.html())

    def _repr_html_(self) -> str:
        from pelemay.pages import framed

        return framed(self.html(), height=1100)

    def __repr__(self) -> str:
        """The name and the limits: all frames would fill the screen."""
        from pelemay.bench.units import as_bytes

        limits = ", ".join(map(as_bytes, self.limits))
        return f"<Plans of {self.name} within {limits}>"


def written(file: str | os.PathLike[str], text: str) -> Path:
    """Write a page.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    path = Path(file)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"it cannot be written: {error.strerror}", where=str(path)) from error
    return path


def plans(
    source: str | os.PathLike[str] | Model,
    shapes: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, Any] | None = None,
    *,
    limits: int = LIMITS,
    memory_limit: int | str | None = None,
    weights: str = "f32",
    progress: Progress | None = None,
) -> Plans:
    """Plan a model's run within several limits, to look at.

    Parameters
    ----------
    source : str, os.PathLike or Model
        An ONNX file.
    shapes : mapping, optional
        Input name to shape, for inputs whose sizes the model leaves open; sizes that stay open
        become 1.
    values : mapping, optional
        Input name to value, for inputs that decide the sizes of others.
    limits : int
        How many limits, from the least to that of whole values and all weights.
    memory_limit : int or str, optional
        One more limit, such as ``"6MiB"``, which is shown first: what a run may take beside its
        process.
    weights : {"f32", "f16", "bf16", "int8"}
        What weights of convolutions and products are stored as.
    progress : callable, optional
        Called with the plans made, and those wanted.

    Raises
    ------
    ModelError
        If the file is missing or broken.
    InputError
        If a shape does not fit, or a size is none.
    MemoryLimitError
        If there is no plan within ``memory_limit``.
    ExecutionError
        If a file of the model became shorter.
    """
    from pelemay import pipeline
    from pelemay.importers import load
    from pelemay.program.describe import fallbacks
    from pelemay.views.frames import Layers, frame

    if limits < 1:
        raise InputError(f"limits={limits}: at least 1")
    model = load(source) if isinstance(source, (str, os.PathLike)) else source
    with model.intact():
        budgets = pipeline.budgets(model, shapes, values, weights=weights)
        layers = Layers.of(budgets.whole.made.plan.graph)
        frames = []
        if memory_limit is not None:
            asked = memory_limit if isinstance(memory_limit, int) else size_of(memory_limit)
            frames.append(frame(budgets.within(asked), asked, layers, is_asked=True))
        for limit, found in budgets.sweep(limits):
            frames.append(frame(found, limit, layers))
            if progress is not None:
                progress(len(frames), limits)
    name = model.path.stem if model.path else model.graph.name
    return Plans(
        name.replace(".stand-in", " (stand-in)"),
        model.nbytes,
        layers.rows,
        _best(frames),
        tuple(entry["node"] for entry in fallbacks(budgets.whole.made.program.metadata)),
    )


def micros_of(frame: Json) -> float:
    """Estimated microseconds of a run: computing, and reading weights."""
    return float(sum(frame["micros"]) + frame["reading"])


def _size(frame: Json) -> str:
    """A limit whose unit is not on the next line."""
    from pelemay.bench.units import as_bytes

    return as_bytes(frame["limit"]).replace(" ", "\N{NO-BREAK SPACE}")


def _best(frames: Sequence[Json]) -> tuple[Json, ...]:
    """By their limits, without those that are no faster than one of a smaller limit."""
    kept: list[Json] = []
    for made in sorted(frames, key=lambda made: made["limit"]):
        least = min(map(micros_of, kept), default=math.inf)
        if made["asked"] or micros_of(made) < least:
            kept.append(made)
    return tuple(kept)


__all__ = ["Plans", "plans", "written"]
