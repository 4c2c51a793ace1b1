"""Gathers what the views show: the gateway's own word beside what devices and far ends know."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.errors import GatewayError
from gateway.simulate.demo.cast import Cast, Member
from gateway.simulate.demo.site import HTTPS_SINK, MQTT_SINK, Site
from gateway.simulate.demo.snapshot import DeviceRow, SinkRow, Snapshot, today


class Look:
    """The eyes of the demo. While the gateway does not answer, it shows what it saw last."""

    def __init__(self, site: Site, cast: Cast, length_s: float | None, hints: Sequence[str]) -> None:
        self._site, self._cast = site, cast
        self._begun = time.monotonic()
        self._last = Snapshot(site.url, 0.0, length_s, hints=hints)

    async def now(self, note: str) -> Snapshot:
        """Look once."""
        elapsed_s = time.monotonic() - self._begun
        try:
            status = await asyncio.to_thread(self._site.daemon.ask, "/status")
            book = await asyncio.to_thread(self._site.daemon.ask, "/read/devices")
        except GatewayError:
            self._last = replace(self._last, elapsed_s=elapsed_s, note=note)
            return self._last
        pages = {str(page["device"]): page for page in book["done"]}
        self._last = replace(
            self._last,
            elapsed_s=elapsed_s,
            note=note,
            received=status["received"],
            devices=[*self._own(pages), *self._others(pages)],
            sinks=[self._sink(row) for row in status["sinks"]],
            faults=[str(fault["sentence"]) for fault in status["faults"]],
        )
        return self._last

    def _own(self, pages: Mapping[str, Mapping[str, Any]]) -> Sequence[DeviceRow]:
        return [self._row(member, pages.get(member.id)) for member in self._cast.members]

    def _row(self, member: Member, page: Mapping[str, Any] | None) -> DeviceRow:
        device = member.device
        pushes = device.figures.acknowledged
        return DeviceRow(member.name, member.says, pushes, device.waiting, today(page, counts=member.counts))

    def _others(self, pages: Mapping[str, Mapping[str, Any]]) -> Sequence[DeviceRow]:
        """List who else pushed, by hand or for real."""
        return [
            DeviceRow(str(page.get("name") or known_as), "somebody else", None, 0, today(page, counts=None))
            for known_as, page in pages.items()
            if known_as not in self._cast.ids
        ]

    def _sink(self, row: Mapping[str, Any]) -> SinkRow:
        name = str(row["name"])
        far_end, arrived, twice = self._far_end(name)
        return SinkRow(
            name,
            far_end,
            row.get("connected") is not False,
            delivered=row.get("delivered", 0),
            waiting=row.get("waiting", 0),
            lettered=row.get("lettered", 0),
            arrived=arrived,
            twice=twice,
        )

    def _far_end(self, sink: str) -> tuple[str, int, int]:
        if sink == MQTT_SINK:
            subscriber = self._site.subscriber
            distinct = subscriber.distinct
            return "MQTT", distinct, len(subscriber.arrivals) - distinct
        if sink == HTTPS_SINK:
            arrivals = self._site.upstream.ledger
            return "HTTPS", arrivals.unique, len(arrivals.duplicates)
        return "", 0, 0
