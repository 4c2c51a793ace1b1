"""What the receiver can be told to do with a request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any


class Fault(Enum):
    """How a request goes wrong, other than by its status."""

    NONE = auto()
    RESET = auto()  # the connection is reset while the body comes in
    HANG = auto()  # no answer, the connection stays open
    NO_REPLY = auto()  # the connection is closed instead of an answer
    CUT = auto()  # the answer announces more than it holds, then the connection is closed
    DRIP = auto()  # the answer comes one byte at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What becomes of one request.

    A 2xx takes the events unless ``take`` says otherwise, also where the answer is then lost.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_s: float = 0.0  # between taking the events and answering
    fault: Fault = Fault.NONE
    take: bool | None = None

    @property
    def takes(self) -> bool:
        return 200 <= self.status <= 299 if self.take is None else self.take


@dataclass(frozen=True, slots=True)
class Request:
    """One request that was read, unpacked and found to be in order."""

    number: int  # 1 for the first that came
    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes  # unpacked, as it was signed
    wire_bytes: int  # the length of the body as it came
    events: Sequence[Mapping[str, Any]]  # CloudEvents
