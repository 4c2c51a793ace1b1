"""`gateway check` and `gateway version`."""

import json
import platform
import sqlite3
import sys
from pathlib import Path

import click

from gateway import __version__
from gateway.commands.asking import CANNOT_TELL, FAULT, as_json, show
from gateway.config import InvalidConfigError, load, to_json
from gateway.errors import ConfigError


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@as_json
@click.pass_obj
def check(path: Path | None, file: Path | None, *, as_json: bool) -> None:
    """Check a configuration and print every mistake with its line."""
    chosen = file or path
    if chosen is not None and not chosen.exists():
        click.echo(f"There is no file {chosen}.", err=True)
        sys.exit(CANNOT_TELL)
    try:
        config = load(chosen)
    except ConfigError as error:
        if as_json:
            mistakes = (
                to_json(error.mistakes)
                if isinstance(error, InvalidConfigError)
                else [{"problem": str(error)}]
            )
            show({"ok": False, "mistakes": mistakes})
        else:
            click.echo(str(error), err=True)
        sys.exit(FAULT)
    sinks = [name for name, sink in config.sinks.items() if sink.enabled]
    if as_json:
        show({"ok": True, "hash": config.hash, "sinks": sinks})
        return
    click.echo(f"{chosen or 'The default configuration'} is fine (hash {config.hash}).")
    if not sinks:
        click.echo("It has no sink: events are received and kept, but nothing is forwarded yet.")


@click.command()
@as_json
def version(*, as_json: bool) -> None:
    """Print the versions of the gateway and of what it rests on."""
    facts = {"gateway": __version__, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    click.echo(json.dumps(facts) if as_json else "\n".join(f"{name} {text}" for name, text in facts.items()))
