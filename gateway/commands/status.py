"""`gateway status`: how the gateway is, what is wrong, and what to do about it; also when it is down."""

import contextlib
import re
import shlex
import sys
import textwrap
from itertools import chain, repeat
from pathlib import Path
from typing import Any, cast

import click

from gateway.commands.asking import (
    CANNOT_TELL,
    FAULT,
    as_json,
    give_up,
    good_configuration,
    plain,
    say,
    show,
    table,
    terminal_width,
)
from gateway.commands.pinned import never_pushed
from gateway.commands.sinks import SINK_COLUMNS
from gateway.config import Config
from gateway.control import views
from gateway.control.client import Client, DaemonDown, NotAllowed
from gateway.errors import GatewayError
from gateway.faults import weight
from gateway.outbox import damage, opening
from gateway.outbox.reading import looking

Row = dict[str, object]
_CLOCKS = {
    "synced": "set by a time server",
    "believed": "set by nobody, and believed as the configuration says",
    "unsynced": "set by nobody",
    "unset": "NOT SET: this is a guess",
}
_LOOK_S = 5.0
_OPTION = re.compile(r"`[a-z_]+`|[a-z]_file\b")  # what a person would have to find in the configuration
_WIDE, _SHORT = 200, 60  # columns from which an error is told whole, and its characters else
_BEING_DOWN = frozenset({"gateway_down", "gateway_hangs"})  # that it does not answer was told already


@click.command()
@as_json
@click.pass_obj
def status(path: Path | None, *, as_json: bool) -> None:
    """Say how the gateway is, what is wrong, and what to do about it."""
    config, mistakes = good_configuration(path)
    try:
        told = Client(config.socket).get("/status")
    except NotAllowed as refused:
        _note(mistakes)
        give_up(str(refused))
    except DaemonDown as down:
        _note(mistakes)
        _status_when_down(path, config.store.path, down, as_json=as_json)
    except GatewayError as error:
        give_up(str(error))
    else:
        faults = cast("list[Row]", told["faults"])
        if not any(fault["code"] == "config_rejected" for fault in faults):  # which says the same
            _note(mistakes)
        if as_json:
            show(told)
        else:
            _print_status(path, told, faults)
            _print_idle_pins(config)
        sys.exit(FAULT if faults else 0)


def _note(mistakes: str | None) -> None:
    if mistakes:
        say(f"{mistakes}\n", err=True)


def _down(store: Path, sentence: str, *, keeps: bool) -> str:
    """Say what to do about a daemon that says nothing: it may run and hang, and the next start may have to rescue.

    With `keeps` something is told below that may keep it from running.
    """
    holder = opening.holder(store)
    if holder is not None:
        told = f"The gateway runs (process {holder}) but does not answer. Restart it with: systemctl restart gateway"
        return f"{told}\n({sentence})"
    told = f"{sentence}\nStart it with: systemctl start gateway"
    if keeps:
        told += "\nEnds it again? Then do first what stands below."
    with contextlib.suppress(OSError):  # that this user may not look into the store is told below
        if (why := damage.marked(store)) is not None:
            told += f"\nThe store is damaged ({why}); the next start rescues what it can."
    return told


def _status_when_down(path: Path | None, store: Path, down: DaemonDown, *, as_json: bool) -> None:
    faults = _why(path)
    sentence = _down(store, str(down), keeps=bool(faults))
    told: Row = {"state": "down", "sentence": sentence, "faults": faults}
    try:
        with looking(store) as conn:
            told |= {"sinks": views.sink_accounts(conn), "store": views.store_facts(conn)}
    except GatewayError as error:
        told["no_store"] = str(error)
    if as_json:
        show(told)
        sys.exit(CANNOT_TELL)
    say(sentence)
    _print_faults(path, cast("list[Row]", told["faults"]))
    if "sinks" in told:
        click.echo("\nWhat it left on disk:")
        table(cast("list[Row]", told["sinks"]), SINK_COLUMNS)
    else:
        say(f"\n{told['no_store']}")
    sys.exit(CANNOT_TELL)


def _why(path: Path | None) -> list[Row]:
    """Look at the box itself: what is wrong with it is most likely what keeps the gateway from running."""
    # Only then: these look at much, and cost their time.
    from gateway.doctor.checks import BOX_CHECKS  # noqa: PLC0415
    from gateway.doctor.examining import examine  # noqa: PLC0415
    from gateway.doctor.preparing import prepare  # noqa: PLC0415

    found = [one for one in examine(BOX_CHECKS, prepare(path).box, _LOOK_S) if one.code and not one.advice]
    found = [one for one in found if one.code not in _BEING_DOWN]
    return [
        {"code": one.code, "subject": one.subject, "sentence": one.sentence, "action": one.action}
        for one in sorted(found, key=lambda one: weight(one.code))
    ]


def _print_faults(path: Path | None, faults: list[Row]) -> None:
    for fault in faults:
        for mark, line in zip(chain("!", repeat(" ")), str(fault["sentence"]).splitlines(), strict=False):
            click.echo(f"{mark} {plain(line)}")
        click.echo(f"    do: {plain(fault['action'])}   [{fault['code']}]")
    if any(_OPTION.search(f"{fault['sentence']} {fault['action']}") for fault in faults):
        from gateway.commands import DEFAULT_PATH  # noqa: PLC0415 - it imports this module

        file = path or DEFAULT_PATH
        given = "" if file == DEFAULT_PATH else f" -c {shlex.quote(str(file))}"
        say(f"    (Options are in the configuration, {file}; after a change: sudo gateway{given} reload)")


def _print_status(path: Path | None, told: Row, faults: list[Row]) -> None:
    _print_faults(path, faults)
    if not faults:
        click.echo("All well.")
    since = cast("dict[str, Any]", told["since_start"])
    store = cast("dict[str, Any]", told["store"])
    last = since["last_post_s"]
    say(
        f"\n{told['gateway']} {told['version']}, up {told['uptime_s']} s, listening on {told['listen']}"
        f"{' (socket of systemd)' if told.get('listen_of_systemd') else ''}\n"
        f"received {told['received']} events; since the start {since['posts']} pushes, {since['duplicates']} repeated, "
        f"{since['letters']} unreadable, {since['refused']} refused; last push "
        f"{'never' if last is None else f'{last} s ago'}\n"
        f"clock {told['time']}, {_CLOCKS[str(told['clock'])]}\n"
        f"{store['devices']} devices; store {store['used_bytes'] >> 20} of {store['limit_bytes'] >> 20} MiB, "
        f"disk {store['disk_free_bytes'] >> 20} MiB free; letters {sum(store['letters'].values())}\n"
    )
    if told.get("callbacks"):
        say(_callbacks_line(cast("dict[str, Any]", told["callbacks"])))
    table([_shorter(row, faults) for row in cast("list[Row]", told["sinks"])], SINK_COLUMNS)
    visitors = cast("list[Row]", told["visitors"])
    if visitors:
        click.echo("\nCame without a push (a browser or a test of the connection; no fault):")
        table(visitors[-5:], {"time": "TIME", "address": "FROM", "method": "METHOD", "path": "PATH"})


def _shorter(sink: Row, faults: list[Row]) -> Row:
    """Do not say an error twice, and where the screen is narrow only its begin."""
    error = sink.get("last_error")
    if not error:
        return sink
    if any(str(error) in str(fault["sentence"]) for fault in faults):
        return sink | {"last_error": "told above"}
    if terminal_width() >= _WIDE:
        return sink
    return sink | {"last_error": textwrap.shorten(str(error), _SHORT, placeholder=" ...")}


def _print_idle_pins(config: Config) -> None:
    """Note pins of devices that nobody has ever heard of; a quiet note, because a device may not be mounted yet."""
    if not any(section.address or section.path_secret_file for section in config.devices.values()):
        return
    try:
        rows = cast("list[Row]", Client(config.socket).get("/read/devices")["done"])
    except GatewayError as error:  # what was shown above is right all the same
        say(f"\nThe pins were not looked at: {error}")
        return
    for line in never_pushed(config, (str(row["device"]) for row in rows)):
        click.echo(f"\n{line}")


def _callbacks_line(port: dict[str, Any]) -> str:
    last = port["last_post_s"]
    return (
        f"callbacks on {port['listen'] or 'no port yet'}: since the start {port['posts']}, {port['events']} events, "
        f"{port['duplicates']} repeated, {port['letters']} unreadable, {port['unauthorised']} without the right header; "
        f"last {'never' if last is None else f'{last} s ago'}\n"
    )
