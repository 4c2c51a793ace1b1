"""`gateway occupancy`, and one day of one device for `gateway devices --day`."""

import sqlite3
import sys
from pathlib import Path
from typing import Any, cast

import click

from gateway.commands.asking import FAULT, as_json, configuration, do, give_up, plain, read, show, table
from gateway.config import Config
from gateway.control import views
from gateway.outbox import site_zone

Row = dict[str, Any]

_VIEWS = ("adult_", "child_", "demographics_")  # what these begin with stands beside the total of everybody

_COLUMNS = {
    "zone": "ZONE",
    "name": "NAME",
    "occupancy": "PEOPLE",
    "occupancy_raw": "BY COUNT",
    "capacity": "CAPACITY",
    "percent": "PERCENT",
    "over_capacity": "FULL",
    "enters_today": "IN TODAY",
    "exits_today": "OUT TODAY",
    "quality": "QUALITY",
    "drift_at_last_reset": "DRIFT",
    "last_reset": "LAST RESET",
    "next_reset": "NEXT RESET",
}


@click.command()
@click.argument("zone", required=False)
@click.option("--set", "people", type=click.IntRange(0), metavar="N", help="Say that N people are in it now.")
@click.option("--reset", is_flag=True, help="Reset it now, as it is done each day.")
@as_json
@click.pass_obj
def occupancy(path: Path | None, zone: str | None, *, people: int | None, reset: bool, as_json: bool) -> None:
    """Show how many people are in each zone, or say how many are in one now."""
    config = configuration(path)
    if people is not None or reset:
        if zone is None or (people is not None and reset):
            give_up("Say which zone, and one of the two: gateway occupancy ZONE --set N, or --reset")
        do(config, "/occupancy", {"zone": zone, "people": people})
        return
    rows = _zones(config)
    rows = [row for row in rows if zone in (None, row["zone"])]
    if zone and not rows:
        give_up(f"There is no zone {plain(zone)}; `gateway occupancy` lists them.", FAULT)
    if as_json:
        show(rows)
    elif not rows:
        click.echo("No zone is configured; config.example.toml explains [zones.NAME].")
    else:
        table(cast("list[dict[str, object]]", rows), _COLUMNS)


def _zones(config: Config) -> list[Row]:
    def left_on_disk(conn: sqlite3.Connection) -> object:
        from gateway.daemon.zones import from_store  # noqa: PLC0415 - it loads the whole daemon

        return from_store(conn, config)

    told = cast("list[Row]", read(config, "occupancy", left_on_disk))
    return [{"zone": str(row["device"]).removeprefix("zone-"), **row} for row in told]


def print_day(config: Config, device: str, day: str, *, as_json: bool) -> None:
    """Show one day of a device; exit status 1 when minutes are missing."""
    zone = site_zone(config.site.zone)
    told = cast(
        "list[Row]",
        read(
            config,
            "day",
            lambda conn: views.device_day(conn, zone, device, day),
            device=device,
            day=day,
        ),
    )
    if not told:
        give_up(f"No device is called {plain(device)}; `gateway devices` lists them.", FAULT)
    if as_json:
        show(told)
    else:
        for row in told:
            _print(row)
    sys.exit(FAULT if any(row["minutes_missing"] for row in told) else 0)


def _print(row: Row) -> None:
    click.echo(f"{plain(row['device'])}, {row['day']}, from {row['start']} to {row['end']}\n")
    totals = [{"measure": name, "people": row["totals"][name]} for name in sorted(row["totals"])]
    table(cast("list[dict[str, object]]", totals), {"measure": "MEASURE", "people": "PEOPLE"})
    if row["hours"]:
        _print_hours(row)
    click.echo(f"\n{_minutes(row)}")
    for gap in row["missing"]:
        click.echo(f"  missing from {gap['from']} to {gap['to']}")
    if "cannot_tell" in row:
        click.echo(f"  {row['cannot_tell']}")
    click.echo(f"Corrections: {row['corrections']}")


def _print_hours(row: Row) -> None:
    """Print the hours of the day, by the clock of the site; adults and children apart would not fit a phone."""
    names = [name for name in row["totals"] if any(name in hour for hour in row["hours"])]
    shown = [name for name in names if not name.startswith(_VIEWS)]
    heads = {"hour": "HOUR"} | {name: name.upper().replace("_", " ") for name in shown}
    click.echo()
    # Day and offset are said above; the offset stays where it changes, because an hour may come twice.
    same = len({str(hour["hour"])[16:] for hour in row["hours"]}) == 1
    table([{**hour, "hour": str(hour["hour"])[11 : 16 if same else None]} for hour in row["hours"]], heads)
    if len(shown) < len(names):
        click.echo("Everybody together; adults and children by the hour: add --json.")


def _minutes(row: Row) -> str:
    missing = row["minutes_missing"]
    words = {True: "complete", False: "not complete", None: "it cannot be told whether it is complete"}
    told = f"{row['minutes_known']} of {row['minutes']} minutes are known"
    if "cannot_tell" in row:  # its sentence says why
        return f"{told}."
    return f"{told}{'' if missing is None else f', {missing} are missing'}: {words[row['complete']]}."
