"""`gateway capture`: record the pushes of one device, masked, for support."""

import math
from pathlib import Path
from typing import cast

import click

from gateway.commands.asking import FAULT, as_json, configuration, give_up, plain, read, show, table
from gateway.config import Config
from gateway.control import captures
from gateway.control.client import Client, DaemonDown
from gateway.errors import GatewayError

Row = dict[str, object]

_COLUMNS = {
    "device": "DEVICE",
    "running": "RUNNING",
    "from": "FROM",
    "until": "UNTIL",
    "lines": "LINES",
    "bytes": "BYTES",
    "missed": "MISSED",
    "file": "FILE",
}


@click.command()
@click.argument("device", required=False)
@click.option("--minutes", type=float, default=30.0, show_default=True, help="How long, at most a day.")
@click.option("--list", "list_", is_flag=True, help="List the captures that run and those that are kept.")
@click.option("--stop", is_flag=True, help="End the capture of this device; without a device, all.")
@as_json
@click.pass_obj
def capture(
    path: Path | None, device: str | None, *, minutes: float, list_: bool, stop: bool, as_json: bool
) -> None:
    """Record each push of a device, named by its id, serial number or address, until the time is over.

    Names, numbers of people, pictures and secrets are masked before anything is written. The gateway ends it by
    itself; this command does not have to wait.
    """
    if list_ and (device or stop):
        give_up("--list stands alone.")
    if not math.isfinite(minutes):
        give_up("--minutes is a number of minutes.")
    config = configuration(path)
    if list_:
        _list(config, as_json=as_json)
        return
    if not device and not stop:
        give_up("Say which device, by its id, serial number or address; or --list, or --stop.")
    wish: dict[str, object] = (
        {"device": device, "stop": True} if stop else {"device": device, "minutes": minutes}
    )
    try:
        told = cast("Row", Client(config.socket).post("/capture", wish)["done"])
    except DaemonDown as down:
        give_up(down.told_with("Start it first: only the running gateway sees pushes."))
    except GatewayError as error:
        give_up(str(error), FAULT)
    if as_json:
        show(told)
    elif stop:
        stopped = cast("list[str]", told["stopped"])
        click.echo("\n".join(f"Stopped: {plain(file)}" for file in stopped) or "No capture was running.")
    else:
        click.echo(f"Capturing {plain(told['device'])} until {told['until']} into {plain(told['file'])}")


def _list(config: Config, *, as_json: bool) -> None:
    rows = cast("list[Row]", read(config, "captures", lambda _conn: captures.files(config.store.path)))
    if as_json:
        show(rows)
    elif rows:
        table(rows, _COLUMNS)
    else:
        click.echo("There are no captures.")
