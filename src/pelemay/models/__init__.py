"""Networks by name: downloaded once, or built here where there is no network.

In: a name of the catalogue. Out: a :class:`ModelFile`, which says where the file lies and
whether it is the original or a stand-in.

>>> find("resnet101-v1-7").size_bytes
178914043
>>> len(available()) > 10
True
"""

from __future__ import annotations

import difflib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pelemay.errors import DownloadError, InputError
from pelemay.models import cache
from pelemay.models.catalogue import ENTRIES, CatalogueEntry
from pelemay.models.download import Progress, UnreachableError, download

__all__ = ["CatalogueEntry", "ModelFile", "Progress", "available", "find", "get", "path"]

logger = logging.getLogger(__name__)

StandIn = Literal["auto", "never", "always"]

# Holds a name once no server could be reached: a process does not wait for the network twice.
_unreachable: set[str] = set()


@dataclass(frozen=True)
class ModelFile:
    """A model file that is whole and lies in the cache.

    Attributes
    ----------
    path : Path
        Where it lies.
    entry : CatalogueEntry
        The row that it belongs to.
    is_stand_in : bool
        Whether it was built here with random weights.
    sha256 : str
        Of the file itself.
    """

    path: Path
    entry: CatalogueEntry
    is_stand_in: bool
    sha256: str


def available() -> tuple[CatalogueEntry, ...]:
    """All rows of the catalogue, the three of the original benchmark first."""
    return ENTRIES


def find(name: str) -> CatalogueEntry:
    """The row of a network.

    Parameters
    ----------
    name : str
        Its name or file name.

    Raises
    ------
    InputError
        If there is none; names that are close are in the hint.

    Examples
    --------
    >>> find("squeezenet1.1-7.onnx").name
    'squeezenet1.1-7'
    >>> find("resnet101")
    Traceback (most recent call last):
    pelemay.errors.InputError: there is no model 'resnet101' in the catalogue. \
Did you mean 'resnet101-v1-7'? `pelemay models list` shows all.
    """
    for entry in ENTRIES:
        if name in (entry.name, entry.file_name, entry.stand_in_file_name):
            return entry
    names = [entry.name for entry in ENTRIES]
    beginning = [other for other in names if name and other.startswith(name)]
    close = beginning or difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    guess = f"Did you mean {' or '.join(map(repr, close))}? " if close else ""
    raise InputError(
        f"there is no model {name!r} in the catalogue",
        hint=f"{guess}`pelemay models list` shows all.",
    )


def path(name: str) -> Path | None:
    """Where a network lies if it is in the cache: the original, else the stand-in, else None.

    Raises
    ------
    InputError
        If the catalogue has no such name.
    """
    entry = find(name)
    for place in (_original_path(entry), _stand_in_path(entry)):
        if cache.digest(place) is not None:
            return place
    return None


def get(name: str, *, stand_in: StandIn = "auto", progress: Progress | None = None) -> ModelFile:
    """A network's file: from the cache, from the network, or built here.

    Parameters
    ----------
    name : str
        Name or file name of a row of the catalogue.
    stand_in : {"auto", "never", "always"}
        "auto" takes the original if it is in the cache or can be downloaded, else the
        stand-in, with a warning in the log that says why; with ``PELEMAY_OFFLINE=1`` in the
        environment no download is tried.
    progress : Progress, optional
        A progress bar, for downloading and for building.

    Returns
    -------
    ModelFile

    Raises
    ------
    InputError
        If the catalogue has no such name, or ``stand_in`` is none of the three.
    DownloadError
        If ``stand_in`` is "never" and the original cannot be had.
    """
    if stand_in not in ("auto", "never", "always"):
        raise InputError(
            f"stand_in={stand_in!r} is not allowed", hint="Use 'auto', 'never' or 'always'."
        )
    entry = find(name)
    if stand_in == "always" or (stand_in == "auto" and not entry.urls):
        return _stand_in(entry, progress)
    try:
        return _original(entry, progress)
    except DownloadError as error:
        if stand_in == "never":
            raise
        logger.warning(
            "%s: using a stand-in (same architecture, size and encoding, random weights), "
            "because %s",
            entry.name,
            error,
        )
        return _stand_in(entry, progress)


def _original(entry: CatalogueEntry, progress: Progress | None) -> ModelFile:
    place = _original_path(entry)
    digest = _adopt(entry, place)
    if digest is None:
        _require_network(entry)
        try:
            digest = download(
                entry.urls,
                place,
                size_bytes=entry.size_bytes,
                sha256=entry.sha256,
                progress=progress,
            )
        except UnreachableError:
            _unreachable.add(entry.name)
            raise
    return ModelFile(place, entry, is_stand_in=False, sha256=digest)


def _adopt(entry: CatalogueEntry, place: Path) -> str | None:
    """Digest of the original in the cache, or None.

    A file without a record was put there by hand: it is taken if the catalogue vouches for it.
    One that is not right stays where it is until a right one takes its place.
    """
    digest = cache.digest(place)
    if digest is None and place.exists() and cache.sha256_of(place) == entry.sha256:
        digest = entry.sha256
        cache.record(place, digest)
    if digest is not None and entry.sha256 in (None, digest):
        return digest
    if place.exists():
        logger.warning("%s is not the original (its SHA-256 differs) and is not used", place)
    return None


def _require_network(entry: CatalogueEntry) -> None:
    if not entry.urls:
        raise DownloadError("there is no original of this network", where=entry.name)
    if os.environ.get("PELEMAY_OFFLINE", "0") not in ("", "0"):
        raise DownloadError(
            "downloads are off (PELEMAY_OFFLINE is set)",
            where=entry.name,
            hint=f"Unset it, or put {entry.file_name} in {cache.folder()}.",
        )
    if _unreachable:
        raise UnreachableError(
            "the network was out a moment ago and is not tried again in this process",
            where=entry.name,
        )


def _stand_in(entry: CatalogueEntry, progress: Progress | None) -> ModelFile:
    place = _stand_in_path(entry)
    digest = cache.digest(place)
    if digest is None:
        digest = _build(entry, place, progress)
    return ModelFile(place, entry, is_stand_in=True, sha256=digest)


def _build(entry: CatalogueEntry, place: Path, progress: Progress | None) -> str:
    from pelemay.models import standins
    from pelemay.models.standins import writer

    blueprint = standins.blueprint(entry.architecture, stand_in_for=entry.name)
    if progress is not None:
        progress.total = writer.size_bytes(blueprint)
    told = None if progress is None else progress.update
    try:
        with cache.replacing(place) as part:
            digest = writer.write(blueprint, part, seed=standins.SEED, progress=told)
        cache.record(place, digest)
    except OSError as error:
        raise DownloadError(
            f"the stand-in cannot be written ({error.strerror})",
            where=str(place),
            hint="Free some space, or set PELEMAY_CACHE to another folder.",
        ) from error
    if progress is not None:
        progress.close()
    return digest


def _original_path(entry: CatalogueEntry) -> Path:
    return cache.folder() / entry.file_name


def _stand_in_path(entry: CatalogueEntry) -> Path:
    from pelemay.models.standins import GENERATION

    return cache.folder() / f"stand-ins-{GENERATION}" / entry.stand_in_file_name
