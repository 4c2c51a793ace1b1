"""`gateway check` and `gateway version`."""

import json
import platform
import sqlite3
import sys
from pathlib import Path

import click

from gateway import __version__
from gateway.commands.asking import CANNOT_TELL, FAULT, as_json, show
from gateway.config import Config, InvalidConfigError, Mistake, load, to_json
from gateway.config.lasting import fleeting
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
        _demand_lasting(chosen, config)
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
    elif not config.gateway.id_written:
        called = config.gateway.id
        click.echo(
            f"It names no id of the gateway, which is called after its host ({called}), or goes on as it was called."
        )


def _demand_lasting(file: Path | None, config: Config) -> None:
    """Refuse a store that the unit would lose; elsewhere than on a box anybody may try what he likes."""
    from gateway.commands import DEFAULT_PATH  # noqa: PLC0415 - it imports this module

    if file == DEFAULT_PATH and (why := fleeting(config.store.path)):
        problem = f"the gateway cannot use this place: {why}"
        suggestion = "take the line out; the usual place is /var/lib/gateway"
        raise InvalidConfigError(
            [Mistake(file=str(file), line=None, key="store.path", problem=problem, suggestion=suggestion)]
        )


@click.command()
@as_json
def version(*, as_json: bool) -> None:
    """Print the versions of the gateway and of what it rests on."""
    facts = {"gateway": __version__, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    click.echo(json.dumps(facts) if as_json else "\n".join(f"{name} {text}" for name, text in facts.items()))
