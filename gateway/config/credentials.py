"""Where a secret lies that the configuration names by its bare name.

The daemon has copies that systemd hands over at the start: with ``LoadCredential=gateway:/etc/gateway/credentials``
each is called ``gateway_NAME``. A command that root runs outside of the unit looks where those come from: the
folder ``credentials`` beside the configuration file, and the one of the unit.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from gateway.foreign import as_owner

CREDENTIALS = Path("/etc/gateway/credentials")
HANDED_OVER = Path("/run/credentials/gateway.service")
MOST_BYTES = 1_000_000  # of all together, with their names: above 1 MiB systemd does not start the unit
MOST_BYTES_OF_ONE = 900_000  # a secret has a few bytes, but a person may have a bundle of authorities here
_PREFIX = "gateway_"  # the first word of LoadCredential= in the unit
_BESIDE: ContextVar[Path] = ContextVar("credentials", default=CREDENTIALS)
# The folder of whoever wrote the names that are read; None: root, or who types the command.
_SAID_BY: ContextVar[Path | None] = ContextVar("said by", default=None)


@contextmanager
def beside(config: Path | None) -> Iterator[None]:
    """Look for secrets beside this configuration file while one is read."""
    folder = CREDENTIALS if config is None else config.absolute().parent / "credentials"
    token = _BESIDE.set(folder)
    try:
        yield
    finally:
        _BESIDE.reset(token)


@contextmanager
def said_by_owner_of(folder: Path) -> Iterator[None]:
    """Read what the gateway's own user wrote: a path in it opens what he may open, a bare name what he is handed over."""
    token = _SAID_BY.set(folder)
    try:
        yield
    finally:
        _SAID_BY.reset(token)


@contextmanager
def rights_for(path: Path) -> Iterator[None]:
    """Have the rights of whoever named this file."""
    folder = _SAID_BY.get()
    if folder is None or (path.parent in _folders() and folder not in path.parents):
        yield
        return
    with as_owner(folder):
        yield


def find(name: str) -> Path | None:
    """Find a secret by its bare name; None when there is none."""
    return next((path for path in _places(name) if os.path.lexists(path)), None)


def moved(path: Path) -> Path:
    """Give the copy of a file in the unit's folder, which only root may read; any other path as it is."""
    copy = _given()
    found = find(path.name) if copy and path.parent == CREDENTIALS else None
    return found or path


def kept_name(value: str) -> str | None:
    """Give the name of a secret that came from a card, or that systemd handed over, by its path; None for any other file."""
    name = Path(value).name
    if "\0" not in value and Path(os.path.realpath(HANDED_OVER)) in Path(os.path.realpath(value)).parents:
        return name.removeprefix(_PREFIX)
    return name if name.startswith("card-") else None


def searched() -> str:
    """Say where a bare name was looked for, for a message."""
    if copy := _given():
        return f"{copy}, where systemd put copies of the files in {CREDENTIALS} at the start"
    return " or ".join(map(str, _folders()))


def cure() -> str:
    """Say how a secret that was not found gets there."""
    folder = CREDENTIALS if _given() else _folders()[0]
    if not _given() and any(_forbidden(place) for place in _folders()):
        return "only root may look there: run this command with sudo"
    return (
        f"as root, run: install -D -m 600 /dev/stdin {folder}/NAME, type the secret, then Enter and Ctrl-D;"
        " a gateway that runs sees it after: systemctl restart gateway"
    )


def too_large(sizes: Mapping[str, int]) -> str | None:
    """Say why the unit could not be started with these files in the folder, by the name of each; None when it can."""
    for name, size in sizes.items():
        if size > MOST_BYTES_OF_ONE:
            return f"{name} has {size} bytes, and a secret may have {MOST_BYTES_OF_ONE}"
    together = sum(len(_PREFIX) + len(name.encode()) + size for name, size in sizes.items())
    if together > MOST_BYTES:
        return f"the secrets would have {together} bytes together, and systemd hands over {MOST_BYTES}"
    return None


def _given() -> str:
    return os.environ.get("CREDENTIALS_DIRECTORY", "")


def _folders() -> list[Path]:
    return list(dict.fromkeys((_BESIDE.get(), CREDENTIALS)))


def _places(name: str) -> Iterator[Path]:
    if copy := _given():
        yield Path(copy, _PREFIX + name)
        yield Path(copy, name)
    else:
        for folder in _folders():
            yield folder / name


def _forbidden(folder: Path) -> bool:
    try:
        return folder.is_dir() and not os.access(folder, os.X_OK)
    except OSError:  # the folder above it is closed already
        return True
