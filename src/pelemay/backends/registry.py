"""Which backends there are: pelemay's own two, and entry points of the group ``pelemay.backends``.

In: a name. Out: a backend, imported only now. Another package adds one with

.. code-block:: toml

    [project.entry-points."pelemay.backends"]
    mine = "my_package.my_module:MyBackend"

>>> "reference" in names()
True
>>> get("pelemay.backends.reference:ReferenceBackend").name
'reference'
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any, cast

from pelemay.backends.packages import why_missing
from pelemay.backends.protocol import Backend
from pelemay.errors import BackendUnavailableError, InputError

GROUP = "pelemay.backends"
OWN = {
    "native": "pelemay.backends.native:NativeBackend",
    "reference": "pelemay.backends.reference:ReferenceBackend",
}
"""These need no packages: they are found without reading what is installed, which takes 3 MiB."""

ALIASES = {"pelemay": "native", "jax": "xla", "openxla": "xla", "ort": "onnxruntime"}
"""Other names; ``pelemay`` stands for pelemay's own backend."""


def names() -> tuple[str, ...]:
    """The names of all backends, installed packages or not, pelemay's own first."""
    return (*OWN, *sorted(_points().keys() - OWN.keys()))


def get(name: str) -> Backend:
    """The backend of that name.

    Parameters
    ----------
    name : str
        One of :func:`names`, an alias such as ``"pelemay"``, or ``"module:attribute"`` for a
        class or factory that no entry point names.

    Returns
    -------
    Backend
        A new object; its packages are there, but not yet imported.

    Raises
    ------
    InputError
        If there is no such backend; the message has the names that are close.
    BackendUnavailableError
        If a package that it needs is not installed, or its own module cannot be imported.

    Examples
    --------
    >>> get("pelemay").name
    'native'
    >>> get("refrence")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    pelemay.errors.InputError: there is no backend 'refrence'. did you mean 'reference'? ...
    """
    factory = _factory(name)
    if reason := why_missing(factory):
        raise BackendUnavailableError(reason, where=f"backend '{name}'")
    return cast(Backend, factory())


def available() -> dict[str, str | None]:
    """Every backend's name, and the reason why it cannot be used here, or None.

    Looks for packages without importing them.

    >>> available()["reference"] is None
    True
    """
    return {name: _reason(name) for name in names()}


def _reason(name: str) -> str | None:
    try:
        return why_missing(_factory(name))
    except BackendUnavailableError as error:
        return error.what


def _factory(name: str) -> Any:
    place = name if ":" in name else _place(ALIASES.get(name, name))
    module, _, attribute = place.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except Exception as error:
        raise BackendUnavailableError(
            f"{place} cannot be loaded: {error}", where=f"backend '{name}'"
        ) from error


def _place(name: str) -> str:
    """``module:attribute`` of a backend's class or factory."""
    found = OWN.get(name) or _points().get(name)
    if found is not None:
        return found
    from difflib import get_close_matches

    close = get_close_matches(name, [*names(), *ALIASES], n=3, cutoff=0.5)
    guess = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    raise InputError(
        f"there is no backend '{name}'", hint=f"{guess}Backends are {', '.join(names())}"
    )


@cache
def _points() -> dict[str, str]:
    from importlib.metadata import entry_points

    return {point.name: point.value for point in entry_points(group=GROUP)}
