"""`gateway devices`: who pushes, what was counted today, and what a device is pinned to."""

import sqlite3
from datetime import tzinfo
from pathlib import Path
from typing import cast

import click

from gateway.commands.asking import FAULT, as_json, configuration, give_up, plain, read, show, table
from gateway.commands.pinned import never_pushed, with_pins
from gateway.config import Config
from gateway.control import views
from gateway.outbox import site_zone

Row = dict[str, object]
_UNKNOWN = "unknown"
_COLUMNS = {
    "device": "DEVICE",
    "name": "NAME",
    "address": "ADDRESS",
    "liveness": "STATE",
    "last_seen": "LAST SEEN",
    "enters_today": "IN TODAY",
    "exits_today": "OUT TODAY",
    "allowed_today": "ALLOWED",
    "clock_offset_s": "CLOCK S",
}


@click.command()
@click.argument("device", required=False)
@click.option("--pins", is_flag=True, help="Print sections that pin each device to its address, to copy.")
@click.option("--day", metavar="DAY", help="Show one day of the device: 2026-11-20, today or yesterday.")
@as_json
@click.pass_obj
def devices(path: Path | None, device: str | None, *, pins: bool, day: str | None, as_json: bool) -> None:
    """List the devices, or show one named by id, serial number or label."""
    config = configuration(path)
    if day is not None:
        if device is None:
            give_up("Say which device: gateway devices DEVICE --day 2026-11-20")
        from gateway.commands.counting import print_day  # noqa: PLC0415 - only here

        print_day(config, device, day, as_json=as_json)
    zone = site_zone(config.site.zone)
    device = _chosen(config, device)
    query = {"device": device} if device else {}
    rows = cast("list[Row]", read(config, "devices", lambda conn: _left(config, conn, zone, device), **query))
    rows = with_pins(config, rows)
    if pins:
        from gateway.commands.pinning import print_pins  # noqa: PLC0415 - only here

        print_pins(config, rows)
    elif as_json:
        show(rows)
    elif device:
        _print_each(rows)
    else:
        _print_devices(config, rows)
    if device and not rows:
        give_up(f"No device is called {plain(device)}; `gateway devices` lists them.", FAULT)


def _print_each(rows: list[Row]) -> None:
    for number, row in enumerate(rows):
        if number:
            click.echo()  # two devices may have one name
        for name, value in row.items():
            click.echo(f"{name:<20} {plain(value)}")


def _chosen(config: Config, device: str | None) -> str | None:
    """Know a device by the name that the owner gave it; two of one name are known by their ids only."""
    found = [section.id for section in config.devices.values() if section.id and device == section.name]
    return found[0] if device and len(found) == 1 else device


def _print_devices(config: Config, rows: list[Row]) -> None:
    pinned = {"pinned": "PINNED TO"} if any(row["pinned"] for row in rows) else {}
    table(rows, _COLUMNS | pinned)
    for line in never_pushed(config, (str(row["device"]) for row in rows)):
        click.echo(f"\n{line}")
    for told in dict.fromkeys(str(row["hint"]) for row in rows if row.get("hint")):
        click.echo(f"\ncannot_tell: {told}")
    if any(row.get("liveness") == _UNKNOWN for row in rows):
        click.echo(f"\n{_UNKNOWN}: which device is online is unknown while the gateway is down.")


def _left(config: Config, conn: sqlite3.Connection, zone: tzinfo, device: str | None) -> list[Row]:
    """Read the devices that a stopped gateway left; nobody has listened to them since, so none is online or silent."""
    from gateway.daemon.composing import names  # noqa: PLC0415 - heavy, and mostly the daemon runs

    gone = {"liveness": _UNKNOWN, "hint": None}
    return [row | gone for row in views.device_states(conn, zone, device, names(config))]
