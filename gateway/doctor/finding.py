"""What a check found: the shape that `gateway doctor` prints and that the daemon raises as a fault."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.faults import ACTIONS


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check says about one subject; well when it has no code."""

    check: str  # what was looked at, in a word or two: "clock", "disk", "sink upstream"
    sentence: str  # what is so, with the figures of this case
    code: str = ""  # of a fault, a key of ACTIONS; "" when nothing is wrong
    subject: str = ""  # which sink, device or address; "" for the box itself
    known: bool = True  # False: it cannot be told here, and the sentence says why

    @property
    def well(self) -> bool:
        """Nothing is wrong, as far as can be told."""
        return not self.code

    @property
    def action(self) -> str:
        """Say what to do about it."""
        return ACTIONS[self.code] if self.code else ""

    def as_json(self) -> Mapping[str, object]:
        """Give the finding as JSON values."""
        return {
            "check": self.check,
            "well": self.well,
            "known": self.known,
            "code": self.code or None,
            "subject": self.subject,
            "sentence": self.sentence,
            "action": self.action or None,
        }
