"""Runs the demo from its first process to its account, and leaves nothing behind, however it ends."""

import asyncio
import shlex
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.errors import GatewayError
from gateway.simulate.clock import pause
from gateway.simulate.demo.cast import Cast, sample_push
from gateway.simulate.demo.daemon import Ask
from gateway.simulate.demo.looking import Look
from gateway.simulate.demo.site import HTTPS_SINK, MQTT_SINK, Site
from gateway.simulate.demo.trouble import Trouble
from gateway.simulate.demo.verdict import Account, FarEnd, settle, tally_problems
from gateway.simulate.demo.views import View
from gateway.simulate.terminal import Terminal

_DRAIN_S = 45.0
_LAST_HOP_S = 10.0  # from the broker, which has acknowledged, to the subscriber
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person wants to see."""

    length_s: float | None = None  # None: until it is ended
    directory: Path | None = None  # None: a temporary one
    speed: float = 1.0
    calm: bool = False  # nothing goes wrong on purpose
    broker: Literal["mosquitto", "iotcore"] | None = None
    program: str = "gateway"  # what a person types to call a command of ours


async def run(wish: Wish, ask: Ask, view: View) -> Account:
    """Show the demo and draw up its account; raises `GatewayError` when it cannot be run."""
    with _workplace(wish.directory) as directory:
        async with aclosing(Site(directory, ask, wish.broker)) as site:
            demo = Demo(wish, site, view)
            with demo.ended_by_signals():
                await site.start()
                return await demo.run()


class Demo:
    """One showing on a site."""

    def __init__(self, wish: Wish, site: Site, view: View) -> None:
        self._wish, self._site, self._view = wish, site, view
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()  # asked a second time: what waits may stay where it is
        self._trouble = Trouble(site, view.announce)
        self._note = ""

    @contextmanager
    def ended_by_signals(self) -> Iterator[None]:
        """Let Ctrl-C and its like end the demo in order."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._asked_to_end)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _asked_to_end(self) -> None:
        (self._hurry if self._stop.is_set() else self._stop).set()

    async def run(self) -> Account:
        """Play, wait until everything has arrived, stop the gateway, and count."""
        site, cast = self._site, Cast(self._site.url, self._wish.speed).gather()
        (site.directory / "push.xml").write_bytes(sample_push(time.time()))
        hints = _hints(self._wish.program, site)
        with self._view:
            self._view.begin(site.url, hints)
            look = Look(site, cast, self._wish.length_s, hints)
            watching = asyncio.create_task(self._watch(look))
            try:
                await self._play(cast)
                self._note = "The devices have stopped; what still waits is on its way."
                await self._drain()
                problems = await self._tallies(cast)
                self._note = "The gateway stops."
                problems += await self._end_gateway()
            finally:
                watching.cancel()
                with suppress(asyncio.CancelledError):
                    await watching
        account = await self._settle(cast)
        account.problems += problems
        return account

    async def _play(self, cast: Cast) -> None:
        stop, length_s = self._stop, self._wish.length_s
        async with asyncio.TaskGroup() as tasks:
            for member in cast.members:
                tasks.create_task(member.device.run(stop=stop))
            if not self._wish.calm:
                tasks.create_task(self._trouble.play(length_s, stop))
            last = None if length_s is None else time.monotonic() + length_s
            while (
                not stop.is_set() and self._site.daemon.running and (last is None or time.monotonic() < last)
            ):
                await pause(1.0 if last is None else min(max(last - time.monotonic(), 0.0), 1.0), stop)
            stop.set()

    async def _watch(self, look: Look) -> None:
        """Show how it goes; when nobody can see it any more, end."""
        view = self._view
        with suppress(OSError):
            while True:
                view.show(await look.now(self._note or self._trouble.note))
                await asyncio.sleep(view.every_s)
        self._stop.set()

    async def _drain(self) -> None:
        """Wait until no sink has anything waiting, for a while."""
        last = time.monotonic() + _DRAIN_S
        while time.monotonic() < last and not self._hurry.is_set():
            try:
                status = await asyncio.to_thread(self._site.daemon.ask, "/status")
            except GatewayError:
                return  # it does not run any more, which is told later
            if not any(sink.get("waiting") for sink in status["sinks"]):
                return
            await pause(0.2, self._hurry)

    async def _tallies(self, cast: Cast) -> list[str]:
        serials = {member.id: member.serial for member in cast.members if member.counts}
        try:
            book = await asyncio.to_thread(self._site.daemon.ask, "/read/devices")
        except GatewayError:
            return []
        return tally_problems(cast.ledger, serials, book["done"])

    async def _end_gateway(self) -> list[str]:
        daemon = self._site.daemon
        alone = not daemon.running
        status = await asyncio.to_thread(daemon.stop)
        if status == 0 and not alone:
            return []
        how = (
            "was ended by force, because it did not stop" if status is None else f"ended with status {status}"
        )
        when = "in the middle of the demo" if alone else "at its stop"
        return [f"The gateway {how}, {when}. The end of its log:\n{daemon.last_lines()}"]

    async def _settle(self, cast: Cast) -> Account:
        site = self._site
        rows = await asyncio.to_thread(site.daemon.accounts)
        delivered = max([row["delivered"] for row in rows if row["name"] == MQTT_SINK], default=0)
        await asyncio.to_thread(site.subscriber.wait_for, delivered, _LAST_HOP_S)
        upstream = site.upstream
        complaints = [f"The upstream got something malformed: {what}." for what in upstream.malformed[:1]]
        if upstream.bad_signatures:
            complaints.append(f"{upstream.bad_signatures} requests to the upstream had a wrong signature.")
        far_ends = (
            FarEnd(MQTT_SINK, "MQTT subscriber", site.subscriber.events),
            FarEnd(HTTPS_SINK, "HTTPS receiver", list(upstream.ledger.messages()), complaints),
        )
        account = settle(cast.ledger, cast.ids, rows, far_ends)
        account.problems += _device_problems(cast)
        return account


def _device_problems(cast: Cast) -> list[str]:
    figures = [member.device.figures for member in cast.members]
    problems = []
    if any(one.attempts for one in figures) and not any(one.acknowledged for one in figures):
        problems.append("The devices pushed, and the gateway acknowledged nothing.")
    doors = sum(member.device.doors_opened for member in cast.members if isinstance(member.device, Terminal))
    if doors:
        problems.append(f"{doors} replies could have opened a door.")
    return problems


def _hints(program: str, site: Site) -> Sequence[str]:
    """Name commands that a person can copy into a second terminal."""
    directory = shlex.quote(str(site.directory))
    hints = [f"{program} -c {directory}/config.toml {command}" for command in ("status", "tail", "devices")]
    hints.append(f"curl --data-binary @{directory}/push.xml {site.url}")
    if shutil.which("mosquitto_sub"):
        hints.append(f"mosquitto_sub -h 127.0.0.1 -p {site.broker.port} -v -t 'gateway/#'")
    return hints


@contextmanager
def _workplace(wanted: Path | None) -> Iterator[Path]:
    """Give an empty directory: the named one, which stays, or a temporary one, which does not."""
    if wanted is None:
        with tempfile.TemporaryDirectory(prefix="gwdemo-") as name:
            yield Path(name)
        return
    directory = wanted.absolute()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        used = any(directory.iterdir())
    except OSError as error:
        raise GatewayError(f"The demo cannot use {directory}: {error.strerror or error}.") from error
    if used:
        raise GatewayError(f"{directory} is not empty. Name a directory that is empty or does not exist yet.")
    yield directory
