"""The box with the gateway on it, as the tests of its life speak of it."""

import json
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Self

from booted_box import Box, Told

_HERE = Path(__file__).parent
CONFIG = """
[site]
zone = "UTC"
[clock]
trust = "plausible"
[sinks.far]
type = "https"
endpoint = "http://127.0.0.1:9080/"
insecure_http = true
batch = 50
backoff_max_s = 1
"""


class GatewayBox(Box):
    """Speaks of devices, of the daemon and of the account."""

    def __enter__(self) -> Self:
        super().__enter__()
        for program in ("camera.py", "far_end.py"):
            shutil.copy(_HERE / program, self.root / program)
        self.answered: list[str] = []
        return self

    def configure(self, text: str) -> None:
        (self.root / "etc/gateway/config.toml").write_text(text)

    def push(self, words: str) -> dict:
        """Let a device push until all is answered, and remember what was."""
        return self.heard(self.tell(f"python3 /camera.py {words}"))

    def heard(self, device: Told) -> dict:
        done = device.wait(300)
        assert 0 == done.status, done
        told = json.loads(done.out)
        self.answered += told["answered"]
        return told

    def hammer(self, names: str) -> list[Told]:
        """Let devices push as fast as they are answered, until `ease`."""
        self.run("touch /pushing")
        pushing = [self.tell(f"python3 /camera.py {name} --while /pushing") for name in names.split()]
        self.until_answered(names, 5)
        return pushing

    def until_answered(self, names: str, more: int) -> None:
        """Wait until each of these devices got so many more answers."""
        least = {name: self._count(name) + more for name in names.split()}
        enough = lambda: all(self._count(name) >= count for name, count in least.items())  # noqa: E731 - one use
        self.until(enough, 300, f"answers to {names}")

    def _count(self, name: str) -> int:
        place = self.root / f"answered-{name}"
        return int(place.read_text() or 0) if place.exists() else 0

    def ease(self, pushing: list[Told]) -> list[dict]:
        self.run("rm /pushing")
        return [self.heard(one) for one in pushing]

    def pid(self) -> int:
        return int(self.says("systemctl show -P MainPID gateway"))

    def until_active(self, *, not_pid: int = 0, seconds: float = 300) -> None:
        """Wait until a daemon (another one than that) has said that it is ready."""
        self.until(lambda: self._ready(not_pid), seconds, "the gateway is ready")

    def _ready(self, not_pid: int) -> bool:
        told = dict(
            line.split("=") for line in self.says("systemctl show -p ActiveState,MainPID gateway").split()
        )
        return told["ActiveState"] == "active" and int(told["MainPID"]) != not_pid

    def account(self) -> dict:
        told = self.accounts()["far"]
        return told["total"] | {"balanced": told["balanced"]}

    def accounts(self) -> dict[str, dict]:
        """Give the account of each sink that there is, and of each that there was."""
        return {one["sink"]: one for one in json.loads(self.run("gateway account --json").out)}

    def stored(self, query: str) -> list:
        """Ask the store of the box, which may be in use."""
        path = self.root / "var/lib/gateway/gateway.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as conn:
            return [row[0] for row in conn.execute(query)]

    def until_received(self, least: int) -> None:
        self.until(lambda: self.account()["received"] >= least, 300, f"{least} events are received", every=1)

    def until_delivered(self) -> None:
        self.until(lambda: self.account()["waiting"] == 0, 300, "nothing waits any more", every=1)

    def arrived(self) -> list[dict]:
        """Give all that the far end took, in its order."""
        kept = self.root / "far_end.jsonl"
        return [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []

    def failed(self) -> str:
        return self.says("systemctl --failed --no-legend --plain")


def mark(event: dict) -> str:
    """Say which of the things that a device said an event is; as `camera.py` says it."""
    if event["kind"] == "access":
        return event["data"]["uuid"]
    return (
        f"{event['device'].removeprefix('counter-')} {int(datetime.fromisoformat(event['time']).timestamp())}"
    )


def doubles(events: list[dict]) -> tuple[list[str], list[str]]:
    """Give what came more than once, and what came in the same name with another content."""
    seen: Counter = Counter()
    first: dict[tuple, dict] = {}
    other = []
    for event in events:
        name = (event["id"], event["revision"])
        seen[name] += 1
        if {**first.setdefault(name, event), "late": None} != {**event, "late": None}:
            other.append(event["id"])
    return [str(name) for name, often in seen.items() if often > 1], other
