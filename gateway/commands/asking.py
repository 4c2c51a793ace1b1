"""What reading commands share: the configuration, the daemon if it runs, else the store itself."""

import json
import shutil
import sqlite3
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import click

from gateway.config import Config, last_good, load
from gateway.control.client import Client, DaemonDown
from gateway.errors import ConfigError, GatewayError, StoreUnavailable
from gateway.outbox.reading import looking

FINE, FAULT, CANNOT_TELL = 0, 1, 2
_ANSWER_S = 10.0
# What waits is counted in the log, and a card reads a full store in minutes.
_COUNTING, _COUNT_S = {"account", "sinks"}, 600.0

_NO_SCREEN = 10_000  # columns: a file or a pipe gets whole lines, unless COLUMNS says otherwise

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def configuration(path: Path | None) -> Config:
    """Load the configuration; a broken one does not hide how the gateway is, which runs on the last good one."""
    config, mistakes = good_configuration(path)
    if mistakes:
        say(f"{mistakes}\n", err=True)
    return config


def good_configuration(path: Path | None) -> tuple[Config, str | None]:
    """Load the configuration; when it is broken, the last good one and what is wrong with the new."""
    try:
        return load(path), None
    except ConfigError as error:
        recalled = last_good.recall(path)
        if recalled is None:
            give_up(str(error))
        return recalled, f"{error}\nThe last good configuration is used until that is corrected."


def give_up(sentence: str, status: int = CANNOT_TELL) -> NoReturn:
    """End with a sentence."""
    say(sentence, err=True)
    sys.exit(status)


def say(text: object, *, err: bool = False) -> None:
    """Print sentences of ours, in which a stranger's words may stand: a terminal acts on nothing in them."""
    click.echo("\n".join(plain(line) for line in str(text).split("\n")), err=err)


def read(
    config: Config, name: str, from_store: Callable[[sqlite3.Connection], object], **query: str
) -> object:
    """Ask the daemon; when it is down read the store, which says the same but for what only lives in memory."""
    try:
        return Client(config.socket, timeout_s=_COUNT_S if name in _COUNTING else _ANSWER_S).get(
            f"/read/{name}", **query
        )["done"]
    except DaemonDown as down:
        try:
            with looking(config.store.path) as conn:
                told = from_store(conn)
        except (StoreUnavailable, sqlite3.Error) as error:
            give_up(f"{down}\n{error}")
        except GatewayError as error:
            give_up(f"{down}\n{error}", FAULT)
        click.echo(f"{down} This is what it left on disk.", err=True)
        return told
    except GatewayError as error:  # it was asked for what is not there
        give_up(str(error), FAULT)


def do(config: Config, path: str, body: dict[str, object] | None = None) -> None:
    """Have the daemon do something and say what it did."""
    try:
        say(Client(config.socket).post(path, body)["done"])
    except DaemonDown as down:
        give_up(down.told_with("Start it first: only the running gateway changes the store."))
    except GatewayError as error:
        give_up(str(error), FAULT)


def show(value: object) -> None:
    """Print JSON over several lines, as safe as that of one line."""
    click.echo("\n".join(map(_escaped, json.dumps(value, indent=2, ensure_ascii=False).split("\n"))))


def json_line(value: object) -> str:
    """Give JSON on one line; what a terminal would act on, such as a sign that turns text round, is escaped."""
    return _escaped(json.dumps(value, ensure_ascii=False))


def _escaped(text: str) -> str:
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def table(rows: list[dict[str, object]], columns: dict[str, str]) -> None:
    """Print rows under headings, or each as a card where the screen is narrower; ``columns`` is key: heading."""
    last = list(columns)[-1]  # nothing stands behind it, so it is never cut
    cells = [[_cell(row.get(key), cut=key != last) for key in columns] for row in rows]
    heads = list(columns.values())
    widths = [max([len(head), *(len(line[at]) for line in cells)]) for at, head in enumerate(heads)]
    screen = terminal_width()
    if cells and sum(widths) + 2 * (len(widths) - 1) > screen:
        cards([list(zip(heads, line, strict=True)) for line in cells], screen)
        return
    for line in [heads, *cells]:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def terminal_width() -> int:
    """Give how many characters a line has; more than any where nobody looks."""
    return shutil.get_terminal_size((_NO_SCREEN, 24)).columns


def cards(rows: list[list[tuple[str, str]]], screen: int) -> None:
    """Print each row as lines of heading and value, with a blank line between rows; what is not known is left out."""
    for number, row in enumerate(rows):
        if number:
            click.echo()
        told = [(head, text) for at, (head, text) in enumerate(row) if not at or text != "-"]
        indent = max(len(head) for head, _ in told) + 2
        for head, text in told:
            # A word is never broken: an id or a time that is longer than the line must still be copied whole.
            lines = textwrap.wrap(
                text, max(screen - indent, 10), break_long_words=False, break_on_hyphens=False
            )
            for at, line in enumerate(lines or [""]):
                click.echo(f"{'' if at else head:<{indent}}{line}".rstrip())


def plain(text: object) -> str:
    """Make a stranger's text safe for a terminal: nothing in it moves the cursor or starts a new line."""
    return "".join(char if char.isprintable() else "?" for char in str(text))


def _cell(value: object, *, cut: bool) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return plain(value)[:80] if cut else plain(value)
