"""A card and a box for a test: two folders, and what the start of the box does with them."""

import os
import stat
from pathlib import Path

from gateway.config import Config, load
from gateway.firstboot import Outcome, Record, provision, read_record

SIGNING = "whsec_YSBzaWduaW5nIHNlY3JldCBmb3IgdGVzdHMgb25seSE="
PASSWORD = 'hunter2 "quoted" \\ ä'
TOML = f"""\
# The shop in the old town
[gateway]
id = "shop-1"   # on the label
name = "Old town"
[site]
zone = "Europe/Lisbon"

[sinks.broker]
type = "mqtt"
endpoint = "mqtts://broker.example:8883"
username = "shop"
password = "hunter2 \\"quoted\\" \\\\ ä"   # ask Maria
[sinks.upstream]
endpoint = "https://events.example/in"
type = "https"
secret = ["{SIGNING}"]
token = 'bearer-4711-0815'
"""
SECRETS = (PASSWORD, 'hunter2 \\"quoted\\"', SIGNING, "bearer-4711-0815")
ADDRESS = "192.168.1.10"


class CardBox:
    """The card is put in, and the box starts."""

    def __init__(self, folder: Path) -> None:
        self.card, self.etc = folder / "card", folder / "etc"
        self.card.mkdir()
        self.etc.mkdir()
        self.config = self.etc / "config.toml"
        self.address: str | None = ADDRESS

    def write(self, text: str | bytes, name: str = "gateway.toml") -> None:
        (self.card / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    def start(self) -> Outcome:
        return provision((self.card.parent / "nowhere", self.card), self.config, lambda: self.address)

    def accepted(self) -> Config:
        """Start, and give what the daemon loads then."""
        outcome = self.start()
        assert outcome.kind == "accepted", outcome.sentences
        return self.loaded()

    def rejected(self) -> str:
        """Start, and give what the person finds on the card."""
        outcome = self.start()
        assert outcome.kind == "rejected", outcome.sentences
        return self.on_card("gateway-problems.txt")

    def loaded(self) -> Config:
        return load(self.config)

    def on_card(self, name: str = "gateway.toml") -> str:
        return (self.card / name).read_bytes().decode()

    @property
    def record(self) -> Record:
        return read_record(self.etc)

    def everything_but_secrets(self) -> str:
        """Everything on the card and all of the box that somebody else than root can read."""
        files = [*self.card.iterdir(), *(path for path in self.etc.iterdir() if path.is_file())]
        return "\n".join(path.read_bytes().decode("utf-8", "replace") for path in files)

    def snapshot(self) -> dict[str, tuple[bytes, int]]:
        """Everything on card and box, with the time of each file, to see that nothing was written."""
        found = {}
        for top in (self.card, self.etc):
            for where, _, names in os.walk(top):
                for path in (Path(where, name) for name in names):
                    found[str(path)] = (path.read_bytes(), path.stat().st_mtime_ns)
        return found


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
