"""`gateway restore`: put a backup in place, on this box or on a new one."""

import sys
from pathlib import Path

import click

from gateway.commands.asking import FAULT, give_up
from gateway.errors import GatewayError

_STDIN = "-"


@click.command()
@click.argument("file")
@click.option(
    "--backwards", is_flag=True, help="Also over a store that has got further, or that is another one."
)
@click.pass_obj
def restore(path: Path | None, file: str, *, backwards: bool) -> None:
    """Put the backup in FILE, or from standard input if FILE is -, in place. The gateway must be stopped.

    The store that is here is kept aside; no configuration and no secret that is here is replaced.
    """
    from gateway.backup import Wish, restore  # noqa: PLC0415 - a command that does not need it starts faster
    from gateway.commands import DEFAULT_PATH  # noqa: PLC0415 - it imports this module

    wish = Wish(path=path or DEFAULT_PATH, backwards=backwards)
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
        click.echo(sentence)
