"""`gateway sinks`: what each sink was given, has delivered and still owes."""

import sys
from pathlib import Path
from typing import cast

import click

from gateway.commands.asking import FAULT, as_json, configuration, give_up, plain, read, show, table
from gateway.control import views

Row = dict[str, object]
SINK_COLUMNS = {
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
        columns = {key: head for key, head in SINK_COLUMNS.items() if key not in {"connected", "last_error"}}
        table(rows, columns | {"replayed": "REPLAYED", "balanced": "BALANCED"})
    if any(row["balanced"] is False for row in rows):
        sys.exit(FAULT)
