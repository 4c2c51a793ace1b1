"""`gateway replay`: send a part of the log to a sink once more."""

from pathlib import Path

import click

from gateway.commands.asking import configuration, do


@click.command()
@click.argument("sink")
@click.option("--from", "first", type=click.IntRange(1), required=True, help="First number (`seq`) to send.")
@click.option(
    "--to", "last", type=click.IntRange(1), default=2**62, help="Last number; the newest one sent so far."
)
@click.pass_obj
def replay(path: Path | None, sink: str, first: int, last: int) -> None:
    """Send events to a sink once more, with their old ids; the account does not count them twice."""
    do(configuration(path), "/replay", {"sink": sink, "first": first, "last": last})
