"""What a check found: the shape that `gateway doctor` prints and that the daemon raises as a fault."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.faults import ACTIONS

# Worth doing, and nothing is broken: `gateway doctor` says it, and the daemon does not raise it.
ADVICE = frozenset({"address_dhcp", "no_device_yet", "reboot_needed", "runs_as_root"})


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check says about one subject; well when it has no code."""

    check: str  # what was looked at, in a word or two: "clock", "disk", "sink upstream"
    sentence: str  # what is so, with the figures of this case
    code: str = ""  # of a fault, a key of ACTIONS; "" when nothing is wrong
    subject: str = ""  # which sink, device or address; "" for the box itself
    known: bool = True  # False: it cannot be told here, and the sentence says why
    hindered: bool = False  # not known, though it could be: something hangs, or this user may not look
    remedy: str = ""  # what to do, where this case wants something else than its code

    @property
    def well(self) -> bool:
        """Nothing is wrong, as far as can be told."""
        return not self.code

    @property
    def advice(self) -> bool:
        """Nothing is broken, and something is worth doing."""
        return self.code in ADVICE

    @property
    def action(self) -> str:
        """Say what to do about it."""
        return self.remedy or ACTIONS.get(self.code, "")

    def as_json(self) -> Mapping[str, object]:
        """Give the finding as JSON values."""
        return {
            "check": self.check,
            "well": self.well,
            "known": self.known,
            "hindered": self.hindered,
            "advice": self.advice,
            "code": self.code or None,
            "subject": self.subject,
            "sentence": self.sentence,
            "action": self.action or None,
        }
