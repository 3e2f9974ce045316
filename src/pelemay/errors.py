"""Every error that pelemay raises on purpose, in one tree.

An error says what was wrong, where, what is allowed and what to do. Exceptions of
other packages are translated where they are caught, and chained with ``from``.

>>> raise ModelError("the file ends inside field 7", where="model.onnx, byte 120",
...                  hint="download it again")
Traceback (most recent call last):
pelemay.errors.ModelError: model.onnx, byte 120: the file ends inside field 7. download it again
"""

from __future__ import annotations


class PelemayError(Exception):
    """Base of all errors that pelemay raises on purpose.

    Parameters
    ----------
    what : str
        What was wrong, and what is allowed.
    where : str, optional
        The file, byte, node or option that it was found in.
    hint : str, optional
        What the user can do about it.
    """

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what, where, hint)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text.rstrip('.')}. {self.hint}" if self.hint else text

    def at(self, where: str) -> PelemayError:
        """The same error, with an outer place put before its own."""
        joined = f"{where}, {self.where}" if self.where else where
        return type(self)(self.what, where=joined, hint=self.hint)


class ModelError(PelemayError):
    """A model file is broken, hostile, or not an ONNX model."""


class GraphError(ModelError):
    """A graph breaks a rule: a cycle, a name that is missing or defined twice, a wrong type."""


class InputError(PelemayError):
    """What the user gave to a run does not fit the model (name, dtype, shape) or an option."""


class UnsupportedError(PelemayError):
    """A model is valid, but this backend cannot run it."""


class ExecutionError(PelemayError):
    """A node failed while it ran: its operands do not fit each other, or its meaning."""


class BackendUnavailableError(PelemayError):
    """A backend exists, but the package that it needs is not installed."""


class DownloadError(PelemayError):
    """A file could not be fetched, or is not the file that was promised."""


class BenchmarkError(PelemayError):
    """A scenario failed: wrong answer, crash, killed by its limit."""


class MemoryLimitError(PelemayError):
    """A limit on memory is too small.

    Parameters
    ----------
    what, where, hint : str
        As for every error.
    least_bytes : int
        The smallest limit that would do; 0 if it is not known.
    """

    def __init__(self, what: str, *, where: str = "", hint: str = "", least_bytes: int = 0) -> None:
        super().__init__(what, where=where, hint=hint)
        self.least_bytes = least_bytes

    def at(self, where: str) -> MemoryLimitError:
        """The same error, with an outer place put before its own."""
        joined = f"{where}, {self.where}" if self.where else where
        least = self.least_bytes
        return type(self)(self.what, where=joined, hint=self.hint, least_bytes=least)


class PlanError(PelemayError):
    """A plan breaks a rule: two values overlap, or one is read after it was overwritten."""
