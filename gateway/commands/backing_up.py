"""`gateway backup`: everything that another box needs to go on where this one is, in one file."""

import sys
from pathlib import Path

import click

from gateway.commands.asking import FAULT, configuration, give_up
from gateway.errors import GatewayError

_STDOUT = "-"


@click.command()
@click.argument("file")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@click.option("--with-secrets", is_flag=True, help="Put the files of /etc/gateway/credentials in, too.")
@click.pass_obj
def backup(path: Path | None, file: str, *, force: bool, with_secrets: bool) -> None:
    """Write a backup to FILE, or to standard output if FILE is -, with the gateway running or stopped.

    In it are the store, the configuration and the pictures that are kept. It holds what personal data the store
    holds: keep it as you keep the box.
    """
    from gateway.backup import take, take_to  # noqa: PLC0415 - a command that does not need it starts faster

    config = configuration(path)
    try:
        if file != _STDOUT:
            taken = take(config, path, Path(file), force=force, secrets=with_secrets)
        elif sys.stdout.isatty():
            give_up("A backup is no text: send it to a file or a program, as in `gateway backup - > FILE`.")
        else:
            taken = take_to(config, path, sys.stdout.buffer, secrets=with_secrets)
    except GatewayError as error:
        give_up(str(error), FAULT)
    said = taken.about
    where = "standard output" if file == _STDOUT else file
    pictures = f", {taken.pictures} pictures" if taken.pictures else ""
    # Not to standard output, which may be the backup itself.
    click.echo(
        f"Gateway {said.gateway}: {said.received} events up to number {said.head}{pictures},"
        f" {_size(taken.bytes)} written to {where}.",
        err=True,
    )
    if taken.left_out:
        click.echo(f"Not in it, keep them elsewhere: {', '.join(map(str, taken.left_out))}", err=True)
    if taken.exposed:
        click.echo(
            "Others can read this file: its disk keeps no permissions. Keep the disk locked away.", err=True
        )


def _size(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
