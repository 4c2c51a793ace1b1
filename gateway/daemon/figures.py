"""Gather the gateway's figures for those who watch it from afar; what cannot be read is missing, never zero."""

import contextlib
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway import __version__, clock
from gateway.control import views
from gateway.daemon.health import Health
from gateway.daemon.refusals import word
from gateway.daemon.verdict import Verdict
from gateway.errors import StoreUnavailable
from gateway.faults import ACTIONS
from gateway.monitoring import process
from gateway.monitoring.exposition import Sample, exposition
from gateway.monitoring.families import FAMILIES
from gateway.outbox import Outbox, disk
from gateway.outbox.connection import FILE_NAME
from gateway.receiver import Receiver

_STATES = ("online", "silent", "gone", "cannot_tell", "unknown")
_ACCOUNT = {
    "gateway_sink_waiting_events": "waiting",
    "gateway_sink_received_events_total": "received",
    "gateway_sink_delivered_events_total": "delivered",
    "gateway_sink_lettered_events": "lettered",
    "gateway_sink_expired_events_total": "expired",
    "gateway_sink_lost_events_total": "lost",
}

Samples = dict[str, list[Sample]]


@dataclass(slots=True)
class Port:
    """What one port counts."""

    receiver: Callable[[], Receiver | None]  # None while the port is not wanted
    refused: Mapping[str, int]


@dataclass(slots=True)
class Figures:
    """Reads the parts; called in a thread."""

    health: Health
    verdict: Verdict
    ports: Mapping[str, Port]

    def page(self) -> str:
        """Give all that is known, in the text format of Prometheus."""
        self.health.standing()  # faults that are read off the store are up to date then
        return exposition(FAMILIES, self._gathered())

    def _gathered(self) -> Mapping[str, Sequence[Sample]]:
        told: Samples = {}
        told |= self._itself()
        told |= self._received()
        told |= self._kept()
        told |= self._sinks()
        return told | process.figures(clock.now().timestamp())

    def _itself(self) -> Samples:
        config, verdict = self.verdict.config, self.verdict
        standing = Counter(fault.code for fault in verdict.faults)
        who = (config.gateway.id, config.site.name, __version__, config.hash)
        return {
            "gateway_info": [(who, 1)],
            "gateway_healthy": [((), verdict.health()[0])],
            "gateway_ready": [((), verdict.readiness()[0])],
            # All codes, so that a rule can tell "all well" from "nobody knows".
            "gateway_faults": [((code,), standing[code]) for code in sorted(ACTIONS)],
            "gateway_clock_synced": [((), clock.standing() == clock.Standing.SYNCED)],
        }

    def _received(self) -> Samples:
        outbox, told = self.verdict.outbox, Counted()
        for name, port in self.ports.items():
            told.refused(name, port.refused)
            receiver = port.receiver()
            if receiver is not None:
                told.pushed(name, receiver)
        arrived = sorted(outbox.arrivals.counts().items())
        states = Counter(sign.state or "unknown" for sign in outbox.signs.all())
        return told.samples | {
            "gateway_events_total": [(key, count) for key, count in arrived],
            "gateway_source_last_event_age_seconds": [
                ((source,), round(age, 1)) for source, age in sorted(outbox.arrivals.ages_s().items())
            ],
            "gateway_devices": [((state,), states[state]) for state in _STATES],
            "gateway_devices_waiting": [((), outbox.desk.lobby.devices)],
        }

    def _kept(self) -> Samples:
        outbox = self.verdict.outbox
        space, folder = outbox.room.space, outbox.settings.directory
        told: Samples = {
            "gateway_store_writable": [((), outbox.failure is None)],
            "gateway_commits_total": [((), outbox.commits)],
            "gateway_store_used_bytes": [((), space.used)],
            "gateway_store_limit_bytes": [((), space.limit)],
            "gateway_disk_reserve_bytes": [((), space.disk_reserve)],
        }
        with contextlib.suppress(OSError):
            told["gateway_disk_free_bytes"] = [((), disk.free(folder))]
            told["gateway_disk_size_bytes"] = [((), shutil.disk_usage(folder).total)]
        if self.health.ballast is not None:
            told["gateway_ballast_bytes"] = [((), self.health.ballast.held)]
        for name, file in {
            "gateway_store_size_bytes": folder / FILE_NAME,
            "gateway_wal_size_bytes": folder / f"{FILE_NAME}-wal",
        }.items():
            with contextlib.suppress(OSError):
                told[name] = [((), file.stat().st_size)]
        return told

    def _sinks(self) -> Samples:
        lines, told = self.verdict.lines, Counted()
        for name, line in lines:
            if line.forwarder.works is not None:
                told.add("gateway_sink_connected", (name,), line.forwarder.works)
        try:
            accounts, letters = _of_store(self.verdict.outbox)
        except (sqlite3.Error, OSError, StoreUnavailable):
            told.add("gateway_store_readable", (), 0)
            return told.samples
        told.add("gateway_store_readable", (), 1)
        for stage in ("parse", "adopt", "deliver"):
            told.add("gateway_letters", (stage,), letters.get(stage, 0))
        for account in accounts:
            name = str(account["name"])
            section = self.verdict.config.sinks.get(name)
            if section is not None and section.enabled:
                told.account(name, account)
        return told.samples


class Counted:
    """Samples that are gathered one by one."""

    def __init__(self) -> None:
        self.samples: Samples = {}

    def add(self, family: str, labels: tuple[str, ...], value: float) -> None:
        """Add one."""
        self.samples.setdefault(family, []).append((labels, value))

    def refused(self, port: str, refused: Mapping[str, int]) -> None:
        """Add what a port turned away, by words of which there are few."""
        words: Counter[str] = Counter()
        for reason, count in dict(refused).items():
            words[word(reason)] += count
        for reason in sorted(words):
            self.add("gateway_refused_requests_total", (port, reason), words[reason])

    def pushed(self, port: str, receiver: Receiver) -> None:
        """Add what came in through a port."""
        counters = receiver.counters
        self.add("gateway_pushes_total", (port,), counters.posts)
        self.add("gateway_duplicate_events_total", (port,), counters.duplicates)
        self.add("gateway_unreadable_pushes_total", (port,), counters.letters)
        self.add("gateway_refused_pushes_total", (port,), counters.refused)
        if receiver.last_post is not None:
            self.add("gateway_last_push_age_seconds", (port,), round(clock.steady() - receiver.last_post, 1))

    def account(self, sink: str, account: Mapping[str, object]) -> None:
        """Add the account of a sink. An age that nobody knows is missing."""
        for family, part in _ACCOUNT.items():
            self.add(family, (sink,), float(str(account[part])))
        age_s = account["oldest_waiting_s"]
        if isinstance(age_s, float):
            self.add("gateway_sink_oldest_waiting_age_seconds", (sink,), age_s)
        elif not account["waiting"]:
            self.add("gateway_sink_oldest_waiting_age_seconds", (sink,), 0)


def _of_store(outbox: Outbox) -> tuple[list[dict[str, object]], Mapping[str, int]]:
    # What lies there now may be another store, and its figures those of others.
    if why := outbox.room.missing():
        raise StoreUnavailable(why)
    with outbox.looking() as conn:
        return views.sink_accounts(conn), views.letter_counts(conn)
