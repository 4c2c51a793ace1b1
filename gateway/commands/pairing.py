"""`gateway pair`: set a device up, or say what to type into it, and wait until its first push is here."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.commands.asking import CANNOT_TELL, as_json, configuration, plain, show
from gateway.commands.pair_counter import pair_counter
from gateway.commands.pair_outcome import Ended, Say, Told, Wish
from gateway.commands.pair_terminal import pair_terminal
from gateway.control.client import DaemonDown
from gateway.errors import GatewayError

Command = TypeVar("Command", bound=Callable[..., object])

_COMMON = (
    click.option(
        "--address-of-gateway", "own", help="Our address as the device sees it, if it is not the obvious one."
    ),
    click.option(
        "--port", type=click.IntRange(1, 65_535), help="Our port as the device sees it; else listen.port."
    ),
    click.option(
        "--timeout",
        "timeout_s",
        default=120.0,
        show_default=True,
        type=click.FloatRange(0, 86_400),
        help="How many seconds to wait for the first push.",
    ),
    as_json,
)


def _common(command: Command) -> Command:
    for option in reversed(_COMMON):
        command = option(command)
    return command


@click.group()
def pair() -> None:
    """Set a device up and wait for its first push.

    Exit status: 0 its first push is here, 1 something is wrong, 2 no push came in time.
    """


@pair.command()
@click.argument("address")
@click.option(
    "--path", "url_path", default="/Record", show_default=True, help="Of the URL; any is understood."
)
@click.option("--device", help="Its id, where it needs the secret word of its section in [devices].")
@_common
@click.pass_obj
def terminal(
    path: Path | None, /, *, address: str, url_path: str, device: str | None, as_json: bool, **how: Any
) -> None:
    """Have the face terminal at ADDRESS push its events here, and wait for the first one.

    The one setting that is written is where the terminal pushes events; nothing else on it is changed or read.
    """
    work = partial(pair_terminal, configuration(path), address, url_path, Wish(**how), device)
    _end(work, as_json=as_json)


@pair.command()
@click.argument("address", required=False)
@_common
@click.pass_obj
def counter(path: Path | None, /, *, address: str | None, as_json: bool, **how: Any) -> None:
    """Say what to type into a stereo people counter, and wait for its first push.

    With the ADDRESS of the counter only pushes from there are taken for it.
    """
    _end(partial(pair_counter, configuration(path), address, Wish(**how)), as_json=as_json)


def _end(work: Callable[[Told, Say], None], *, as_json: bool) -> None:
    """Do it, say how it went, and end with the status."""
    told = Told()

    def say(line: str) -> None:
        if not as_json:
            click.echo(line)

    try:
        work(told, say)
    except DaemonDown as down:
        told.problem, told.status = down.told_with("Start it first, then pair again."), CANNOT_TELL
    except Ended as ended:
        told.problem, told.advice, told.status = str(ended), list(ended.advice), ended.status
    except GatewayError as error:
        told.problem = str(error)
    if as_json:
        show({name: value for name, value in asdict(told).items() if name != "status"})
    elif told.problem:
        click.echo(f"! {plain(told.problem)}", err=True)
        for line in told.advice:
            click.echo(f"  - {plain(line)}", err=True)
    sys.exit(0 if told.paired and not told.problem else told.status)
