"""What became of the card, beside the configuration: the daemon shows it, and the next boot sees what is new."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from gateway import durable

RECORD = "card.json"
_TEXTS = ("accepted", "when", "made", "kept", "rejected", "unwritten")


@dataclass(frozen=True, slots=True)
class Record:
    """No secret is in it, and nothing from which one could be guessed: the sums are of texts without them."""

    accepted: str = ""  # the digest of what was taken over last
    when: str = ""  # when that was
    sure: bool = False  # that the clock was right then
    made: str = ""  # the sum of the configuration that was made of it
    kept: str = ""  # where that lies which stood in its place and was not made by a card
    rejected: str = ""  # why the file that is on the card now is not used
    unwritten: str = ""  # why the card could not be written


def read_record(folder: Path) -> Record:
    """Give what is known; nothing of a file that is not there or not whole."""
    try:
        known = json.loads((folder / RECORD).read_text("utf-8"))
        texts = {name: str(known.get(name, "")) for name in _TEXTS}
        return Record(**texts, sure=known.get("sure") is True)
    except (OSError, ValueError, AttributeError):
        return Record()


def write_record(folder: Path, record: Record) -> None:
    """Keep it, when it is another one."""
    if record != read_record(folder):
        content = json.dumps(asdict(record), indent=1).encode()
        durable.put(folder / RECORD, content, mode=0o644)
