"""`gateway simulate camlytics`: be a PC with Camlytics for Windows, with made-up people."""

import asyncio
import signal
from typing import IO, Any, Literal
from zoneinfo import ZoneInfo

import click

from gateway.commands.asking import as_json, give_up, show
from gateway.commands.written import Written
from gateway.errors import GatewayError
from gateway.simulate.camlytics import Camlytics, Pc, Webhooks
from gateway.simulate.clock import Clock, pause
from gateway.simulate.crowd import SHOP_DAY

_LOOK_S = 0.5


def _zone(_ctx: click.Context, _option: click.Parameter, name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise click.BadParameter(f"{name!r} is no time zone; write one such as Europe/Lisbon.") from error


def add_camlytics(group: click.Group) -> None:
    """Add the command to `gateway simulate`."""
    group.add_command(camlytics)


@click.command("camlytics")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address that it listens on.")
@click.option("--port", default=48462, show_default=True, type=click.IntRange(0, 65_535))
@click.option("--name", default="hall", show_default=True, help="Of the PC: makes the ids of its channels.")
@click.option("--cameras", default=2, show_default=True, type=click.IntRange(1, 50))
@click.option(
    "--rate", default=6.0, show_default=True, type=click.FloatRange(0, 600), help="People per minute."
)
@click.option("--shop-day", is_flag=True, help="People come by the hours of a shop, not all day alike.")
@click.option("--hours", default=1.0, show_default=True, type=click.FloatRange(0, 240),
              help="How much is in its database already.")  # fmt: skip
@click.option("--skew", default=0.0, show_default=True, help="Seconds that its clock is ahead.")
@click.option("--zone", default="UTC", show_default=True, callback=_zone, help="The zone of its Windows.")
@click.option("--reinstall-after", type=click.FloatRange(0), metavar="MINUTES",
              help="Lose the database then, and number from the beginning.")  # fmt: skip
@click.option("--webhook", metavar="URL", help="Send webhooks there.")
@click.option("--kind", default="immediate", show_default=True,
              type=click.Choice(["immediate", "hourly", "daily"]), help="Which webhooks.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="The same seed makes the same people.")
@click.option("--speed", default=1.0, show_default=True, type=click.FloatRange(0.1, 3600),
              help="How fast its clock runs.")  # fmt: skip
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="End after so long; else at Ctrl-C.")
@click.option("--ledger", "ledger_file", type=Written(),
              help="Write what happened, as JSON lines, to compare with what arrives.")  # fmt: skip
@as_json
def camlytics(*, host: str, port: int, ledger_file: IO[str] | None, as_json: bool, **how: Any) -> None:
    """Be Camlytics for Windows: stored events, totals, channels and webhooks."""
    clock = Clock(speed=how["speed"])
    after = how["reinstall_after"]
    pc = Pc(
        clock,
        name=how["name"],
        seed=how["seed"],
        zone=how["zone"],
        rate=how["rate"],
        profile=SHOP_DAY if how["shop_day"] else None,
        channels=how["cameras"],
        skew_s=how["skew"],
        start=clock.now() - how["hours"] * 3600,
        reinstall_after_s=None if after is None else (how["hours"] * 60 + after) * 60,
        per_event=not how["webhook"] or how["kind"] == "immediate",
    )
    server = Camlytics(pc, host=host, port=port)
    try:
        server.start()
        click.echo(
            f'Camlytics with {pc.channels} cameras at {server.url}. Its lines are "Enter", "Exit" and '
            '"Street". Ctrl-C ends it.',
            err=True,
        )
        asyncio.run(_wait(pc, how["webhook"], how["kind"], how["minutes"]))
    except (GatewayError, OSError) as error:
        give_up(str(error))
    finally:
        server.stop()
    if ledger_file is not None:
        pc.ledger.dump(ledger_file)
    told = {
        "asks": sum(server.answers.values()),
        "stored": len(pc.stored),
        "unread": pc.unread,
        "reinstalls": pc.reinstalls,
    }
    if as_json:
        show(told)
    else:
        click.echo(
            f"{told['asks']} asks answered, {told['stored']} events stored, {told['unread']} never read."
        )


async def _wait(
    pc: Pc, url: str | None, kind: Literal["immediate", "hourly", "daily"], minutes: float | None
) -> None:
    """Let time pass until Ctrl-C or until it is over; send webhooks meanwhile."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    hooks = None if url is None else asyncio.create_task(Webhooks(pc, url, kind).run(stop))
    end = float("inf") if minutes is None else loop.time() + minutes * 60
    while not stop.is_set() and loop.time() < end:
        pc.advance()
        await pause(min(_LOOK_S, end - loop.time()), stop)
    stop.set()
    if hooks is not None:
        await hooks
