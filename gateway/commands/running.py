"""`gateway run`."""

import sys
from pathlib import Path

import click

from gateway.config import running


@click.command()
@click.pass_obj
def run(path: Path | None) -> None:
    """Run the gateway until it is told to stop."""
    from gateway.daemon import run as run_daemon  # noqa: PLC0415 - the daemon is heavy; only this command needs it

    with running():
        status = run_daemon(path)
    sys.exit(status)
