"""`gateway status`, `gateway devices` and `gateway sinks`."""

import sqlite3
import sys
import textwrap
from datetime import tzinfo
from itertools import chain, repeat
from pathlib import Path
from typing import Any, cast

import click

from gateway.commands.asking import (
    CANNOT_TELL,
    FAULT,
    as_json,
    configuration,
    give_up,
    plain,
    read,
    show,
    table,
    terminal_width,
)
from gateway.commands.pinned import never_pushed, with_pins
from gateway.config import Config
from gateway.control import views
from gateway.control.client import Client, DaemonDown
from gateway.errors import GatewayError
from gateway.faults import weight
from gateway.outbox import damage, opening, site_zone
from gateway.outbox.reading import looking

Row = dict[str, object]
_CLOCKS = {
    "synced": "set by a time server",
    "believed": "set by nobody, and believed as the configuration says",
    "unsynced": "set by nobody",
    "unset": "NOT SET: this is a guess",
}

_UNKNOWN = "unknown"
_LOOK_S = 5.0
_WIDE, _SHORT = 200, 60  # columns from which an error is told whole, and its characters else
_BEING_DOWN = frozenset({"gateway_down", "gateway_hangs"})  # that it does not answer was told already

_SINK_COLUMNS = {
    "name": "SINK",
    "connected": "CONNECTED",
    "received": "RECEIVED",
    "delivered": "DELIVERED",
    "waiting": "WAITING",
    "lettered": "LETTERED",
    "expired": "EXPIRED",
    "lost": "LOST",
    "oldest_waiting_s": "OLDEST S",
    "last_error": "LAST ERROR",
}

_DEVICE_COLUMNS = {
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
@as_json
@click.pass_obj
def status(path: Path | None, *, as_json: bool) -> None:
    """Say how the gateway is, what is wrong, and what to do about it."""
    config = configuration(path)
    try:
        told = Client(config.socket).get("/status")
    except DaemonDown as down:
        _status_when_down(path, config.store.path, _why_down(config.store.path, str(down)), as_json=as_json)
    except GatewayError as error:
        give_up(str(error))
    else:
        faults = cast("list[Row]", told["faults"])
        if as_json:
            show(told)
        else:
            _print_status(told, faults)
            _print_idle_pins(config)
        sys.exit(FAULT if faults else 0)


def _why_down(store: Path, sentence: str) -> str:
    """Say what to do about a daemon that says nothing: it may run and hang, and the next start may have to rescue."""
    holder = opening.holder(store)
    if holder is not None:
        told = f"The gateway runs (process {holder}) but does not answer. Restart it with: systemctl restart gateway"
        return f"{told}\n({sentence})"
    told = f"{sentence}\nStart it with: systemctl start gateway"
    if (why := damage.marked(store)) is not None:
        told += f"\nThe store is damaged ({why}); the next start rescues what it can."
    return told


def _status_when_down(path: Path | None, store: Path, sentence: str, *, as_json: bool) -> None:
    told: Row = {"state": "down", "sentence": sentence, "faults": _why(path)}
    try:
        with looking(store) as conn:
            told |= {"sinks": views.sink_accounts(conn), "store": views.store_facts(conn)}
    except GatewayError as error:
        told["no_store"] = str(error)
    if as_json:
        show(told)
        sys.exit(CANNOT_TELL)
    click.echo(sentence)
    _print_faults(cast("list[Row]", told["faults"]))
    if "sinks" in told:
        click.echo("\nWhat it left on disk:")
        table(cast("list[Row]", told["sinks"]), _SINK_COLUMNS)
    else:
        click.echo(told["no_store"])
    sys.exit(CANNOT_TELL)


def _why(path: Path | None) -> list[Row]:
    """Look at the box itself: what is wrong with it is most likely what keeps the gateway from running."""
    # Only then: these look at much, and cost their time.
    from gateway.doctor.checks import BOX_CHECKS  # noqa: PLC0415
    from gateway.doctor.examining import examine  # noqa: PLC0415
    from gateway.doctor.preparing import prepare  # noqa: PLC0415

    found = [one for one in examine(BOX_CHECKS, prepare(path).box, _LOOK_S) if one.code and not one.advice]
    found = [one for one in found if one.code not in _BEING_DOWN]
    return [
        {"code": one.code, "subject": one.subject, "sentence": one.sentence, "action": one.action}
        for one in sorted(found, key=lambda one: weight(one.code))
    ]


def _print_faults(faults: list[Row]) -> None:
    for fault in faults:
        for mark, line in zip(chain("!", repeat(" ")), str(fault["sentence"]).splitlines(), strict=False):
            click.echo(f"{mark} {plain(line)}")
        click.echo(f"    do: {plain(fault['action'])}   [{fault['code']}]")


def _print_status(told: Row, faults: list[Row]) -> None:
    _print_faults(faults)
    if not faults:
        click.echo("All well.")
    since = cast("dict[str, Any]", told["since_start"])
    store = cast("dict[str, Any]", told["store"])
    last = since["last_post_s"]
    click.echo(
        f"\n{told['gateway']} {told['version']}, up {told['uptime_s']} s, listening on {told['listen']}"
        f"{' (socket of systemd)' if told.get('listen_of_systemd') else ''}\n"
        f"received {told['received']} events; since the start {since['posts']} pushes, {since['duplicates']} repeated, "
        f"{since['letters']} unreadable, {since['refused']} refused; last push "
        f"{'never' if last is None else f'{last} s ago'}\n"
        f"clock {told['time']}, {_CLOCKS[str(told['clock'])]}\n"
        f"{store['devices']} devices; store {store['used_bytes'] >> 20} of {store['limit_bytes'] >> 20} MiB, "
        f"disk {store['disk_free_bytes'] >> 20} MiB free; letters {sum(store['letters'].values())}\n"
    )
    if told.get("callbacks"):
        click.echo(_callbacks_line(cast("dict[str, Any]", told["callbacks"])))
    table([_shorter(row) for row in cast("list[Row]", told["sinks"])], _SINK_COLUMNS)
    visitors = cast("list[Row]", told["visitors"])
    if visitors:
        click.echo("\nCame without a push (a browser or a test of the connection; no fault):")
        table(visitors[-5:], {"time": "TIME", "address": "FROM", "method": "METHOD", "path": "PATH"})


def _shorter(sink: Row) -> Row:
    """Say the last error of a sink in a few words where the screen is narrow: the whole stands among the faults above."""
    error = sink.get("last_error")
    if not error or terminal_width() >= _WIDE:
        return sink
    return sink | {"last_error": textwrap.shorten(str(error), _SHORT, placeholder=" ...")}


def _print_idle_pins(config: Config) -> None:
    """Note pins of devices that nobody has ever heard of; a quiet note, because a device may not be mounted yet."""
    if not any(section.address or section.path_secret_file for section in config.devices.values()):
        return
    try:
        rows = cast("list[Row]", Client(config.socket).get("/read/devices")["done"])
    except GatewayError as error:  # what was shown above is right all the same
        click.echo(f"\nThe pins were not looked at: {error}")
        return
    for line in never_pushed(config, (str(row["device"]) for row in rows)):
        click.echo(f"\n{line}")


def _callbacks_line(port: dict[str, Any]) -> str:
    last = port["last_post_s"]
    return (
        f"callbacks on {port['listen'] or 'no port yet'}: since the start {port['posts']}, {port['events']} events, "
        f"{port['duplicates']} repeated, {port['letters']} unreadable, {port['unauthorised']} without the right header; "
        f"last {'never' if last is None else f'{last} s ago'}\n"
    )


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
    table(rows, _DEVICE_COLUMNS | pinned)
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


@click.command()
@click.argument("name", required=False)
@click.option("--try-now", is_flag=True, help="Try this sink now instead of at the end of its pause.")
@as_json
@click.pass_obj
def sinks(path: Path | None, name: str | None, *, try_now: bool, as_json: bool) -> None:
    """Show each sink's account, checked against the log."""
    config = configuration(path)
    if try_now:
        if name is None:
            give_up("Say which sink: gateway sinks NAME --try-now")
        from gateway.commands.asking import do  # noqa: PLC0415 - only here

        do(config, f"/sinks/{name}/try")
        return
    rows = cast("list[Row]", read(config, "sinks", lambda conn: views.sink_accounts(conn, verify=True)))
    rows = [row for row in rows if name in (None, row["name"])]
    if name and not rows:
        give_up(f"There is no sink {plain(name)}; `gateway sinks` lists them.", FAULT)
    if as_json:
        show(rows)
    else:
        columns = {key: head for key, head in _SINK_COLUMNS.items() if key not in {"connected", "last_error"}}
        table(rows, columns | {"replayed": "REPLAYED", "balanced": "BALANCED"})
    if any(row["balanced"] is False for row in rows):
        sys.exit(FAULT)
