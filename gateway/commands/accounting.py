"""`gateway account`: what became of every event, per sink and per device, checked against the log."""

import sys
from pathlib import Path
from typing import Any, cast

import click

from gateway.commands.asking import FAULT, as_json, configuration, plain, read, show, table
from gateway.control.accounts import audit

_COLUMNS = {
    "device": "DEVICE",
    "received": "RECEIVED",
    "delivered": "DELIVERED",
    "waiting": "WAITING",
    "lettered": "LETTERED",
    "expired": "EXPIRED",
    "lost": "LOST",
    "balanced": "BALANCED",
}


@click.command()
@click.option("--sink", help="Only the account of this sink.")
@click.option("--device", help="Only this device, by id, serial number or label.")
@as_json
@click.pass_obj
def account(path: Path | None, *, sink: str | None, device: str | None, as_json: bool) -> None:
    """Say what became of every event, per sink and device, and whether that fits the log.

    received = delivered + waiting + lettered + expired + lost. Exit status 1: an account does not balance.
    """
    config = configuration(path)
    query = {name: value for name, value in (("sink", sink), ("device", device)) if value is not None}
    told = cast(
        "list[dict[str, Any]]",
        read(config, "account", lambda conn: audit(conn, **query), **query),
    )
    for one in told:
        one["configured"] = one["sink"] in config.sinks
    if as_json:
        show(told)
    elif not told:
        click.echo("No sink has an account yet: nothing was ever forwarded.")
    for one in told if not as_json else ():
        _print(one)
    sys.exit(0 if all(one["balanced"] for one in told) else FAULT)


def _print(told: dict[str, Any]) -> None:
    rows = [row | {"device": row["device"] or "(earlier)"} for row in told["devices"]]
    total = told["total"] | {"device": f"all {told['total']['devices']}", "balanced": told["balanced"]}
    aside = "" if told["configured"] else " (no longer configured)"
    click.echo(f"Sink {plain(told['sink'])}{aside}")
    table([*rows, total], _COLUMNS)
    if told["left_out"]:
        click.echo(f"{told['left_out']} more devices are not shown; name one with --device.")
    if total["replayed"]:
        click.echo(f"{total['replayed']} events were sent again on request, beside this account.")
    click.echo(f"{plain(told['sentence'])}\n")
