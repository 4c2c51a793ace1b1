"""When a device that says nothing is said to be silent, and when to be gone."""

from pydantic import Field

from gateway.config.fields import Seconds
from gateway.config.sections import DAY_S, Section


class LivenessSection(Section):
    rhythms: float = Field(default=3.0, ge=1.5, le=100)
    at_least_s: Seconds = Field(default=90.0, ge=10, le=DAY_S)
    gone_after_s: Seconds = Field(default=float(DAY_S), ge=60, le=365 * DAY_S)
