"""`gateway erase`: take a person out of everything that the gateway keeps."""

import sys
from pathlib import Path
from typing import Any, NoReturn, cast

import click

from gateway.commands.asking import CANNOT_TELL, FAULT, as_json, configuration, give_up, plain, show
from gateway.config import Config
from gateway.control.client import Client, DaemonDown
from gateway.errors import GatewayError

_TIMEOUT_S = 600.0  # a full store is read from its beginning to its end
_FIGURES = {
    "events": "the person in {} events",
    "letters": "the person in {} letters",
    "held": "the person in {} held pushes",
    "pictures": "{} pictures",
    "captures": "{} captures",
}


@click.command()
@click.option("--person", metavar="ID", help="The person's id, as the terminals know it.")
@click.option("--pseudonym", metavar="TEXT", help="Instead of the id: the pseudonym that a sink was given.")
@click.option("--device", metavar="ID", help="Only what this device said.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@click.pass_obj
def erase(
    path: Path | None,
    person: str | None,
    pseudonym: str | None,
    device: str | None,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Remove a person from the log, what still waits, letters, pictures and captures; the counts stay.

    It says what it cannot reach. Exit status 1 when there is nothing of that person.
    """
    config = configuration(path)
    wish = {"person": person, "pseudonym": pseudonym, "device": device}
    try:
        found = _asked(config, wish | {"sure": False})
    except GatewayError as error:
        _end(error)
    if not found["found"]:
        if as_json:
            show(found)
        else:
            click.echo("Nothing was found: no kept event, letter, picture or capture is about this person.")
            _tell_out_of_reach(found)
        sys.exit(FAULT)
    if not yes:
        _confirm(found)
    try:
        done = _with_what_was_found(_asked(config, wish | {"sure": True}), found)
    except GatewayError as error:
        # It may be erased all the same, and who asks once more would not hear of them any more.
        if as_json:
            show(found)
        else:
            _tell_out_of_reach(found)
        _end(error)
    if as_json:
        show(done)
        return
    click.echo(f"Erased: {_figures(done)}.")
    _tell_out_of_reach(done)


class _Unanswered(GatewayError):
    """Neither the daemon nor the store could be asked."""


def _end(error: GatewayError) -> NoReturn:
    give_up(str(error), CANNOT_TELL if isinstance(error, _Unanswered) else FAULT)


def _asked(config: Config, wish: dict[str, Any]) -> dict[str, Any]:
    """Look for a person, or erase; raises `GatewayError`."""
    try:
        return cast(
            "dict[str, Any]", Client(config.socket, timeout_s=_TIMEOUT_S).post("/erase", wish)["done"]
        )
    except DaemonDown as down:
        from gateway.daemon.erasing import erase_at_rest  # noqa: PLC0415 - heavy, and mostly the daemon runs

        try:
            return erase_at_rest(config.store.path, config.store.max_bytes, wish)
        except GatewayError as error:
            raise _Unanswered(f"{down}\n{error}") from error


def _with_what_was_found(done: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Keep what was seen before: of what a gateway erased that ended before it could answer, the store says nothing."""
    had = {row["name"]: row["delivered"] for row in done["sinks"]}
    more = [row for row in found["sinks"] if row["delivered"] > had.get(row["name"], 0)]
    names = {row["name"] for row in more}
    theirs = tuple(f"Sink {name} " for name in names)
    return {
        **done,
        **{name: max(done[name], found[name]) for name in _FIGURES},
        "found": True,
        "sinks": [*more, *(row for row in done["sinks"] if row["name"] not in names)],
        "not_reached": [
            *(sentence for sentence in found["not_reached"] if sentence.startswith(theirs)),
            *(sentence for sentence in done["not_reached"] if not sentence.startswith(theirs)),
        ],
    }


def _confirm(found: dict[str, Any]) -> None:
    click.echo(f"This would be erased: {_figures(found)}. It cannot be undone.")
    if not sys.stdin.isatty():
        give_up("Add --yes to erase it.", CANNOT_TELL)
    if not click.confirm("Erase it?"):
        give_up("Nothing was erased.", CANNOT_TELL)


def _figures(told: dict[str, Any]) -> str:
    return ", ".join(text.format(told[name]) for name, text in _FIGURES.items() if told[name]) or "nothing"


def _tell_out_of_reach(told: dict[str, Any]) -> None:
    click.echo("Not reached:")
    for sentence in told["not_reached"]:
        click.echo(f"- {plain(sentence)}")
