"""`gateway adopt`: who waits, and what becomes of it."""

import math
import sys
from pathlib import Path
from typing import cast

import click

from gateway.commands.asking import FAULT, as_json, configuration, do, give_up, plain, read, show, table
from gateway.control import waiting

Row = dict[str, object]

_COLUMNS = {
    "device": "DEVICE",
    "source": "SOURCE",
    "address": "ADDRESS",
    "serial": "SERIAL",
    "name": "NAME",
    "first": "FIRST PUSH",
    "last": "LAST PUSH",
    "pushes": "PUSHES",
    "events": "EVENTS",
    "sample": "SAMPLE",
}


@click.command()
@click.argument("device", required=False)
@click.option("--all", "everyone", is_flag=True, help="Adopt every device that waits.")
@click.option(
    "--window", type=float, metavar="MINUTES", help="Adopt unknown devices as they come; 0 ends it."
)
@click.option(
    "--ignore", metavar="DEVICE", help="Drop what is held of a device, or was sent by an address, for good."
)
@as_json
@click.pass_obj
def adopt(
    path: Path | None,
    device: str | None,
    *,
    everyone: bool,
    window: float | None,
    ignore: str | None,
    as_json: bool,
) -> None:
    """List the devices that wait, or adopt one by its id, serial number or name.

    What was held of it goes into the log as if it came now, and what it pushes later goes straight in. Of an ignored
    device this takes the ignoring back. Without a device: exit status 1 when any wait.
    """
    wishes: list[dict[str, object]] = [{"device": device}] if device else []
    wishes += [{"all": True}] if everyone else []
    wishes += [{"window_min": window}] if window is not None else []
    wishes += [{"device": ignore, "ignore": True}] if ignore is not None else []
    if window is not None and not math.isfinite(window):
        give_up("A window is a number of minutes.")
    if len(wishes) > 1:
        give_up("Ask for one thing at a time: a device, --all, --window or --ignore.")
    config = configuration(path)
    if wishes:
        do(config, "/adopt", wishes[0])
        return
    told = cast("dict[str, object]", read(config, "lobby", waiting.lobby))
    rows = cast("list[Row]", told["waiting"])
    if as_json:
        show(told)
    else:
        _print(told, rows)
    sys.exit(FAULT if rows else 0)


def _print(told: dict[str, object], rows: list[Row]) -> None:
    if rows:
        table(rows, _COLUMNS)
        click.echo(
            "\nAdopt one with `gateway adopt DEVICE`, or ignore it with `gateway adopt --ignore DEVICE`."
        )
    else:
        click.echo("No device waits.")
    if told.get("window_min"):
        click.echo(f"The window is open: unknown devices are adopted for {told['window_min']} more minutes.")
    ignored = cast("list[Row]", told["ignored"])
    if ignored:
        click.echo("\nIgnored:")
        table(ignored, {"name": "DEVICE OR ADDRESS", "since": "SINCE", "pushes": "PUSHES SINCE THE START"})
        click.echo(f"\nTake it back with `gateway adopt {plain(ignored[0]['name'])}`.")
