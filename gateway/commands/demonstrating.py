"""`gateway demo`."""

import asyncio
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import click

from gateway.commands.asking import FAULT, as_json, give_up, show
from gateway.commands.written import own_folder
from gateway.control.client import Client
from gateway.errors import GatewayError


@click.command()
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="End by itself after so long.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    callback=own_folder,
    help="Keep everything in this empty directory instead of a temporary one.",
)
@click.option(
    "--speed",
    type=click.FloatRange(0.1, 600),
    default=1.0,
    show_default=True,
    help="How fast the devices' clocks run; above 1 they go ahead of ours.",
)
@click.option("--plain", is_flag=True, help="Print a line every few seconds instead of a live view.")
@click.option("--calm", is_flag=True, help="Let nothing go wrong on purpose.")
@click.option(
    "--broker",
    type=click.Choice(["mosquitto", "iotcore"]),
    help="Which MQTT broker to start; mosquitto if it is installed.",
)
@as_json
def demo(
    *,
    minutes: float | None,
    directory: Path | None,
    speed: float,
    plain: bool,
    calm: bool,
    broker: Literal["mosquitto", "iotcore"] | None,
    as_json: bool,
) -> None:
    """Show the whole gateway on this machine: devices, broker, upstream, an outage of each, and the account.

    It listens on 127.0.0.1 only. Ctrl-C ends it. Exit status 0: the account balances and everything arrived.
    """
    from gateway.simulate import demo as showing  # noqa: PLC0415 - with all it needs, only for this command
    from gateway.simulate.demo.screen import can_draw  # noqa: PLC0415
    from gateway.simulate.demo.verdict import as_json as to_json  # noqa: PLC0415
    from gateway.simulate.demo.verdict import as_text  # noqa: PLC0415
    from gateway.simulate.demo.views import LiveView, PlainView  # noqa: PLC0415

    wish = showing.Wish(
        length_s=None if minutes is None else minutes * 60,
        directory=directory,
        speed=speed,
        calm=calm,
        broker=broker,
        program=_program(),
    )
    lines = plain or as_json or not can_draw(sys.stdout)
    view = PlainView(lambda text: click.echo(text, err=as_json)) if lines else LiveView(sys.stdout)
    try:
        account = asyncio.run(showing.run(wish, _ask, view))
    except GatewayError as error:
        give_up(str(error))
    if as_json:
        show(to_json(account))
    else:
        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 80
        click.echo("\n" + "\n".join(as_text(account, columns)))
    sys.exit(0 if account.ok else FAULT)


def _ask(socket: Path, path: str) -> Mapping[str, Any]:
    return Client(socket).get(path)


def _program() -> str:
    """Say what a person types in this directory to call us."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{shlex.quote(_near(Path(sys.executable)))} -m gateway"
    found = shutil.which(called.name)
    if found and Path(found).resolve() == called.resolve():
        return called.name
    return shlex.quote(_near(called.absolute()))


def _near(path: Path) -> str:
    here = Path.cwd()
    return os.path.relpath(path, here) if path.is_relative_to(here) else str(path)
