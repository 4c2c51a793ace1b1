"""How the gateway is: the short document that is retained on MQTT, the line for systemd, the standing faults."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gateway import __version__, clock
from gateway.config import Config
from gateway.daemon import card, composing, naming, restored, salvaged
from gateway.daemon.adoption import tell_waiting
from gateway.daemon.lines import Lines
from gateway.doctor.disk import room
from gateway.faults import Fault, Faults, weight
from gateway.outbox import BallastKeeper, Outbox


class Health:
    """Reads the parts; changes nothing but the faults that follow from the store's state right now."""

    def __init__(self, config: Config, outbox: Outbox, faults: Faults) -> None:
        self.config = config
        self.card_home: Path | None = None  # the folder in which a first boot left word
        self.ballast: BallastKeeper | None = None
        self.lines: Lines | None = None  # the lines show this document, so they are made after it
        self._outbox = outbox
        self._faults = faults

    def summary(self) -> dict[str, object]:
        """Say in short how the gateway is; this is the retained status document."""
        sinks: dict[str, object] = {}
        for name, line in self.lines or ():
            place = line.forwarder.position
            sinks[name] = {
                "connected": line.forwarder.works,
                "waiting": None if place is None else place.waiting(self._outbox.head),
            }
        return {
            "state": "online",
            "gateway": self.config.gateway.id,
            "name": self.config.gateway.name,
            "site": self.config.site.name,
            "version": __version__,
            "config_hash": self.config.hash,
            "time_synced": clock.standing() == clock.Standing.SYNCED,
            "clock": clock.standing(),
            "received": self._outbox.received,
            "restored": restored.summary(self._outbox.restored),
            "devices_waiting": self._outbox.desk.lobby.devices,
            "sinks": sinks,
            "faults": [fault.as_json() for fault in self.standing()],
        }

    def summary_bytes(self) -> bytes:
        """Give the retained status document."""
        return json.dumps(self.summary(), ensure_ascii=False).encode()

    def one_line(self) -> str:
        """Say how the gateway is in one line, for systemd."""
        faults = self.standing()
        health = f"{len(faults)} faults, first: {faults[0].sentence}" if faults else "all well"
        waiting = self.lines.waiting() if self.lines else 0
        return f"{self._outbox.received} events received, {waiting} waiting; {health}"

    def standing(self) -> list[Fault]:
        """Give the faults, with those that are read off the store's state right now."""
        for name, line in self.lines or ():
            if line.forwarder.position is not None and not line.forwarder.position.lettered:
                self._faults.clear("sink_rejects", name)
        tell_waiting(self._outbox, self._faults)
        failure, space = self._outbox.failure, self._outbox.room.space
        if failure:
            self._faults.report("store_failed", "", failure, again=False)
        else:
            self._faults.clear("store_failed")
        if gone := self._outbox.room.missing():
            self._faults.report(
                "store_gone", "", f"{gone} Devices are told to keep what they send.", again=False
            )
        else:
            self._faults.clear("store_gone")
        short = {one.code: one for one in room(space, self._outbox.settings.directory) if not one.well}
        for code in ("disk_full", "store_full"):
            if code in short:
                self._faults.report(code, "", short[code].sentence, short[code].action, again=False)
            else:
                self._faults.clear(code)
        if self.ballast is not None and self.ballast.missing:
            why = f"No ballast could be made: {self.ballast.missing}. A full disk would hold up deliveries, too."
            self._faults.report("ballast_missing", "", why, again=False)
        else:
            self._faults.clear("ballast_missing")
        salvaged.look(self._outbox.settings.directory, self._faults)
        restored.look(self._outbox, self._faults)
        naming.look(self.config, self._faults)
        card.look(self.card_home, self._faults)
        chosen = composing.names(self.config)
        return sorted((_named(fault, chosen) for fault in self._faults), key=lambda fault: weight(fault.code))


def _named(fault: Fault, chosen: Mapping[str, str]) -> Fault:
    """Say of a device what its owner calls it: nobody knows a door by its serial number."""
    device = fault.subject
    name = chosen.get(device) or chosen.get(device.partition("-")[2])
    if not name or device not in fault.sentence or name in fault.sentence:
        return fault
    return replace(fault, sentence=fault.sentence.replace(device, f"{name} ({device})", 1))
