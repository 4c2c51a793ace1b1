"""A far end in a process of its own that counts millions of events by their names, one bit for each.

``python counted_end.py mqtt PORT`` subscribes at a broker, ``python counted_end.py https DIRECTORY`` is an upstream. It
answers each line on standard input with one line of JSON, and ends when standard input does.
"""

import base64
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.simulate.receiver import Receiver

SECRET = "whsec_" + base64.b64encode(b"a signing secret for tests only!").decode()
_RECORD = re.compile(r"00(\d{6})-0000-4000-8000-(\d{12})")
_WINDOW = re.compile(r".*(\d{5}):(\d{10}):[0-9a-f]{20}")


class Counted:
    """Which numbers of which device have come, and the ids of what has no number."""

    def __init__(self) -> None:
        self.bits: dict[int, bytearray] = {}
        self.base = 0  # the second in which the windows of a backlog begin
        self.unique = self.doubles = 0  # those with a number
        self.live: set[str] = set()  # ids that came by a subscription of their own
        self.others: set[str] = set()  # ids of what has no number

    def take(self, events: Sequence[Mapping[str, Any]], _request: int = 0) -> None:
        """Enter the events of one request; a cloud event holds ours in its data."""
        for event in events:
            self.add(event.get("data", event) if "eventid" in event else event)

    def add(self, event: Mapping[str, Any]) -> None:
        place = self._place(event)
        if place is None:
            self.doubles += event["id"] in self.others
            self.others.add(event["id"])
            return
        bits, (byte, bit) = self.bits.setdefault(place[0], bytearray()), divmod(place[1], 8)
        if byte >= len(bits):
            bits.extend(bytes(byte - len(bits) + 1))
        known = bits[byte] >> bit & 1
        self.doubles += known
        self.unique += not known
        bits[byte] |= 1 << bit

    def _place(self, event: Mapping[str, Any]) -> tuple[int, int] | None:
        record = _RECORD.fullmatch(str(event["data"].get("uuid", "")))
        if record:
            return int(record[1]), int(record[2])
        window = self.base and _WINDOW.fullmatch(event["id"])
        if window and 50_000 <= int(window[1]) < 50_100:
            return int(window[1]), (int(window[2]) - self.base) // 60
        return None

    def judge(self, owed: Mapping[str, int], spare: int) -> dict[str, int]:
        """Hold against what each device is owed: its first so many; ``spare`` more may have come unanswered."""
        missing = spurious = 0
        for name, count in owed.items():
            value = int.from_bytes(self.bits.get(int(name), b""), "little")
            missing += count - (value & (1 << count) - 1).bit_count()
            spurious += (value >> count + spare).bit_count()
        spurious += sum(
            bits.count(0) < len(bits) for number, bits in self.bits.items() if str(number) not in owed
        )
        return {"missing": missing, "spurious": spurious, "doubles": self.doubles, "unique": self.unique}


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
        case ["has", mark]:
            return {"has": any(mark in id_ for id_ in [*counted.others, *counted.live])}
        case ["judge", path, spare]:
            return counted.judge(json.loads(Path(path).read_text()), int(spare))
    return {"unique": counted.unique, "doubles": counted.doubles, "others": len(counted.others)}


def subscribed(port: int) -> Counted:
    """Take what comes from a broker, in a thread of the client."""
    counted = Counted()
    client = Client(CallbackAPIVersion.VERSION2, client_id="counted", protocol=5)
    client.on_connect = lambda client, *_: client.subscribe("gateway/+/+/event", qos=1)
    client.on_message = lambda _client, _data, message: counted.add(json.loads(message.payload))
    keep = Properties(PacketTypes.CONNECT)
    keep.SessionExpiryInterval = 86_400
    client.connect("127.0.0.1", port, clean_start=False, properties=keep)
    client.loop_start()
    # The queue of the first client is in the broker and not in the gateway: what is live must not wait there.
    live = Client(CallbackAPIVersion.VERSION2, client_id="live", protocol=5)
    live.on_connect = lambda client, *_: client.subscribe("gateway/+/counter-3000000000000001/event", qos=1)
    live.on_message = lambda _client, _data, message: counted.live.add(json.loads(message.payload)["id"])
    live.connect("127.0.0.1", port)
    live.loop_start()
    return counted


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
