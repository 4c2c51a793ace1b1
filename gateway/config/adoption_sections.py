"""The section about devices that nobody has named yet."""

from typing import Literal

from pydantic import Field

from gateway.config.fields import Size
from gateway.config.sections import MIB, Section


class AdoptionSection(Section):
    unknown_devices: Literal["accept", "hold"] = "accept"
    max_devices: int = Field(default=500, ge=0, le=100_000)
    per_address: int = Field(default=50, ge=1, le=100_000)
    held_devices: int = Field(default=200, ge=1, le=10_000)
    held_per_device: int = Field(default=20_000, ge=1, le=1_000_000)
    held_bytes: Size = Field(default=64 * MIB, ge=MIB)
