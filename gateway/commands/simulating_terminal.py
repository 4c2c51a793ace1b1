"""`gateway simulate terminal --serve`: a terminal that waits to be told where to push."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click

from gateway.commands.asking import FAULT, give_up, show
from gateway.errors import GatewayError
from gateway.simulate.clock import Clock
from gateway.simulate.device import Device, Line
from gateway.simulate.fleet import ended_by_signals
from gateway.simulate.ledger import Ledger
from gateway.simulate.terminal_api import TerminalApi


def serve_terminal(build: Callable[..., Device], port: int, common: dict[str, Any]) -> NoReturn:
    """Be one terminal with its web interface on this port of this box, until Ctrl-C."""
    ledger, minutes = Ledger(), common["minutes"]

    def make(url: str) -> Device:
        click.echo(f"Told to push to {url}.", err=True)
        common["url"] = url
        return build(
            0,
            seed=common["seed"],
            line=Line(resend=common["lose_replies"], spells=common["spells"], keeps=common["keeps"]),
            ledger=ledger,
            clock=Clock(speed=common["speed"] or 1.0, skew_s=common["skew_s"]),
        )

    api = TerminalApi(make)
    try:
        asyncio.run(_serve(api, port, None if minutes is None else minutes * 60))
    except GatewayError as error:
        give_up(str(error))
    if common["ledger_file"] is not None:
        ledger.dump(common["ledger_file"])
    calls = [{"method": call.method, "path": call.path, "body": call.body} for call in api.calls]
    taken = api.device.figures.acknowledged if api.device else 0
    if common["as_json"]:
        show({"calls": calls, "pushing_to": api.dest or None, "acknowledged": taken})
    else:
        click.echo(f"{len(calls)} calls came in; {taken} pushes were taken by {api.dest or 'nobody'}.")
    sys.exit(0 if taken else FAULT)


async def _serve(api: TerminalApi, port: int, seconds: float | None) -> None:
    await api.start(port)
    click.echo(f"A terminal listens on http://127.0.0.1:{api.port}/. Ctrl-C ends it.", err=True)
    stop = asyncio.Event()
    with ended_by_signals(stop):
        try:
            async with asyncio.timeout(seconds):
                await stop.wait()
        except TimeoutError:
            pass  # its time is over
        finally:
            await api.stop()
