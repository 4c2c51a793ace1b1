"""A far end in a process of its own that counts millions of events by their names, one bit for each.

``python counted_end.py mqtt PORT`` subscribes at a broker, ``python counted_end.py https DIRECTORY`` is an upstream. It
answers each line on standard input with one line of JSON, and ends when standard input does.
"""

import base64
import json
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.event import event_id
from gateway.simulate.receiver import Receiver

SECRET = "whsec_" + base64.b64encode(b"a signing secret for tests only!").decode()
LIVE_SERIAL = "3000000000000001"  # of the counter that pushes beside whatever is waiting
LIVE_ENTERS = 1
_LIVE = re.compile(rf"counter-{LIVE_SERIAL}:(\d{{10}}):[0-9a-f]{{20}}")
_RECORD = re.compile(r"00(\d{6})-0000-4000-8000-(\d{12})")
_WINDOW = re.compile(r".*(\d{5}):(\d{10}):[0-9a-f]{20}")
_GATEWAYS_WORD = ("liveness", "occupancy")  # what the gateway says itself is no device's statement


@lru_cache(maxsize=4096)
def _written(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


class Counted:
    """Which numbers of which device have come, whether each said what its number implies, and all that has no number."""

    def __init__(self) -> None:
        self.bits: dict[int, bytearray] = {}
        self.base = 0  # the second in which the windows of a backlog begin
        self.unique = self.doubles = 0  # those with a number
        self.wrong = 0  # came with other content than its name implies
        self.others: set[str] = set()  # ids of what has no number
        self.lives: set[int] = set()  # of these the live counts, by their second
        self.strange: set[str] = set()  # and what is neither a live count nor the gateway's own word
        self.beside: set[int] | None = None  # live counts that came by a subscription of their own
        self.connects = 1

    def take(self, events: Sequence[Mapping[str, Any]], _request: int = 0) -> None:
        """Enter the events of one request; a cloud event holds ours in its data."""
        for event in events:
            self.add(event.get("data", event) if "eventid" in event else event)

    def add(self, event: Mapping[str, Any]) -> None:
        place = self._place(event)
        if place is None:
            self._add_other(event)
            return
        bits, (byte, bit) = self.bits.setdefault(place[0], bytearray()), divmod(place[1], 8)
        if byte >= len(bits):
            bits.extend(bytes(byte - len(bits) + 1))
        known = bits[byte] >> bit & 1
        self.doubles += known
        self.unique += not known
        bits[byte] |= 1 << bit
        self.wrong += not self._is_as_said(event, *place)

    def _add_other(self, event: Mapping[str, Any]) -> None:
        id_ = event["id"]
        self.doubles += id_ in self.others
        self.others.add(id_)
        if live := _LIVE.fullmatch(id_):
            self.lives.add(int(live[1]))
            self.wrong += event["data"].get("enters") != LIVE_ENTERS
        elif event.get("kind") not in _GATEWAYS_WORD:
            self.strange.add(id_)

    def add_beside(self, event: Mapping[str, Any]) -> None:
        """Enter what came by the subscription to live counts only."""
        if self.beside is not None and (live := _LIVE.fullmatch(event["id"])):
            self.beside.add(int(live[1]))

    def _place(self, event: Mapping[str, Any]) -> tuple[int, int] | None:
        record = _RECORD.fullmatch(str(event["data"].get("uuid", "")))
        if record:
            return int(record[1]), int(record[2])
        window = self.base and _WINDOW.fullmatch(event["id"])
        if window and 50_000 <= int(window[1]) < 50_100:
            turn, rest = divmod(int(window[2]) - self.base, 60)
            return None if rest or turn < 0 else (int(window[1]), turn)
        return None

    def _is_as_said(self, event: Mapping[str, Any], number: int, turn: int) -> bool:
        """Say whether device, time and content are what goes with a number; `replay.c` and `fill.py` make them so."""
        data, kind = event["data"], event["kind"]
        if "uuid" in data:
            device = f"terminal-scale{number:06d}"
            named = event_id(device, "access", data["uuid"])
            return (device, named, "access", "allowed", "employee") == (
                event["device"],
                event["id"],
                kind,
                data.get("result"),
                data.get("person"),
            )
        said = f"counter-9000000000000{number}", "count", turn % 10, _written(self.base + 60 * turn)
        return said == (event["device"], kind, data.get("enters"), event["time"])

    def judge(self, owed: Mapping[str, int], spare: int, lives: Collection[int] = ()) -> dict[str, int]:
        """Hold against what each device is owed: its first so many; ``spare`` more may have come unanswered.

        Of the live counts every one is owed, and by the subscription of their own as well.
        """
        missing = spurious = 0
        for name, count in owed.items():
            value = int.from_bytes(self.bits.get(int(name), b""), "little")
            missing += count - (value & (1 << count) - 1).bit_count()
            spurious += (value >> count + spare).bit_count()
        spurious += sum(
            bits.count(0) < len(bits) for number, bits in self.bits.items() if str(number) not in owed
        )
        for came in (self.lives, self.beside):
            if came is not None:
                missing += len(set(lives) - came)
                spurious += len(came - set(lives))
        return {
            "missing": missing,
            "wrong": self.wrong,
            "spurious": spurious + len(self.strange),
            "doubles": self.doubles,
            "unique": self.unique,
        }


class Upstream(Counted):
    """What `Receiver` enters its events into."""

    duplicates: Sequence[object] = ()

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.receiver = Receiver(directory, secrets=(SECRET,))
        self.receiver.ledger = self  # type: ignore[assignment]  # it only ever enters into it
        self.receiver.start()

    def __len__(self) -> int:
        return self.unique + self.doubles


def answer(counted: Counted, words: Sequence[str]) -> dict[str, Any]:
    """Answer one line."""
    match words:
        case ["base", second]:
            counted.base = int(second)
        case ["leave"] if isinstance(counted, Upstream):
            counted.receiver.stop()
        case ["return"] if isinstance(counted, Upstream):
            counted.receiver.start()
        case ["has", second]:
            return {"has": int(second) in counted.lives or int(second) in (counted.beside or ())}
        case ["judge", path, spare]:
            said = json.loads(Path(path).read_text())
            return counted.judge(said["owed"], int(spare), said["lives"])
    told = {name: getattr(counted, name) for name in ("unique", "doubles", "connects")}
    # The fewest of its subscriptions: whoever waits for the live counts waits for all of them.
    return {**told, "lives": len(counted.lives if counted.beside is None else counted.lives & counted.beside)}


def subscribed(port: int) -> Counted:
    """Take what comes from a broker, in a thread of the client."""
    counted = Counted()
    counted.connects, counted.beside = 0, set()

    def connected(client: Client, *_: object) -> None:
        counted.connects += 1
        client.subscribe("gateway/+/+/event", qos=1)

    client = Client(CallbackAPIVersion.VERSION2, client_id="counted", protocol=5)
    client.on_connect = connected
    client.on_message = lambda _client, _data, message: counted.add(json.loads(message.payload))
    _begin(client, port)
    # The queue of the first client is in the broker and not in the gateway: what is live must not wait there.
    live = Client(CallbackAPIVersion.VERSION2, client_id="live", protocol=5)
    live.on_connect = lambda client, *_: client.subscribe(f"gateway/+/counter-{LIVE_SERIAL}/event", qos=1)
    live.on_message = lambda _client, _data, message: counted.add_beside(json.loads(message.payload))
    _begin(live, port)
    return counted


def _begin(client: Client, port: int) -> None:
    """Connect; what comes while the broker is away from us waits in it."""
    keep = Properties(PacketTypes.CONNECT)
    keep.SessionExpiryInterval = 86_400
    client.reconnect_delay_set(1, 2)
    client.connect("127.0.0.1", port, clean_start=False, properties=keep)
    client.loop_start()


def main(kind: str, where: str) -> None:
    told: dict[str, Any] = {}
    if kind == "mqtt":
        counted = subscribed(int(where))
    else:
        counted = Upstream(Path(where))
        told = {"url": counted.receiver.url, "ca": str(counted.receiver.ca_file)}
    print(json.dumps(told), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(counted, line.split())), flush=True)
    if isinstance(counted, Upstream):
        counted.receiver.stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
