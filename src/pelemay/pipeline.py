"""The way of data, on one page: what happens between a file and a run.

In: the path of a model and the name of a backend. Out: the model, and something that runs it; or
the model compiled, in a file.

>>> prepare("no-such-file.onnx")  # doctest: +ELLIPSIS
Traceback (most recent call last):
pelemay.errors.ModelError: no-such-file.onnx: ...
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pelemay import backends
from pelemay.backends.protocol import Backend, Runnable, SigningBackend
from pelemay.errors import InputError
from pelemay.signature import Signature

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from pelemay.cases import Case
    from pelemay.compilation import Planned
    from pelemay.importers import Model
    from pelemay.plan.bands import Curve
    from pelemay.program import Program
    from pelemay.program.budget import Budgets
    from pelemay.program.write import Written
    from pelemay.ranges import Sized, Span
    from pelemay.target import Target

DEFAULT_BACKEND = "native"


class Prepared(NamedTuple):
    """A model ready to run, and what it takes and gives."""

    signature: Signature
    backend: Backend
    runnable: Runnable


def prepare(
    path: str | Path,
    backend: str | Backend = DEFAULT_BACKEND,
    *,
    threads: int | None = None,
    **options: Any,
) -> Prepared:
    """Hand a model to a backend.

    Parameters
    ----------
    path : str or Path
        An ONNX file, or a compiled program for the backend ``native``.
    backend : str or Backend
        A name of ``pelemay.backends.names()``, or a backend itself.
    threads : int, optional
        Threads to compute with; the backend's default if not given.
    **options
        Of the backend's own; those of ``native`` are said there.

    Returns
    -------
    Prepared
        Its signature and its runnable.

    Raises
    ------
    ModelError
        If the file is missing or broken.
    UnsupportedError
        If the backend cannot run the model.
    BackendUnavailableError
        If the backend's package is not installed.
    """
    chosen = backends.get(backend) if isinstance(backend, str) else backend
    if isinstance(chosen, SigningBackend):
        runnable, signature = chosen.prepare_signed(path, threads=threads, **options)
        return Prepared(signature, chosen, runnable)
    from pathlib import Path

    from pelemay.importers import load

    signature = Signature.of(load(path))
    return Prepared(signature, chosen, chosen.prepare(Path(path), threads=threads, **options))


class Compiled(NamedTuple):
    """What one file holds, and the file."""

    programs: tuple[Program, ...]
    file: Written

    @property
    def program(self) -> Program:
        """The first of them."""
        return self.programs[0]


def compile(
    source: str | Path | Model,
    output: str | Path,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, Any] | None = None,
    cases: Sequence[Case] = (),
    target: Target | None = None,
    allow_fallback: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Compiled:
    """Compile a model to a ``.plm`` file, which the engine runs without the model.

    Parameters
    ----------
    source : str, Path or Model
        An ONNX file.
    output : str or Path
        Written in a stream; whole, or not there at all.
    shapes : mapping, optional
        Input name to shape, for inputs whose sizes the model leaves open; sizes that stay open
        become 1.
    values : mapping, optional
        Input name to value, for inputs that decide the sizes of others; the program is right
        for these values only.
    cases : sequence of Case, optional
        Several sets of shapes instead: one file, one plan for each of them, the weights once.
    target : Target, optional
        How much memory a run may take, and how weights are stored.
    allow_fallback : bool
        Whether nodes that have no instruction may be left to the reference backend.
    progress : callable, optional
        Called with the bytes of weights written, and the bytes in all.

    Raises
    ------
    ModelError
        If the file is missing or broken.
    InputError
        If an input's size is not known, a shape does not fit, or the file cannot be written.
    UnsupportedError
        If something has to fall back and may not; it names the nodes.
    MemoryLimitError
        If no program takes as little as the target says.
    ExecutionError
        If a file of the model became shorter; nothing is written then.
    """
    from pelemay.cases import Case
    from pelemay.importers import load
    from pelemay.program.describe import refuse_fallbacks
    from pelemay.program.plans import Plans
    from pelemay.program.write import write_program

    model = load(source) if isinstance(source, (str, os.PathLike)) else source
    wanted = cases or (Case({name: tuple(shape) for name, shape in (shapes or {}).items()}),)
    with model.intact():
        programs = [program for case in wanted for program in lowered(model, case, values, target)]
        for program in programs if not allow_fallback else ():
            refuse_fallbacks(program.metadata)
        plans = Plans.of(programs, model.release)
    file = write_program(plans, output, progress=progress, source=model)
    return Compiled(plans.programs, file)


def lowered(
    model: Model,
    case: Case,
    values: Mapping[str, Any] | None = None,
    target: Target | None = None,
) -> list[Program]:
    """The programs of a case, their weights not yet made; parameters as for :func:`compile`.

    Raises
    ------
    MemoryLimitError
        If no program takes as little as the target says.
    UnsupportedError
        If a range has to be cut into too many programs.
    """
    if not case.spans:
        return [lower(model, bound_shapes(model, case), values, target)]
    from pelemay.ranges import Request, Sized, ranged
    from pelemay.target import Target

    arrays = _arrays(model, values or {})
    numbers = [span.numbers for span in case.spans.values()]

    def sized(first: int, second: int) -> Sized:
        bound = bound_shapes(model, case, first + second * len(numbers[0]))
        shapes = _closed(model, bound, arrays)
        return Sized(shapes, _facts(model, shapes, arrays))

    def describe(span: Span, compiled: int) -> dict[str, Any]:
        return _described(model, case, span, compiled, sized)

    second = numbers[1] if len(numbers) > 1 else (0,)
    request = Request(model.graph, (numbers[0], second), sized, arrays, target or Target())
    with model.intact():
        return ranged(request, describe)


def _described(
    model: Model, case: Case, span: Span, compiled: int, sized: Callable[[int, int], Sized]
) -> dict[str, Any]:
    """What a program for some sizes of a range says of them; nothing where it is for one."""
    from pelemay.passes.bind import open_sizes

    names, ends = {}, {}
    for (name, of_case), numbers in zip(case.spans.items(), span.axes, strict=False):
        if len(numbers) > 1:
            names.update({name: name, **case.followers(name)})
            sizes = [of_case.numbers[number] for number in numbers]
            ends[name] = [sizes[0], sizes[-1], sizes[1] - sizes[0]]
    if not ends:
        return {}
    largest = sized(span.first[-1], span.second[-1]).shapes
    shapes: dict[str, list[Any]] = {n: list(shape) for n, shape in largest.items()}
    for n, shape in open_sizes(model.graph).items():
        if n in shapes and n not in case.shapes:
            shapes[n] = [names.get(str(d), size) for d, size in zip(shape, shapes[n], strict=True)]
    return {"shapes": shapes, "range": ends, "compiled": compiled}


def bound_shapes(model: Model, case: Case, number: int = 0) -> dict[str, tuple[int, ...]]:
    """The shapes of the open inputs of a model, for one of the sets of a case.

    Raises
    ------
    InputError
        If no size of the model has a name that the case binds.
    """
    from pelemay.passes.bind import open_sizes

    opened, sizes = open_sizes(model.graph), case.sizes(number)
    names = {size for shape in opened.values() for size in shape if isinstance(size, str)}
    for name in sizes:
        if name not in names:
            known = ", ".join(sorted(names)) or "none, use --shape"
            raise InputError(f"no input has a size named '{name}'", hint=f"names are: {known}")
    found = {name: tuple(shape) for name, shape in case.shapes.items()}
    for name, shape in opened.items():
        if name not in found and any(size in sizes for size in shape):
            found[name] = tuple(_size(size, sizes) for size in shape)
    return found


def _size(size: Any, sizes: Mapping[str, int]) -> int:
    return size if isinstance(size, int) else sizes.get(size, 1)


def plan(
    model: Model,
    shapes: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, Any] | None = None,
    target: Target | None = None,
) -> Planned:
    """Plan the memory of a model's run; parameters as for :func:`compile`.

    The plan leaves out nodes whose results have no size before the run; the program says which.
    """
    from pelemay.compilation import planned

    arrays = _arrays(model, values or {})
    bound = _closed(model, shapes or {}, arrays)
    facts = _facts(model, bound, arrays)
    with model.intact():
        return planned(model.graph, bound, arrays, target=target, metadata=facts)


def curve(
    model: Model,
    shapes: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, Any] | None = None,
) -> Curve:
    """The plans of a model's run for all sizes of the arena; parameters as for :func:`compile`."""
    from pelemay import compilation

    arrays = _arrays(model, values or {})
    with model.intact():
        return compilation.curve(model.graph, _closed(model, shapes or {}, arrays), arrays)


def budgets(
    model: Model,
    shapes: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, Any] | None = None,
    *,
    weights: str = "f32",
) -> Budgets[Planned]:
    """The programs of a model within budgets; parameters as for :func:`compile`."""
    from pelemay import compilation

    arrays = _arrays(model, values or {})
    bound = _closed(model, shapes or {}, arrays)
    facts = _facts(model, bound, arrays)
    with model.intact():
        return compilation.budgets(model.graph, bound, arrays, metadata=facts, weights=weights)


def lower(
    model: Model,
    shapes: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, Any] | None = None,
    target: Target | None = None,
) -> Program:
    """The program of a model, its weights not yet made; parameters as for :func:`compile`."""
    return plan(model, shapes, values, target).program


def _facts(
    model: Model, shapes: Mapping[str, tuple[int, ...]], values: Mapping[str, Any]
) -> dict[str, Any]:
    """What the program should say of the model."""
    from pelemay.program.describe import metadata

    return metadata(
        Signature.of(model).to_metadata(),
        sources=[source.description for source in model.sources],
        shapes=shapes,
        values=values,
    )


def _arrays(model: Model, values: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """The values given, as arrays of their inputs' types."""
    import numpy as np

    types = {value.name: value.dtype.numpy for value in model.inputs if value.dtype is not None}
    types.update((name, c.dtype.numpy) for name, c in model.graph.constants.items())
    return {name: np.asarray(value, types.get(name)) for name, value in values.items()}


def _closed(
    model: Model, shapes: Mapping[str, Sequence[int]], values: Mapping[str, Any]
) -> dict[str, tuple[int, ...]]:
    """The shapes given, and those of other inputs that are open, each open size 1."""
    from pelemay.passes.bind import open_sizes

    found = {name: tuple(shape) for name, shape in shapes.items()}
    for name, shape in open_sizes(model.graph).items():
        if name not in found and name not in values:
            found[name] = tuple(size if isinstance(size, int) else 1 for size in shape)
    return found
