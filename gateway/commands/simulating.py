"""`gateway simulate`: devices that push to any gateway, without any hardware."""

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

import click

from gateway.commands.asking import FAULT, as_json, give_up, show
from gateway.commands.simulating_camio import add_camio
from gateway.commands.simulating_camlytics import add_camlytics
from gateway.commands.simulating_cloud import add_camlytics_cloud
from gateway.commands.simulating_terminal import serve_terminal
from gateway.commands.written import Written
from gateway.config import Config, load
from gateway.errors import GatewayError
from gateway.simulate.clock import Clock
from gateway.simulate.count_xml import DIALECTS, Identity
from gateway.simulate.crowd import SHOP_DAY
from gateway.simulate.device import Device, Line
from gateway.simulate.early import EarlyCounter, EarlyTerminal
from gateway.simulate.fleet import Fleet
from gateway.simulate.ledger import Ledger
from gateway.simulate.terminal_json import FIRMWARES, Firmware
from gateway.simulate.wire import Wire

Command = TypeVar("Command", bound=Callable[..., object])

_EVERY = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}


def _zone(_ctx: click.Context, _option: click.Parameter, name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise click.BadParameter(f"{name!r} is no time zone; write one such as Europe/Lisbon.") from error


def _url(ctx: click.Context, _option: click.Parameter, url: str | None) -> str:
    url = url or _own_url(ctx.obj)
    try:
        Wire(url)
    except (GatewayError, ValueError) as error:  # a port that is no number
        raise click.BadParameter(str(error)) from error
    return url


def _own_url(path: Path | None) -> str:
    """Give where the gateway of this box listens, or would by itself when its configuration cannot be read."""
    try:
        listen = load(path).listen
    except GatewayError:
        listen = Config().listen
    host = _EVERY.get(listen.host, listen.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{listen.port}/"


def _spells(
    _ctx: click.Context, _option: click.Parameter, spells: tuple[str, ...]
) -> tuple[tuple[float, float], ...]:
    read = []
    for spell in spells:
        start, _, length = spell.partition(":")
        try:
            read.append((float(start) * 60, float(length) * 60))
        except ValueError as error:
            raise click.BadParameter(f"{spell!r} is not START:LENGTH in minutes, such as 60:30.") from error
    return tuple(read)


_COMMON = (
    click.option("--to", "url", callback=_url, help="Where the device pushes.  [default: the gateway of this box]"),
    click.option("--count", default=1, show_default=True, type=click.IntRange(1, 200), help="How many of them."),
    click.option("--speed", default=1.0, show_default=True, type=click.FloatRange(0, 3600),
                 help="How fast their clocks run; 0: as fast as every push is taken, which needs --minutes."),
    click.option("--minutes", type=click.FloatRange(0, min_open=True),
                 help="End after so much time by their clocks; else at Ctrl-C."),
    click.option("--seed", default=0, show_default=True, help="The same seed says the same at the same time."),
    click.option("--zone", default="UTC", show_default=True, callback=_zone, help="The zone that they stand in."),
    click.option("--profile", default="even", show_default=True, type=click.Choice(["even", "shop"]),
                 help="How people spread over the day: even, or as in a shop."),
    click.option("--skew-s", default=0.0, show_default=True, help="How far their clocks are ahead; negative: behind."),
    click.option("--offline", "spells", multiple=True, callback=_spells, metavar="START:LENGTH",
                 help="Minutes after the start, and for how many: no network; what is kept is sent afterwards."),
    click.option("--keeps", default=50_000, show_default=True, type=click.IntRange(0, 1_000_000),
                 help="Pushes that a device keeps while it cannot send; then the oldest goes."),
    click.option("--lose-replies", default=0.0, show_default=True, type=click.FloatRange(0, 0.9),
                 help="Share of replies that get lost, so that the same push comes again."),
    click.option("--ledger", "ledger_file", type=Written(),
                 help="Write what was said, as JSON lines, to compare with what arrives."),
    as_json,
)  # fmt: skip


def _common(command: Command) -> Command:
    for option in reversed(_COMMON):
        command = option(command)
    return command


@click.group()
def simulate() -> None:
    """Be a device: push made-up people over real HTTP.

    A device starts with what it kept of the last three minutes. Exit status 1: something was never taken.
    """


@simulate.command()
@click.option(
    "--serial", default="2000000000000001", show_default=True, help="Of the first one; others count on."
)
@click.option("--name", default="Simulated door", show_default=True, help="The name that a person gave it.")
@click.option(
    "--dialect", default="v1.0", show_default=True, type=click.Choice(list(DIALECTS)), help="Its firmware."
)
@click.option(
    "--mode",
    type=click.Choice(["interval", "real_time"]),
    help="A push each interval, or with each person; real_time where the dialect has it.",
)
@click.option(
    "--rate", default=20.0, show_default=True, type=click.FloatRange(0, 600), help="People per minute."
)
@click.option(
    "--interval-min", default=1, show_default=True, type=click.IntRange(1, 60), help="Of interval mode."
)
@click.option(
    "--heartbeat-s",
    default=60.0,
    show_default=True,
    type=click.FloatRange(0, 86_400),
    help="Between two signs of life in real-time mode; 0: none.",
)
@_common
def counter(
    *,
    serial: str,
    name: str,
    dialect: str,
    mode: Literal["interval", "real_time"] | None,
    rate: float,
    interval_min: int,
    heartbeat_s: float,
    **common: Any,
) -> None:
    """Push as a stereo people counter."""
    live = DIALECTS[dialect].live_root is not None

    def build(number: int, **how: Any) -> Device:
        named = name if number == 0 else f"{name} {number + 1}"
        identity = Identity(
            serial=_counted(serial, number),
            device_id=named,  # what a person types there is what the gateway shows
            device_name=named,
            mac=f"02:00:5E:20:00:{number:02X}",
            zone=common["zone"],
        )
        return EarlyCounter(
            common["url"],
            identity=identity,
            dialect=dialect,
            mode=mode or ("real_time" if live else "interval"),
            rate=rate,
            interval_min=interval_min,
            heartbeat_s=heartbeat_s or None,
            **how,
        )

    _run(build, **common)


@simulate.command()
@click.option("--serial", default="SPSIM00001", show_default=True, help="Of the first one; others count on.")
@click.option(
    "--firmware", default=FIRMWARES[-1], show_default=True, type=click.Choice(FIRMWARES), help="Its dialect."
)
@click.option(
    "--rate", default=10.0, show_default=True, type=click.FloatRange(0, 60), help="People per minute."
)
@click.option("--alarms-per-hour", default=6.0, show_default=True, type=click.FloatRange(0, 600))
@click.option(
    "--picture-bytes",
    default=45_000,
    show_default=True,
    type=click.IntRange(0, 1_000_000),
    help="Size of the made-up pictures in its pushes.",
)
@click.option(
    "--serve",
    type=click.IntRange(1, 65_535),
    metavar="PORT",
    help="Have the terminal's own web interface on this port, and push nowhere before it is told to there.",
)
@_common
def terminal(
    *,
    serve: int | None,
    serial: str,
    firmware: str,
    rate: float,
    alarms_per_hour: float,
    picture_bytes: int,
    **common: Any,
) -> None:
    """Push as a face terminal: records, strangers and alarms."""

    def build(number: int, **how: Any) -> Device:
        return EarlyTerminal(
            common["url"],
            serial=_counted(serial, number),
            firmware=Firmware(version=firmware, picture_bytes=picture_bytes),
            rate=rate,
            alarms_per_hour=alarms_per_hour,
            zone=common["zone"],
            **how,
        )

    if serve is not None:
        serve_terminal(build, serve, common)
    _run(build, **common)


def _run(
    build: Callable[..., Device],
    *,
    url: str,
    count: int,
    speed: float,
    minutes: float | None,
    seed: int,
    zone: ZoneInfo,
    profile: str,
    skew_s: float,
    spells: tuple[tuple[float, float], ...],
    keeps: int,
    lose_replies: float,
    ledger_file: IO[str] | None,
    as_json: bool,
) -> None:
    if speed == 0 and minutes is None:
        raise click.UsageError("With --speed 0 say when to end: --minutes N, by the device's own clock.")
    ledger, line = Ledger(), Line(resend=lose_replies, spells=spells, keeps=keeps)
    weights = SHOP_DAY if profile == "shop" else None
    device = partial(build, seed=seed, line=line, ledger=ledger, profile=weights)
    try:
        devices = [device(number, clock=Clock(speed=speed, skew_s=skew_s)) for number in range(count)]
        fleet = Fleet(url, devices, ledger, partial(click.echo, err=True))
        click.echo(f"Pushing to {url}. Ctrl-C ends it.", err=True)
        asyncio.run(fleet.run(None if minutes is None else minutes * 60))
    except GatewayError as error:
        give_up(str(error))
    if ledger_file is not None:
        ledger.dump(ledger_file)
    summary = fleet.summary(zone)
    if as_json:
        show(summary)
    else:
        _print(summary)
    sys.exit(FAULT if fleet.kept or summary["dropped"] else 0)


def _print(summary: dict[str, Any]) -> None:
    click.echo(
        f"{summary['made']} pushes made, {summary['acknowledged']} taken, {summary['kept']} never taken"
        f" ({summary['refused']} refusals, {summary['unanswered']} attempts without an answer,"
        f" {summary['resent']} sent again after a lost reply)."
    )
    for total in summary["totals"]:
        if total["measure"] in {"enters", "exits"}:
            click.echo(f"{total['serial']} on {total['day']}: {total['amount']} {total['measure']}")


def _counted(serial: str, number: int) -> str:
    """Count a serial number on from its last digits, in their width."""
    head = serial.rstrip("0123456789")
    digits = serial[len(head) :]
    return serial if not number else f"{head}{int(digits or 0) + number:0{max(len(digits), 1)}}"


add_camio(simulate, _common, _run)
add_camlytics_cloud(simulate)
add_camlytics(simulate)
