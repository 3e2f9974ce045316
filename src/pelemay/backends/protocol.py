"""What a backend is: one small protocol.

In: the path of an ONNX file. Out: a :class:`Runnable`, and the parameters as that backend
holds them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from pelemay.graph.evaluate import Executor
    from pelemay.signature import Signature

Tensors: TypeAlias = "Mapping[str, npt.NDArray[Any]]"
Buffers = Sequence[bytes | memoryview]
Wrap: TypeAlias = "Callable[[Executor], Executor]"


class Runnable(Protocol):
    """A model that is ready to run."""

    def run(self, feeds: Mapping[str, Any], outputs: Sequence[str] | None = None) -> dict[str, Any]:
        """Run once.

        Parameters
        ----------
        feeds : mapping
            Input name to NumPy array.
        outputs : sequence of str, optional
            Names of the outputs wanted; all if not given.

        Returns
        -------
        dict
            Output name to NumPy array, in the order asked for.
        """


class Backend(Protocol):
    """A way to import and run models; an object of it holds no model."""

    name: str
    description: str

    def import_runtime(self) -> None:
        """Import what the backend needs.

        Raises
        ------
        BackendUnavailableError
            If a package is missing; the message says how to install it.
        """

    def prepare(self, path: Path, *, threads: int | None = None) -> Runnable:
        """Make a model ready to run.

        Raises
        ------
        UnsupportedError
            If this backend cannot run the model, with the reason.
        ModelError
            If the file is broken.
        """

    def parameters(self, path: Path) -> Mapping[str, Any]:
        """Import the parameters: ONNX name to this backend's own tensor.

        Raises
        ------
        UnsupportedError
            If the backend keeps none that could be read.
        """

    def serialize(self, parameters: Mapping[str, Any]) -> Buffers:
        """Serialize what :meth:`parameters` gave, to buffers in memory."""


@runtime_checkable
class SigningBackend(Protocol):
    """A backend that knows a model's signature without the model being loaded here."""

    def prepare_signed(
        self, path: str | Path, *, threads: int | None = None, **options: Any
    ) -> tuple[Runnable, Signature]:
        """Make a model ready to run, and say what it takes and gives."""


@runtime_checkable
class LimitedBackend(Protocol):
    """A backend that keeps a limit on the memory of the whole process: ``prepare`` takes one."""

    def compiled_within(
        self,
        path: Path,
        shapes: Mapping[str, Sequence[int]],
        *,
        memory_limit: int,
        threads: int | None = None,
    ) -> Path:
        """Make what a process that may hold so many bytes can open, outside of the limit.

        Parameters
        ----------
        path : Path
            A model.
        shapes : mapping
            Of the inputs that it will be run on.
        memory_limit : int
            Bytes that the process will be allowed.
        threads : int, optional
            It will compute with.

        Returns
        -------
        Path
            What to give to ``prepare``, with the same limit.

        Raises
        ------
        MemoryLimitError
            If no run fits.
        """


class OperationByOperation(Backend, Protocol):
    """A backend that runs node by node, and lets its executor be wrapped."""

    def prepare(
        self, path: Path, *, threads: int | None = None, wrap: Wrap | None = None
    ) -> Runnable:
        """Make a model ready to run; its nodes run through ``wrap(executor)``.

        Sub-graphs run through it too, because the executor that runs a node is the one that
        its sub-graphs get.
        """
