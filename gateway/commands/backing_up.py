"""`gateway backup`: everything that another box needs to go on where this one is, in one file."""

import sys
from pathlib import Path

import click

from gateway.commands.asking import FAULT, configuration, give_up, plain
from gateway.config import Config
from gateway.errors import GatewayError

_STDOUT = "-"


@click.command()
@click.argument("file")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@click.option("--with-secrets", is_flag=True, help="Put the files of /etc/gateway/credentials in, too.")
@click.option("--other-disk", is_flag=True, help="Refuse when FILE would be on the disk of the store itself.")
@click.pass_obj
def backup(path: Path | None, file: str, *, force: bool, with_secrets: bool, other_disk: bool) -> None:
    """Write a backup to FILE, or to standard output if FILE is -, with the gateway running or stopped.

    In it are the store, the configuration and the pictures that are kept. It holds what personal data the store
    holds: keep it as you keep the box.
    """
    from gateway.backup import take, take_to  # noqa: PLC0415 - a command that does not need it starts faster

    config = configuration(path)
    doom = _doom(config, file, other_disk=other_disk)
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
        click.echo(f"Not in it, keep them elsewhere: {', '.join(map(plain, taken.left_out))}", err=True)
    if taken.unfit:
        click.echo(
            "Not in it, because a restore would refuse it (too large, too many, or an odd name); keep it elsewhere:"
            f" {', '.join(plain(file) for file in taken.unfit)}",
            err=True,
        )
    if taken.unfit_pictures:
        click.echo(f"Too many or too large to be in it: {taken.unfit_pictures} pictures.", err=True)
    if doom:
        click.echo(f"It is {doom}. Copy it to another disk.", err=True)
    if taken.exposed:
        click.echo(
            "Others can read this file: its disk keeps no permissions. Keep the disk locked away.", err=True
        )


def _doom(config: Config, file: str, *, other_disk: bool) -> str | None:
    """Say why the file would not outlive the store, or end there when another disk was asked for."""
    from gateway.commands.outliving import doomed  # noqa: PLC0415 - as above
    from gateway.doctor.box import Box  # noqa: PLC0415

    if file == _STDOUT:
        if other_disk:
            raise click.UsageError(
                "--other-disk does not go with -: where standard output ends is not known here."
            )
        return None
    folder = Path(file).absolute().parent
    doom = doomed(Box(config), folder) if folder.is_dir() else None
    if other_disk and doom:
        give_up(f"{file} would be {doom}. Nothing was written: is the other disk mounted?", FAULT)
    return doom


def _size(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
