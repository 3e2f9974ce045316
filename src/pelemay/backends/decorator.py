"""Wrap the operations of a backend: look at them, time them, change what they give.

In: a backend that runs operation by operation, hooks, and which operations they are for. Out: a
backend with these hooks, that can be decorated again.

>>> from pelemay.backends import get
>>> backend = decorate(get("reference"), after=lambda record: print(record.node.op), where="Conv*")
>>> backend.name
'reference'
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from pelemay.backends.protocol import Backend, Buffers, OperationByOperation, Runnable, Wrap
from pelemay.errors import InputError, UnsupportedError

if TYPE_CHECKING:
    from pathlib import Path

    from pelemay.graph import Constant, Node
    from pelemay.graph.evaluate import Executor, Value

Predicate: TypeAlias = "Callable[[Node], bool]"
Where: TypeAlias = "str | Predicate"


@dataclass(frozen=True, slots=True)
class Record:
    """One operation that runs, or ran.

    Attributes
    ----------
    node : Node
        What is applied.
    inputs : tuple
        Values as the backend holds them; None for an input that is left out.
    attributes : mapping
        The node's attributes; sub-graphs are callables.
    outputs : tuple, optional
        What it gave; None before it has run.
    time_ns : int, optional
        How long it took, its sub-graphs and ``around`` included; None before it has run.
    """

    node: Node
    inputs: tuple[Value, ...]
    attributes: Mapping[str, Any]
    outputs: tuple[Value, ...] | None = None
    time_ns: int | None = None


Hook = Callable[[Record], object]
Call = Callable[..., tuple[Any, ...]]
Around = Callable[[Call, Record], tuple[Any, ...]]


def decorate(
    backend: Backend,
    *,
    before: Hook | None = None,
    after: Hook | None = None,
    around: Around | None = None,
    where: Where = "*",
) -> OperationByOperation:
    """Wrap the operations of a backend.

    Parameters
    ----------
    backend : Backend
        One that runs operation by operation, or a decorated one.
    before : callable, optional
        ``before(record)`` is called before an operation runs.
    after : callable, optional
        ``after(record)`` is called when it has run; the record has outputs and time.
    around : callable, optional
        ``around(call, record)`` runs instead of the operation, and gives its outputs as a
        tuple; ``call(*inputs)`` runs the operation, ``call()`` with the inputs of the record.
    where : str or callable
        Which operations: a pattern for their names (``"Conv*"``), the name of a group of the
        operation table (``"convolution"``), or ``predicate(node)``.

    Returns
    -------
    OperationByOperation
        A backend whose runs call the hooks; ``backend`` is not changed.

    Raises
    ------
    UnsupportedError
        If the backend does not run operation by operation.
    InputError
        If ``where`` is neither a pattern, nor an operation, nor a group.

    Examples
    --------
    >>> from pelemay.backends.reference import ReferenceBackend
    >>> decorate(ReferenceBackend(), where="convolutions")
    Traceback (most recent call last):
    pelemay.errors.InputError: 'convolutions' names no operation and no group of operations. \
did you mean 'convolution'?
    """
    if not runs_by_operation(backend):
        raise UnsupportedError(
            f"backend '{backend.name}' runs a model as a whole, so there is no single operation "
            "to wrap",
            hint="use 'reference', 'naive' or 'torch', which run operation by operation",
        )
    hooks = _Hooks(before, after, around, predicate_of(where))
    return _Decorated(cast(OperationByOperation, backend), hooks)


def runs_by_operation(backend: Backend) -> bool:
    """Whether a backend lets its executor be wrapped.

    >>> from pelemay.backends.reference import ReferenceBackend
    >>> runs_by_operation(ReferenceBackend())
    True
    """
    return "wrap" in inspect.signature(backend.prepare).parameters


def predicate_of(where: Where) -> Predicate:
    """Which nodes are meant by a pattern, a group's name or a predicate.

    Raises
    ------
    InputError
        If it is a plain word that names neither an operation nor a group.
    """
    if callable(where):
        return where
    from pelemay.graph.operations import find, table

    groups = {row.group for row in table().values()}
    if where in groups:
        return lambda node: (row := find(node.op, node.domain)) is not None and row.group == where
    if where.islower() and where.isalpha():
        raise InputError(
            f"'{where}' names no operation and no group of operations", hint=_guess(where, groups)
        )
    return lambda node: fnmatchcase(node.op, where) or fnmatchcase(node.qualified, where)


def _guess(word: str, groups: set[str]) -> str:
    import difflib

    close = difflib.get_close_matches(word, sorted(groups), n=1)
    return f"did you mean '{close[0]}'?" if close else f"groups are {', '.join(sorted(groups))}"


@dataclass(frozen=True)
class _Hooks:
    before: Hook | None
    after: Hook | None
    around: Around | None
    chosen: Predicate


@dataclass(frozen=True)
class _HookedExecutor:
    inner: Executor
    hooks: _Hooks

    def constant(self, constant: Constant) -> Value:
        return self.inner.constant(constant)

    def run(self, node: Node, inputs: list[Value], attributes: dict[str, Any]) -> tuple[Value, ...]:
        if not self.hooks.chosen(node):
            return self.inner.run(node, inputs, attributes)
        record = Record(node, tuple(inputs), attributes)
        if self.hooks.before is not None:
            self.hooks.before(record)
        start = time.perf_counter_ns()
        outputs = self._run(record)
        done = replace(record, outputs=outputs, time_ns=time.perf_counter_ns() - start)
        if self.hooks.after is not None:
            self.hooks.after(done)
        return outputs

    def _run(self, record: Record) -> tuple[Value, ...]:
        def call(*inputs: Value) -> tuple[Value, ...]:
            chosen = list(inputs or record.inputs)
            return self.inner.run(record.node, chosen, dict(record.attributes))

        if self.hooks.around is None:
            return call()
        outputs = self.hooks.around(call, record)
        return outputs if isinstance(outputs, tuple) else (outputs,)


class _Decorated:
    def __init__(self, inner: OperationByOperation, hooks: _Hooks) -> None:
        self.name = inner.name
        self.description = inner.description
        self._inner = inner
        self._hooks = hooks

    def import_runtime(self) -> None:
        self._inner.import_runtime()

    def prepare(
        self, path: Path, *, threads: int | None = None, wrap: Wrap | None = None
    ) -> Runnable:
        def wrapped(executor: Executor) -> Executor:
            hooked = _HookedExecutor(executor, self._hooks)
            return hooked if wrap is None else wrap(hooked)

        return self._inner.prepare(path, threads=threads, wrap=wrapped)

    def parameters(self, path: Path) -> Mapping[str, Any]:
        return self._inner.parameters(path)

    def serialize(self, parameters: Mapping[str, Any]) -> Buffers:
        return self._inner.serialize(parameters)
