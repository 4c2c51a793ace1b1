"""Wait for the first push of a device that was just set up, and say why none came."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from gateway.commands.asking import plain
from gateway.control.client import Client, DaemonDown
from gateway.errors import GatewayError

_LOOK_S = 1.0  # at the book, for a push that came in while the live view was being opened
Push = dict[str, Any]


@dataclass(slots=True)
class Waiting:
    """Pushes of one source from one address, or from anywhere, as they come in."""

    client: Client
    source: str
    address: str | None
    odd: str | None = None  # what came from there and is not what is waited for
    _pushes: "queue.SimpleQueue[Push]" = field(default_factory=queue.SimpleQueue)
    _began: str = ""
    _before: dict[str, str] = field(default_factory=dict)  # device: last seen

    def begin(self) -> dict[str, Any]:
        """Look from now on; give the daemon's status. Raises `DaemonDown` when there is no daemon."""
        told = self.client.get("/status")
        self._began = str(told["time"])
        self._before = {str(row["device"]): str(row["last_seen"]) for row in self._read("devices")}
        threading.Thread(target=self._follow, name="pushes", daemon=True).start()
        return told

    def _follow(self) -> None:
        try:
            for push in self.client.tail():
                self._pushes.put(push)
        except GatewayError:
            return  # the gateway stopped: the wait ends without a push, and the next question to it says so

    def pushes(self, seconds: float, wanted: Callable[[Push], bool] = lambda _push: True) -> Iterator[Push]:
        """Give what comes within so many seconds."""
        end = time.monotonic() + seconds
        while (left_s := end - time.monotonic()) > 0:
            try:
                push = self._pushes.get(timeout=min(left_s, _LOOK_S))
            except queue.Empty:
                continue
            if self._is_it(push) and wanted(push):
                yield push

    def first(self, seconds: float) -> Push | None:
        """Give the first push that was understood; None when there was none in time."""
        end = time.monotonic() + seconds
        while (left_s := end - time.monotonic()) > 0:
            found = next(self.pushes(min(left_s, _LOOK_S * 2)), None) or self._from_the_book()
            if found is not None:
                return found
        return None

    def device(self, push: Push) -> dict[str, Any] | None:
        """Give what the book of devices says about the sender of a push."""
        names = [event["device"] for event in push["events"]]
        rows = self._read("devices", device=names[0]) if names else []
        return rows[0] if rows else None

    def known_there(self) -> list[str]:
        """Name the devices of the book that pushed last from the address."""
        return [
            str(row["device"])
            for row in self._read("devices")
            if row["source"] == self.source and self.address and _same(str(row["address"]), self.address)
        ]

    def _is_it(self, push: Push) -> bool:
        if self.address is not None and not _same(str(push["sender"]), self.address):
            return False
        if push["source"] == self.source and push["events"]:
            return True
        if self.address is not None:
            self.odd = f"{plain(push['method'])} {plain(push['path'])}: {plain(push['outcome'])}"
        return False

    def _from_the_book(self) -> Push | None:
        family = {"face_terminal": "terminal-", "people_counter": "counter-"}[self.source]
        for row in self._read("devices"):
            there = self.address is None or _same(str(row["address"]), self.address)
            news = str(row["last_seen"]) != self._before.get(str(row["device"]))
            if there and news and str(row["device"]).startswith(family):
                event = {"device": row["device"], "kind": row.get("last_kind"), "data": {}}
                return {"events": [event], "sender": row["address"], "path": row["path"], "outcome": "kept"}
        return None

    def _read(self, name: str, **query: str) -> list[dict[str, Any]]:
        try:
            told = self.client.get(f"/read/{name}", **query)["done"]
        except DaemonDown:
            raise
        except GatewayError:
            return []
        return told if isinstance(told, list) else []

    def why_not(self) -> list[str]:
        """Say what the gateway saw instead of a push, the most telling first."""
        told = self.client.get("/status")
        return [*self._visits(told), *self._refusals(told), *([self.odd] if self.odd else ())]

    def _visits(self, told: dict[str, Any]) -> Iterator[str]:
        for visit in reversed(told.get("visitors", [])):
            mine = self.address is not None and _same(str(visit["address"]), self.address)
            if mine and str(visit["time"]) >= self._began:
                yield (
                    f"{visit['address']} came with {plain(visit['method'])} {plain(visit['path'])}, which is no push: either"
                    " somebody tested the connection from there, or the address was typed into"
                    " remote_authentication_address. Empty that setting: it lets a server decide about the door."
                )
                return

    def _refusals(self, told: dict[str, Any]) -> Iterator[str]:
        for fault in told.get("faults", []):
            if self.address is not None and self._concerns(fault):
                yield f"{plain(fault['sentence'])} {plain(fault['action'])}"

    def _concerns(self, fault: dict[str, Any]) -> bool:
        # A pinned device is the subject of its refusal; from where it was refused is in the sentence.
        pinned = (
            fault["code"] == "pinned_device_refused"
            and str(fault.get("last") or fault["since"]) >= self._began
        )
        return self.address in str(fault["sentence" if pinned else "subject"]).split()


def _same(one: str, other: str) -> bool:
    try:
        return ip_address(one) == ip_address(other)
    except ValueError:
        return one == other
