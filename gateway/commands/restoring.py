"""`gateway restore`: put a backup in place, on this box or on a new one."""

import sys
from pathlib import Path

import click

from gateway.commands.asking import FAULT, give_up, say
from gateway.config import load
from gateway.errors import GatewayError

_STDIN = "-"


@click.command()
@click.argument("file")
@click.option(
    "--backwards", is_flag=True, help="Also over a store that has got further, or that is another one."
)
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    help="The folder for the store, if the configuration in the backup names another than the usual one.",
)
@click.pass_obj
def restore(path: Path | None, file: str, *, backwards: bool, store: Path | None) -> None:
    """Put the backup in FILE, or from standard input if FILE is -, in place. The gateway must be stopped.

    The store that is here is kept aside; no configuration and no secret that is here is replaced.
    """
    from gateway.backup import Wish, restore  # noqa: PLC0415 - a command that does not need it starts faster
    from gateway.commands import DEFAULT_PATH  # noqa: PLC0415 - it imports this module

    wish = Wish(path=path or DEFAULT_PATH, backwards=backwards, store=store)
    try:
        if file == _STDIN:
            done = restore(sys.stdin.buffer, wish)
        else:
            with Path(file).open("rb") as source:
                done = restore(source, wish)
    except OSError as error:
        give_up(f"{file} cannot be read: {error.strerror}.")
    except GatewayError as error:
        give_up(str(error), FAULT)
    for sentence in done.sentences():
        say(sentence)
    try:
        load(wish.path if wish.path.exists() else None)
    except GatewayError:
        click.echo(
            "`gateway check` finds a mistake in the configuration of this box: correct it before you start."
        )
