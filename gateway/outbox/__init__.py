"""The durable log between sources and sinks, and everything that is kept with it."""

from gateway.outbox.admission import Admission
from gateway.outbox.appending import Appended
from gateway.outbox.ballast_keeping import BallastKeeper
from gateway.outbox.damage import StoreDamaged
from gateway.outbox.entry import Drafting, Entry, Flag, milliseconds, rfc3339, site_zone
from gateway.outbox.housekeeping import Housekeeper
from gateway.outbox.letters import Bounds, Letter
from gateway.outbox.lifelines import Verdict
from gateway.outbox.pictures import Picture
from gateway.outbox.polls import PollCursor
from gateway.outbox.positions import Arrears, Position
from gateway.outbox.reading import LogReader
from gateway.outbox.settings import Settings
from gateway.outbox.signs import Sign
from gateway.outbox.store import Outbox
from gateway.outbox.strangers import Caller, Rules

__all__ = [
    "Admission",
    "Appended",
    "Arrears",
    "BallastKeeper",
    "Bounds",
    "Caller",
    "Drafting",
    "Entry",
    "Flag",
    "Housekeeper",
    "Letter",
    "LogReader",
    "Outbox",
    "Picture",
    "PollCursor",
    "Position",
    "Rules",
    "Settings",
    "Sign",
    "StoreDamaged",
    "Verdict",
    "milliseconds",
    "rfc3339",
    "site_zone",
]
