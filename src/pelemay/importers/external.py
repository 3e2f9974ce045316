"""Tensors whose elements lie in other files of the model's folder.

In: the entries of ``TensorProto.external_data``. Out: the file, mapped once, and the place in it.
The optional checksum is not compared: it would read the whole file.

>>> ExternalFiles(None).payload({"location": "weights.bin"}, 4)
Traceback (most recent call last):
pelemay.errors.ModelError: external data needs a folder, and the model has none. load it by path
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

from pelemay.errors import ModelError
from pelemay.importers.scan import RAW_DATA, Payload, Segment
from pelemay.importers.source import Source


@dataclass(frozen=True)
class ExternalFiles:
    """The files beside a model, each opened once.

    Parameters
    ----------
    folder : Path or None
        The model's folder; None if there is none, and then no external data either.
    """

    folder: Path | None
    _opened: dict[Path, Source] = field(default_factory=dict)

    def payload(self, entries: Mapping[str, str], needed: int) -> tuple[Source, Payload]:
        """Where the ``needed`` bytes lie that ``entries`` describe.

        Raises
        ------
        ModelError
            If the path leaves the folder, the file is missing or too short, or a number is
            not one.
        """
        source = self._open(entries.get("location", ""))
        offset = _number(entries, "offset", 0)
        length = _number(entries, "length", needed)
        if length != needed:
            raise ModelError(f"external data has {length} bytes, and {needed} are needed")
        if offset + length > source.size:
            raise ModelError(
                f"external data needs bytes {offset} to {offset + length}, but"
                f" {source.path} has {source.size}",
                hint="the file is truncated, or belongs to another model",
            )
        return source, Payload((Segment(RAW_DATA, offset, length, 0, -1),), external=False)

    @property
    def sources(self) -> tuple[Source, ...]:
        """The files that were opened, in that order."""
        return tuple(self._opened.values())

    def _open(self, location: str) -> Source:
        if self.folder is None:
            raise ModelError(
                "external data needs a folder, and the model has none", hint="load it by path"
            )
        path = _inside(self.folder, location)
        if path not in self._opened:
            try:
                self._opened[path] = Source.of_file(path)
            except ModelError as error:
                raise error.at(f"external data path {location!r}") from error
        return self._opened[path]


def _inside(folder: Path, location: str) -> Path:
    what = f"external data path {location!r}"
    if not location or "\0" in location or _leaves(location):
        raise ModelError(
            f"{what} is not one below the model's folder",
            hint="only relative paths without '..' are allowed",
        )
    try:
        home = folder.resolve(strict=True)
        path = (home / location).resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"{what} cannot be opened: {getattr(error, 'strerror', None) or error}",
            hint="the file must lie beside the model",
        ) from error
    if not path.is_relative_to(home):
        raise ModelError(
            f"{what} leads out of the model's folder through a symbolic link",
            hint="put the file itself into the folder",
        )
    return path


def _leaves(location: str) -> bool:
    windows, posix = PureWindowsPath(location), PurePosixPath(location)
    rooted = posix.is_absolute() or windows.drive or windows.root
    return bool(rooted) or ".." in windows.parts or ".." in posix.parts


def _number(entries: Mapping[str, str], key: str, default: int) -> int:
    text = entries.get(key)
    if text is None:
        return default
    if not re.fullmatch("[0-9]{1,19}", text):
        raise ModelError(f"external data has {key} {text!r}, which is not a number of bytes")
    return int(text)
