"""`gateway tail`: pushes as they come, raw beside normalised, secrets masked."""

from pathlib import Path
from typing import Any, cast

import click

from gateway.commands.asking import as_json, configuration, give_up, json_line, plain
from gateway.control import views
from gateway.control.client import Client, DaemonDown
from gateway.errors import GatewayError
from gateway.outbox.reading import last_entries, looking


@click.command()
@click.option("--raw/--no-raw", default=True, help="Show the body as it came, or only what it means.")
@click.option(
    "--count", default=20, type=click.IntRange(1, 1000), help="With the gateway down: how many events."
)
@as_json
@click.pass_obj
def tail(path: Path | None, *, raw: bool, count: int, as_json: bool) -> None:
    """Follow pushes as they come in; with the gateway down, show the newest events on disk."""
    config = configuration(path)
    try:
        for push in Client(config.socket).tail():
            click.echo(json_line(push) if as_json else _text(push, raw=raw))
    except DaemonDown as down:
        try:
            with looking(config.store.path) as conn:
                rows = views.entry_rows(last_entries(conn, count))
        except GatewayError as error:
            give_up(f"{down}\n{error}")
        click.echo(f"{down} These are the newest events on disk.", err=True)
        for row in rows:
            click.echo(json_line(row) if as_json else plain(f"{row['time']} {row['kind']} {row['id']}"))
    except KeyboardInterrupt:
        return


def _text(push: dict[str, object], *, raw: bool) -> str:
    head = " ".join(str(push[name]) for name in ("time", "sender", "method", "path"))
    lines = [plain(f"{head}  {push['source'] or 'unknown'}  {push['outcome']}")]
    if raw:
        lines += [f"  | {plain(line)}" for line in str(push["raw"]).splitlines()[:60]]
    for event in cast("list[dict[str, Any]]", push["events"]):
        lines.append(
            plain(f"  = {event['kind']} {event['device']} {event['time']} {json_line(event['data'])}")
        )
    return "\n".join(lines)
