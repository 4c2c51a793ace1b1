"""How far the clock of the box is believed."""

from typing import Literal

from gateway.config.sections import Section


class ClockSection(Section):
    trust: Literal["synced", "plausible"] = "synced"
