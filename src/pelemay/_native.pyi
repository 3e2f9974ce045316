from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

OPCODES: tuple[str, ...]
DTYPES: tuple[str, ...]
STATUSES: tuple[str, ...]
ACTIVATIONS: tuple[str, ...]
CLASSES: tuple[str, ...]
UNARY: tuple[str, ...]
BINARY: tuple[str, ...]
SCATTERS: tuple[str, ...]
ISAS: tuple[str, ...]
FORMAT_MAJOR: int
FORMAT_MINOR: int

def memory() -> dict[str, Any]: ...

class NativeError(Exception): ...

class Program:
    inputs: tuple[tuple[str | None, str, tuple[int, ...]], ...]
    outputs: tuple[tuple[str | None, str, tuple[int, ...]], ...]
    instructions: tuple[tuple[str, str | None, int, int], ...]
    metadata: bytes
    arena_bytes: int
    weights_bytes: int
    weights_offset: int
    file_bytes: int
    def __new__(cls, source: str | PathLike[str] | bytes | memoryview) -> Program: ...
    def constant(self, number: int) -> tuple[str, tuple[int, ...], tuple[int, ...], memoryview]: ...
    def scratch_bytes(self, workers: int) -> int: ...
    def verify(self) -> None: ...

class Runner:
    workers: int
    nbytes: int
    isa: str
    def __new__(cls, program: Program, workers: int = 1, isa: str | None = None) -> Runner: ...
    def run(
        self,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        host: Callable[..., Any] | None = None,
        profile: bool = False,
    ) -> list[int] | None: ...
