"""Fetch one file over HTTP so that it is either whole and right, or not there.

In: addresses, a size, a checksum. Out: the file under its final name, and its SHA-256. The
bytes go to a temporary file beside it, which is checked and then renamed. Every failure is a
:class:`~pelemay.errors.DownloadError` that says what to do.

The transport is pooch's, so a progress bar is whatever pooch accepts: an object with ``total``,
``update``, ``reset`` and ``close``.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from pelemay.errors import DownloadError
from pelemay.models import cache

logger = logging.getLogger(__name__)

# Seconds to connect, and between two packets.
_TIMEOUT_S = (5.0, 30.0)
_CHUNK_BYTES = 1 << 18


class Progress(Protocol):
    """A progress bar as pooch knows it."""

    total: int

    def update(self, count: int, /) -> None:
        """Another ``count`` bytes are done."""

    def reset(self) -> None:
        """Start again from nothing."""

    def close(self) -> None:
        """It is over."""


class UnreachableError(DownloadError):
    """No server answered: the network is out, or a name is not known."""


def download(
    urls: Sequence[str],
    path: Path,
    *,
    size_bytes: int | None = None,
    sha256: str | None = None,
    progress: Progress | None = None,
) -> str:
    """Fetch a file from the first address that serves it right.

    Parameters
    ----------
    urls : sequence of str
        Tried in this order; the next one only after a failure.
    path : Path
        The file's final place. Nothing appears there unless everything is right.
    size_bytes : int, optional
        What the size must be.
    sha256 : str, optional
        What the digest must be. Without it the first download is trusted, and its digest
        is recorded beside the file.
    progress : Progress, optional
        Told about every piece.

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    UnreachableError
        If no address could be connected to.
    DownloadError
        If no address served the file, or what came is not the file that was promised.
    """
    failures: list[DownloadError] = []
    for url in urls:
        try:
            return _download_one(url, path, size_bytes, sha256, progress)
        except DownloadError as error:
            logger.info("%s", error)
            failures.append(error)
    if not failures:
        raise DownloadError("there is no address to fetch it from", where=path.name)
    raise next((e for e in failures if not isinstance(e, UnreachableError)), failures[0])


def _download_one(
    url: str, path: Path, size_bytes: int | None, sha256: str | None, progress: Progress | None
) -> str:
    with cache.replacing(path) as part:
        with part.open("wb") as file:
            sink = _Sink(file, url, size_bytes)
            _transfer(url, sink, progress)
        digest = sink.digest.hexdigest()
        _check(url, sink.count, digest, size_bytes, sha256)
    cache.record(path, digest)
    return digest


class _Sink:
    """The file that pooch writes to: counts, hashes, and stops a server that never ends."""

    def __init__(self, file: BinaryIO, url: str, limit: int | None) -> None:
        self.file = file
        self.url = url
        self.limit = limit
        self.count = 0
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.count += len(data)
        if self.limit is not None and self.count > self.limit:
            raise DownloadError(
                f"the server sends more than the {self.limit:,} bytes that were promised",
                where=self.url,
                hint="The file there is another one; report it.",
            )
        self.digest.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


def _transfer(url: str, sink: _Sink, progress: Progress | None) -> None:
    import pooch
    import requests

    responses: list[requests.Response] = []
    fetch = pooch.HTTPDownloader(
        progressbar=progress if progress is not None else False,
        chunk_size=_CHUNK_BYTES,
        timeout=_TIMEOUT_S,
        # pooch leaves the connection of a failed download open.
        hooks={"response": lambda response, **_: responses.append(response)},
    )
    try:
        fetch(url, sink, None)
    except requests.HTTPError as error:
        raise DownloadError(
            f"the server answered {responses[-1].status_code}",
            where=url,
            hint="The file may have moved; use the stand-in, or put the file in the cache folder.",
        ) from error
    except (requests.Timeout, requests.ConnectionError) as error:
        raise _lost(url, sink, error) from error
    except (requests.RequestException, OSError) as error:
        raise DownloadError(
            f"the download failed after {sink.count:,} bytes ({type(error).__name__}: {error})",
            where=url,
            hint="Try again; nothing was kept.",
        ) from error
    finally:
        for response in responses:
            response.close()


def _lost(url: str, sink: _Sink, error: Exception) -> DownloadError:
    if sink.count:
        return DownloadError(
            f"the connection broke after {sink.count:,} bytes",
            where=url,
            hint="Try again; nothing was kept.",
        )
    return UnreachableError(
        f"the server cannot be reached ({type(error).__name__})",
        where=url,
        hint="Check the network, or set PELEMAY_OFFLINE=1 to use stand-ins without trying.",
    )


def _check(url: str, count: int, digest: str, size_bytes: int | None, sha256: str | None) -> None:
    if size_bytes is not None and count != size_bytes:
        raise DownloadError(
            f"{count:,} bytes came, {size_bytes:,} were promised",
            where=url,
            hint="Try again; nothing was kept.",
        )
    if sha256 is not None and digest != sha256:
        raise DownloadError(
            f"the SHA-256 is {digest}, not {sha256}",
            where=url,
            hint="The file there was changed or damaged; nothing was kept.",
        )
