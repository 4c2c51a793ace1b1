"""A site whose three lines (devices, broker, upstream) can go bad, and how to watch it notice and recover."""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPResponse
from typing import Any

from bad_line import FINE, BadLine, Weather
from experiment import Experiment
from site_under_test import Site
from trouble import WAIT_S, none_stands, until

FAR_ENDS = ("home", "cloud")
# Short deadlines, so that a far end that says nothing is noticed within a test.
IMPATIENT = {
    "home": "timeout_s = 1.5\nkeepalive_s = 5",
    "window": 50,
    "batch": 20,
}
_UPSTREAM_S = 1.5
_SLACK_S = 3.0


class LinedSite:
    """Puts a bad line before the daemon, one before the broker and one before the upstream."""

    def __init__(
        self, site: Site, *, seed: int = 1, upstream_s: float = _UPSTREAM_S, broker_port: int = 0
    ) -> None:
        self.site = site
        self.home = BadLine(broker_port or site.broker.port, seed=seed).start()
        self.cloud = BadLine(site.upstream.port, seed=seed + 1).start()
        self.lan = BadLine(site.daemon.port, seed=seed + 2).start()
        self.url = f"http://127.0.0.1:{self.lan.port}/push"
        self._spells: list[
            tuple[str, float, float]
        ] = []  # far end, and Unix time from and to which it was in trouble
        self.configure(
            (f"127.0.0.1:{site.broker.port}", f"127.0.0.1:{self.home.port}"),
            (f"127.0.0.1:{site.upstream.port}/", f"127.0.0.1:{self.cloud.port}/"),
            ("timeout_s = 5\n", f"timeout_s = {upstream_s}\n"),
        )

    def configure(self, *changes: tuple[str, str]) -> None:
        """Change the configuration file before the daemon reads it."""
        text = self.site.daemon.config.read_text()
        for old, new in changes:
            assert old in text, f"{old!r} is not in the configuration"
            text = text.replace(old, new)
        self.site.daemon.config.write_text(text)

    def close(self) -> None:
        for line in (self.home, self.cloud, self.lan):
            line.close()

    def line(self, far_end: str) -> BadLine:
        return {"home": self.home, "cloud": self.cloud, "lan": self.lan}[far_end]

    def status(self) -> dict[str, Any]:
        """Ask the daemon itself, as `gateway status` does, but without a new process or client each time. Blocks."""
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(WAIT_S)
            asking.connect(str(self.site.directory / "control.sock"))
            asking.sendall(b"GET /status HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n")
            answer = HTTPResponse(asking)
            answer.begin()
            return json.loads(answer.read())

    def arrived(self, far_end: str) -> int:
        """How many different events are there."""
        return self.site.subscriber.distinct if far_end == "home" else self.site.upstream.ledger.unique

    def _came(self, far_end: str) -> int:
        """How many deliveries there were."""
        if far_end == "home":
            return len(self.site.subscriber.arrivals)
        return len(self.site.upstream.ledger.deliveries)

    def _received_at(self, far_end: str, place: int) -> datetime | None:
        if far_end == "home":
            event = self.site.subscriber.arrivals[place].event
        else:
            event = self.site.upstream.ledger.deliveries[place].data
        return datetime.fromisoformat(event["received_at"]) if event else None

    def doubles(self, far_end: str) -> int:
        return self._came(far_end) - self.arrived(far_end)

    def may_double(self, *far_ends: str) -> int:
        """Say how much the connections that ended explain: each had no more than a window on the way."""
        ended = [self.line(far_end).did["connections"] - 1 for far_end in far_ends or FAR_ENDS]
        return sum(self.site.window * max(0, number) for number in ended)

    def note(self, far_end: str, began: float) -> None:
        """Note that a far end was in trouble from then until now."""
        self._spells.append((far_end, began, time.time()))

    def doubles_only_in_trouble(self, far_end: str) -> None:
        """Hold that whatever came twice came for the first time just before or in a spell of trouble."""
        first: dict[tuple[str, int], float] = {}
        spells = [
            (began - _SLACK_S, ended + _SLACK_S) for where, began, ended in self._spells if where == far_end
        ]
        unplanned = [
            at for at in self._outages(far_end) if not any(began <= at <= ended for began, ended in spells)
        ]
        # A daemon that gives up now and then for no reason of ours must not excuse its doubles by that.
        assert len(unplanned) <= 2 + len(spells) // 10, (
            f"{far_end} was given up out of trouble at {unplanned}"
        )
        spells += [(at - 2 * _SLACK_S, at + _SLACK_S) for at in unplanned]
        for mark, at in self._marks(far_end):
            if (seen := first.setdefault(mark, at)) is not at:
                assert any(began <= seen <= ended for began, ended in spells), (
                    f"{mark} doubled out of trouble"
                )

    def _outages(self, far_end: str) -> Iterator[float]:
        """Read from its log when the daemon gave up a far end; on a busy machine it does that beside the plan, too."""
        told = (line for line in self.site.daemon.log.read_text().splitlines() if line.startswith("{"))
        for said in map(json.loads, told):
            if (said.get("event"), said.get("sink")) == ("sink_unavailable", far_end):
                yield datetime.fromisoformat(said["timestamp"]).timestamp()

    def _marks(self, far_end: str) -> list[tuple[tuple[str, int], float]]:
        if far_end == "home":
            arrivals = [one for one in self.site.subscriber.arrivals if one.event]
            return [((one.event["id"], one.event["revision"]), one.at) for one in arrivals]
        unix = time.time() - time.monotonic()
        return [((one.id, one.revision), one.at + unix) for one in self.site.upstream.ledger.deliveries]

    def still(self) -> None:
        """Wait until the subscriber has got everything that the broker has for it. Blocks."""
        seen = -1
        while seen != len(self.site.subscriber.arrivals):
            seen = len(self.site.subscriber.arrivals)
            time.sleep(0.3)

    def back(self, connects: int) -> None:
        """Wait until the subscriber has connected once more than so often. Blocks."""
        for _ in turns():
            if self.site.subscriber.connects > connects:
                return
            time.sleep(0.05)
        raise AssertionError("the subscriber did not come back")

    async def fault(self, far_end: str, codes: Collection[str]) -> str:
        """Wait until the status names one of these faults for a sink; give its code."""
        names: set[str] = set()
        for _ in turns():
            names |= (standing := await asyncio.to_thread(self._standing, far_end))
            if found := standing & set(codes):
                return found.pop()
            await asyncio.sleep(0.1)
        raise AssertionError(f"{far_end}: none of {codes} was named, only {names}")

    async def cleared(self, far_end: str) -> None:
        """Wait until the status names no fault of a sink any more, other than what lies with single events."""
        await none_stands(lambda: self._standing(far_end))

    def _standing(self, far_end: str) -> set[str]:
        named = {fault["code"] for fault in self.status()["faults"] if fault["subject"] == far_end}
        return named - {"sink_rejects"}

    async def new_since(self, since: datetime, far_ends: Collection[str] = FAR_ENDS) -> float:
        """Wait until something that came after an instant, and over the line of the devices, is there; give the seconds."""
        place = {far_end: max(0, self._came(far_end) - 200) for far_end in far_ends}
        waiting = set(far_ends)
        for _ in turns():
            for far_end in list(waiting):
                while place[far_end] < self._came(far_end):
                    received = self._received_at(far_end, place[far_end])
                    place[far_end] += 1
                    if received is not None and received > since:
                        waiting.discard(far_end)
                        break
            if not waiting:
                return (datetime.now(UTC) - since).total_seconds()
            await asyncio.sleep(0.02)
        raise AssertionError(f"nothing new came to {waiting}\n{self.site.daemon.tail()}")


def turns(most_s: float = WAIT_S) -> Iterator[None]:
    """Give turns of a wait until it took too long."""
    deadline = time.monotonic() + most_s
    while time.monotonic() < deadline:
        yield


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """One kind of trouble at one far end: how it begins and ends, what proves it, and what the status calls it."""

    name: str  # as in the table
    far_end: str  # home, cloud, or lan: then devices suffer, and both sinks have nothing to say
    begin: Callable[[], object]
    over: Callable[[], object]
    proof: Callable[[], int]  # grows while the trouble does something
    codes: Collection[str] = ()  # one of these faults is named meanwhile; none: it is no outage


def weather(lines: LinedSite, far_end: str, kind: str, how: Weather, proof: str, *codes: str) -> Trouble:
    """Make trouble of bad weather on one of the lines."""
    line = lines.line(far_end)

    def put(new: Weather) -> Callable[[], None]:
        return lambda: setattr(line, "weather", new)

    return Trouble(
        name=f"{far_end} {kind}",
        far_end=far_end,
        begin=put(how),
        over=put(FINE),
        proof=lambda: line.did[proof],
        codes=codes,
    )


async def suffer(lines: LinedSite, experiment: Experiment, trouble: Trouble, *, hold_s: float) -> None:
    """Let one trouble happen, see it named, the other sink untouched, and everything well afterwards."""
    other = next(far_end for far_end in FAR_ENDS if far_end != trouble.far_end)
    is_lan = trouble.far_end == "lan"
    before, there, began = trouble.proof(), lines.arrived(other), time.time()
    await asyncio.to_thread(trouble.begin)
    if trouble.codes:
        await lines.fault(trouble.far_end, trouble.codes)
    await asyncio.sleep(hold_s)
    await until(lambda: trouble.proof() > before, f"{trouble.name} happens")
    if not is_lan:
        await until(lambda: lines.arrived(other) > there, f"{other} goes on in spite of {trouble.name}")
    over = datetime.now(UTC)
    await asyncio.to_thread(trouble.over)
    experiment.hit(trouble.name)
    lines.note(trouble.far_end, began)
    recovered_s = await lines.new_since(over)
    experiment.recovered(recovered_s)
    for far_end in FAR_ENDS if is_lan else (trouble.far_end,):
        await lines.cleared(far_end)
    print(
        f"{trouble.name}: {time.time() - began:.1f} s in all, {recovered_s:.1f} s until something fresh was there"
    )


async def owed(ledger: Any, number: int) -> None:
    """Wait until so many answers were given: on a busy machine devices say less in the time of a short form."""
    await until(lambda: len(ledger.obligations()) >= number, f"{number} pushes are accepted")


async def settled(lines: LinedSite, experiment: Experiment, ledger: Any) -> None:
    """Wait until everything is delivered and hold both far ends against what the devices said."""
    await asyncio.to_thread(lines.site.settle)
    experiment.owe(len(ledger.obligations()))
    for far_end, verdict in lines.site.judge(ledger, told=experiment.judge).items():
        most = lines.may_double(far_end)
        assert len(verdict.duplicates) <= most, f"{far_end}: {verdict}, its connections explain {most}"
    assert not lines.site.upstream.ledger.conflicts
