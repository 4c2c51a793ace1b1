"""The whole configuration as one frozen value."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from gateway.config.adoption_sections import AdoptionSection
from gateway.config.callbacks_sections import CallbacksSection
from gateway.config.camlytics_cloud_sections import CamlyticsCloudSection
from gateway.config.camlytics_sections import CamlyticsSection
from gateway.config.clock_sections import ClockSection
from gateway.config.fields import Slug
from gateway.config.liveness_sections import LivenessSection
from gateway.config.monitoring_sections import MonitoringSection
from gateway.config.picture_sections import PicturesSection
from gateway.config.sections import (
    SOCKET,
    SYSTEM_RUNTIME,
    DeviceSection,
    EventsSection,
    GatewaySection,
    ListenSection,
    RuntimeSection,
    Section,
    SourcesSection,
    StoreSection,
    is_of_others,
    usable,
)
from gateway.config.sink_sections import AnySink, MqttSection
from gateway.config.terminal_sections import TerminalSection
from gateway.config.zone_sections import SiteSection, ZoneSection


class Config(Section):
    """Everything a person can decide. ``Config()`` is the valid configuration of an empty file."""

    gateway: GatewaySection = Field(default_factory=GatewaySection)
    site: SiteSection = Field(default_factory=SiteSection)
    listen: ListenSection = Field(default_factory=ListenSection)
    store: StoreSection = Field(default_factory=StoreSection)
    runtime: RuntimeSection = Field(default_factory=RuntimeSection)
    events: EventsSection = Field(default_factory=EventsSection)
    clock: ClockSection = Field(default_factory=ClockSection)
    liveness: LivenessSection = Field(default_factory=LivenessSection)
    adoption: AdoptionSection = Field(default_factory=AdoptionSection)
    pictures: PicturesSection = Field(default_factory=PicturesSection)
    callbacks: CallbacksSection = Field(default_factory=CallbacksSection)
    monitoring: MonitoringSection = Field(default_factory=MonitoringSection)
    sources: SourcesSection = Field(default_factory=SourcesSection)
    camlytics: Mapping[Slug, CamlyticsSection] = Field(default_factory=dict)
    camlytics_cloud: Mapping[Slug, CamlyticsCloudSection] = Field(default_factory=dict)
    devices: Mapping[Slug, DeviceSection] = Field(default_factory=dict)
    terminals: Mapping[Slug, TerminalSection] = Field(default_factory=dict)
    zones: Mapping[Slug, ZoneSection] = Field(default_factory=dict)
    sinks: Mapping[Slug, AnySink] = Field(default_factory=dict)

    @property
    def socket(self) -> Path:
        """Give the path of the unix socket on which the running daemon answers commands."""
        if self.runtime.socket:
            return self.runtime.socket
        given = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
        if given:
            return Path(given, SOCKET)
        # Whose store it is says whose daemon is meant: a gateway that somebody tries out has both in his own folder.
        theirs = is_of_others(SYSTEM_RUNTIME) and not usable(self.store.path)
        return (SYSTEM_RUNTIME if theirs or usable(SYSTEM_RUNTIME) else self.store.path) / SOCKET

    def client_id(self, sink: str) -> str:
        """Give the MQTT client id of a sink; without a configured one it is unique per gateway and sink."""
        section = self.sinks[sink]
        given = section.client_id if isinstance(section, MqttSection) else None
        return given or f"{self.gateway.id}-{sink}"

    def going_on_as(self, known: str | None) -> "Config":
        """Give it under the id that the far ends know, if none is written: a host is renamed sooner than a gateway."""
        if known is None or self.gateway.id_written or self.gateway.id == known:
            return self
        section = GatewaySection.model_construct(
            self.gateway.model_fields_set, id=known, name=self.gateway.name
        )
        return self.model_copy(update={"gateway": section})

    @property
    def hash(self) -> str:
        """Give twelve characters that change with every option, and that tell nothing about a secret."""
        left_out: dict[str, Any] = {key: {"__all__": {"token"}} for key in ("devices", "camlytics")}
        if not self.gateway.id_written:  # it is no option then, and the host may be renamed
            left_out["gateway"] = {"id"}
        document = self.model_dump(mode="json", exclude=left_out)
        text = json.dumps(document, sort_keys=True, ensure_ascii=True)
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
