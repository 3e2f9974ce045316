"""Where a model named on the command line lies.

In: a path, or a name of ``pelemay models list``. Out: the path of a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pelemay.cli.output import console
from pelemay.errors import ModelError, PelemayError

if TYPE_CHECKING:
    from pathlib import Path

    from pelemay.models import ModelFile

StandIn = Literal["auto", "never", "always"]


def resolve(text: str) -> Path:
    """The file that ``text`` names; networks of the catalogue are fetched or built.

    Raises
    ------
    ModelError
        If there is no such file, and no such network in the catalogue.
    """
    from pathlib import Path

    found = model_file(text)
    return found if isinstance(found, Path) else found.path


def model_file(text: str, stand_in: StandIn = "auto") -> Path | ModelFile:
    """A path as it is, or a network of the catalogue, which knows whether it is a stand-in."""
    from pathlib import Path

    path = Path(text)
    if path.exists():
        return path
    from pelemay import models

    try:
        entry = models.find(text)
    except PelemayError as error:
        what = "there is no such file, and no network of this name"
        raise ModelError(what, where=text, hint=error.hint) from error
    here = models.path(text)
    if here is not None and here.name == entry.stand_in_file_name:
        # The network is asked again by 'models get', not at every use.
        stand_in = "always"
    return fetch(text, stand_in)


def fetch(name: str, stand_in: StandIn = "auto") -> ModelFile:
    """A network of the catalogue, with a progress bar on stderr while it is fetched or built."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from pelemay import models

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    out = console(stderr=True)
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bars:
        found = models.get(name, stand_in=stand_in, progress=_Bar(bars, name))
    # Where an original was asked for in vain, a warning has said it, with the reason.
    if found.is_stand_in and (stand_in == "always" or not found.entry.urls):
        out.print(f"pelemay: {name} is a stand-in: the same architecture, random weights")
    return found


class _Bar:
    """A progress bar as pooch and the builders call it."""

    def __init__(self, bars: Any, description: str) -> None:
        self._bars = bars
        self._task = bars.add_task(description, total=None)
        self.total = 0

    def update(self, count: int) -> None:
        self._bars.update(self._task, total=self.total or None, advance=count)

    def reset(self) -> None:
        self._bars.reset(self._task, total=self.total or None)

    def close(self) -> None:
        self._bars.update(self._task, visible=False)
