"""`gateway letters`: what could not be read or delivered."""

import sys
from pathlib import Path
from typing import Any, cast

import click

from gateway.commands.asking import (
    FAULT,
    as_json,
    configuration,
    do,
    give_up,
    json_line,
    plain,
    read,
    show,
    table,
)
from gateway.commands.written import Written
from gateway.control import views
from gateway.errors import GatewayError
from gateway.outbox import letters as store
from gateway.outbox.reading import looking


@click.group()
def letters() -> None:
    """Look at pushes that could not be read and events that a sink refused."""


@letters.command("list")
@click.option("--stage", type=click.Choice(["parse", "adopt", "deliver"]))
@as_json
@click.pass_obj
def list_(path: Path | None, stage: str | None, *, as_json: bool) -> None:
    """List letters, oldest first. Exit status 1 when there are any."""
    query = {"stage": stage} if stage else {}
    told = read(configuration(path), "letters", lambda conn: views.letter_rows(conn, stage), **query)
    rows = cast("list[dict[str, object]]", told)
    if as_json:
        show(rows)
    elif not rows:
        click.echo("There are no letters.")
    else:
        heads = {"number": "NO", "stage": "STAGE", "sink": "SINK", "sender": "SENDER", "received": "RECEIVED"}
        table(rows, heads | {"reason": "REASON"})
    sys.exit(FAULT if rows else 0)


@letters.command("show")
@click.argument("number", type=int)
@as_json
@click.pass_obj
def show_(path: Path | None, number: int, *, as_json: bool) -> None:
    """Show one letter with its body; secrets and pictures are masked."""

    def find(conn: Any) -> object:
        letter = store.get(conn, number)
        return None if letter is None else views.letter_row(letter, whole=True)

    row = cast("dict[str, object] | None", read(configuration(path), "letter", find, number=str(number)))
    if row is None:
        give_up(f"There is no letter {number}.", FAULT)
    if as_json:
        show(row)
        return
    for name, value in row.items():
        if name != "body":
            text = json_line(value) if isinstance(value, dict) else plain(value)
            click.echo(f"{name:<9} {text}")
    click.echo("\n" + "\n".join(plain(line) for line in str(row["body"]).splitlines()))


@letters.command()
@click.argument("number", type=int)
@click.pass_obj
def retry(path: Path | None, number: int) -> None:
    """Read or deliver a letter once more."""
    do(configuration(path), f"/letters/{number}/retry")


@letters.command()
@click.argument("number", type=int)
@click.pass_obj
def drop(path: Path | None, number: int) -> None:
    """Remove a letter for good."""
    do(configuration(path), f"/letters/{number}/drop")


@letters.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True), default="-")
@click.pass_context
def export(ctx: click.Context, file: str) -> None:
    """Write all letters with their bodies as JSON lines; works with the gateway down."""
    try:
        with looking(configuration(ctx.obj).store.path) as conn:
            out = Written().convert(
                file, None, ctx
            )  # not before: what is there stays when nothing can be read
            for letter in store.find(conn, limit=1_000_000):
                out.write(json_line(views.letter_row(letter, whole=True)) + "\n")
    except GatewayError as error:
        give_up(str(error))
