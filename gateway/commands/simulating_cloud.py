"""`gateway simulate camlytics-cloud`: be the cloud of Camlytics, with made-up cameras."""

import asyncio
import signal
from pathlib import Path
from typing import IO, Any
from zoneinfo import ZoneInfo

import click

from gateway.commands.asking import as_json, give_up, show
from gateway.commands.written import Written, own_folder
from gateway.errors import GatewayError
from gateway.simulate.camlytics_cloud import Cloud, Gate, Place, Webhooks, World
from gateway.simulate.clock import Clock, pause
from gateway.simulate.crowd import SHOP_DAY

_FIRST_LOCATION = 101
_PUSH_S = 1.0


def _zone(_ctx: click.Context, _option: click.Parameter, name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise click.BadParameter(f"{name!r} is no time zone; write one such as Europe/Lisbon.") from error


def add_camlytics_cloud(group: click.Group) -> None:
    """Add the command to `gateway simulate`."""
    group.add_command(camlytics_cloud)


@click.command("camlytics-cloud")
@click.option(
    "--port", default=8090, show_default=True, type=click.IntRange(0, 65_535), help="Where it listens."
)
@click.option("--key", default="simulated-key", show_default=True, help="The public key of the account.")
@click.option("--secret", default="simulated-secret", show_default=True, help="Its secret key.")
@click.option("--locations", default=1, show_default=True, type=click.IntRange(1, 50))
@click.option("--cameras", default=2, show_default=True, type=click.IntRange(1, 20), help="At each location.")
@click.option("--rate", default=4.0, show_default=True, type=click.FloatRange(0, 600),
              help="People per minute and camera.")  # fmt: skip
@click.option("--shop-day", is_flag=True, help="People come by the hours of a shop, not all day alike.")
@click.option("--late", default=0.05, show_default=True, type=click.FloatRange(0, 1),
              help="Share of records that reach the cloud up to five minutes late.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), help="Cut an answer after so many events, without a word.")
@click.option("--hours", default=1.0, show_default=True, type=click.FloatRange(0, 48),
              help="How much has happened already.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="The same seed makes the same people.")
@click.option("--zone", default="UTC", show_default=True, callback=_zone, help="The zone that they live in.")
@click.option("--webhook", metavar="URL", help="Push what is new there too, as the cloud's webhooks do.")
@click.option("--header", metavar="NAME:VALUE", help="A header of those webhooks.")
@click.option("--tls", "tls_folder", type=click.Path(path_type=Path, file_okay=False, exists=True), callback=own_folder,
              help="Speak TLS, and write the certificate to trust into this folder.")  # fmt: skip
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="End after so long; else at Ctrl-C.")
@click.option("--ledger", "ledger_file", type=Written(),
              help="Write what happened, as JSON lines, to compare with what arrives.")  # fmt: skip
@as_json
def camlytics_cloud(*, key: str, secret: str, limit: int | None, hours: float, **how: Any) -> None:
    """Be the Camlytics cloud: seven methods, signatures, nonces and the limit of one request per second."""
    world = World(
        Clock(),
        tuple(
            Place(id=_FIRST_LOCATION + number, name=f"Shop {number + 1}", channels=how["cameras"])
            for number in range(how["locations"])
        ),
        rate=how["rate"],
        profile=SHOP_DAY if how["shop_day"] else None,
        zone=how["zone"],
        late=how["late"],
        seed=how["seed"],
        earlier_s=hours * 3600,
    )
    cloud = Cloud(world, Gate({key: secret}), limit=limit, port=how["port"], directory=how["tls_folder"])
    try:
        cloud.start()
    except OSError as error:
        give_up(f"It cannot listen on port {how['port']}: {error.strerror}. Take another --port.")
    click.echo(f"The cloud is at {cloud.url}. Ctrl-C ends it.", err=True)
    try:
        webhooks = _webhooks(world, how["webhook"], how["header"])
        asyncio.run(_live(webhooks, how["minutes"]))
    except GatewayError as error:
        give_up(str(error))
    finally:
        cloud.stop()
    if how["ledger_file"] is not None:
        _dump(world, how["ledger_file"])
    _tell(cloud, webhooks, machine=how["as_json"])


def _webhooks(world: World, url: str | None, header: str | None) -> Webhooks | None:
    if url is None:
        return None
    name, colon, value = (header or "").partition(":")
    if header and not colon:
        raise GatewayError("Write the header as NAME:VALUE.")
    return Webhooks(world, url, {name.strip(): value.strip()} if header else {})


async def _live(webhooks: Webhooks | None, minutes: float | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    end = float("inf") if minutes is None else loop.time() + minutes * 60
    while not stop.is_set() and loop.time() < end:
        if webhooks is not None:
            await webhooks.push()
        await pause(min(_PUSH_S, end - loop.time()), stop)
    if webhooks is not None:
        await webhooks.close()


def _dump(world: World, file: IO[str]) -> None:
    world.catch_up()
    world.ledger.dump(file)


def _tell(cloud: Cloud, webhooks: Webhooks | None, *, machine: bool) -> None:
    gate = cloud.gate
    cloud.world.catch_up()
    summary: dict[str, object] = {
        "asked": gate.asked,
        "answered": dict(cloud.answers),
        "throttled": gate.throttled,
        "refused": gate.refused,
        "records": len(cloud.world.arrivals),
        "pushed": webhooks.pushed if webhooks else 0,
        "not_taken": webhooks.refused if webhooks else 0,
    }
    if machine:
        show(summary)
        return
    click.echo(
        f"{gate.asked} requests: {gate.throttled} too soon, {gate.refused} refused. "
        f"{summary['records']} records in the cloud, {summary['pushed']} pushed, {summary['not_taken']} not taken."
    )
