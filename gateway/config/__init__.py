"""The configuration: one TOML file becomes one frozen `Config`, or the list of everything wrong with it.

Nothing outside this package knows that pydantic is behind it. Loading reads files and changes nothing.
"""

import gateway.config.no_plugins  # noqa: F401 - before pydantic is imported
from gateway.config import last_good
from gateway.config.loading import answering, load, loads
from gateway.config.mistakes import (
    InvalidConfigError,
    Mistake,
    UnreadableConfigError,
    render_mistakes,
    to_json,
)
from gateway.config.model import Config
from gateway.config.secrets import PlainFile, SecretFile
from gateway.config.sections import (
    DeviceSection,
    EventsSection,
    GatewaySection,
    ListenSection,
    RuntimeSection,
    SourceSection,
    SourcesSection,
    StoreSection,
    running,
)
from gateway.config.sink_sections import HttpsSection, MqttSection, SinkSection
from gateway.config.zone_sections import SiteSection

__all__ = [
    "Config",
    "DeviceSection",
    "EventsSection",
    "GatewaySection",
    "HttpsSection",
    "InvalidConfigError",
    "ListenSection",
    "Mistake",
    "MqttSection",
    "PlainFile",
    "RuntimeSection",
    "SecretFile",
    "SinkSection",
    "SiteSection",
    "SourceSection",
    "SourcesSection",
    "StoreSection",
    "UnreadableConfigError",
    "answering",
    "last_good",
    "load",
    "loads",
    "render_mistakes",
    "running",
    "to_json",
]
