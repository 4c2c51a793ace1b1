"""Files and folders that a command writes to where a person says: root follows nobody's link there."""

from pathlib import Path
from typing import IO, Any

import click

from gateway import foreign


class Written(click.File):
    """A file to write, or - for standard output; root opens it with the rights of whom its folder belongs to."""

    def __init__(self) -> None:
        # Not lazy: click would open it later, with other rights.
        super().__init__("w", encoding="utf-8", lazy=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> IO[Any]:
        """Open it."""
        if not isinstance(value, str) or value == "-":
            return super().convert(value, param, ctx)
        with foreign.as_owner(Path(value).absolute().parent):
            return super().convert(value, param, ctx)


def own_folder(_ctx: click.Context, _option: click.Parameter, folder: Path | None) -> Path | None:
    """Refuse a folder in which somebody else could lay links for root to write through."""
    if folder is not None and foreign.is_of_somebody_else(folder):
        raise click.BadParameter(f"{folder} belongs to somebody else: name a folder of your own.")
    return folder
