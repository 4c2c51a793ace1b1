"""The options of the pictures that the gateway may keep; `config.example.toml` explains each."""

from pydantic import Field

from gateway.config.fields import Size
from gateway.config.sections import MIB, Section


class PicturesSection(Section):
    keep: bool = False
    days: int = Field(default=7, ge=1, le=365)
    max_bytes: Size = Field(default=500 * MIB, ge=MIB)
