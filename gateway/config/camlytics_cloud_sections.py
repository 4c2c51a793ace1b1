"""The options of an account of the Camlytics cloud; `config.example.toml` explains each."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from gateway.config.addresses import split_endpoint
from gateway.config.camlytics_sections import Origin
from gateway.config.fields import Listed, NotEmpty, Seconds, Slug, Text
from gateway.config.secrets import SecretOption
from gateway.config.sections import DAY_S, Section
from gateway.config.wording import shown, wrong


def _endpoint(value: str) -> str:
    parts = split_endpoint(value, ("https", "http"), '"https://host"')
    if parts.path not in {"", "/"} or parts.query:
        raise wrong(
            f"{shown(value)} has a path, and the gateway adds the path of each method itself",
            suggestion=f'write "{parts.scheme}://{parts.netloc}"',
        )
    return value.rstrip("/")


def _trigger(value: Any) -> Any:
    if isinstance(value, Mapping) and "trigger" in value and not {"direction", "zone"} & value.keys():
        raise wrong(
            f"the trigger {shown(value['trigger'])} says neither direction nor zone, so nothing can be counted by it",
            suggestion='add direction = "in", "out" or "ignore"; for an area, add the zone that it is',
        )
    return value


class CamlyticsCloudTrigger(Section):
    trigger: Annotated[Text, Field(min_length=1)]
    direction: Literal["in", "out", "ignore"] | None = None
    zone: Slug | None = None


class CamlyticsCloudSection(Section):
    enabled: bool = True
    endpoint: Annotated[str, AfterValidator(_endpoint)] = "https://cloud.camlytics.com"
    insecure_http: bool = False
    key_file: SecretOption = None  # without keys nothing is polled, and the rules are for webhooks alone
    secret_file: SecretOption = None
    locations: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**53)], ...], Listed] = ()
    triggers: Annotated[tuple[Annotated[CamlyticsCloudTrigger, BeforeValidator(_trigger)], ...], Listed] = ()
    count_origins: Annotated[tuple[Origin, ...], Listed, NotEmpty] = ("Pedestrian", "Unknown")
    period_s: Seconds = Field(default=15.0, ge=2, le=3600)
    lists_s: Seconds = Field(default=3600.0, ge=60, le=DAY_S)
    overlap_s: Seconds = Field(default=600.0, ge=10, le=DAY_S)
    backfill_s: Seconds = Field(default=86_400.0, ge=0, le=30 * DAY_S)
    check_totals: bool = True
    histograms: bool = True

    @property
    def polled(self) -> bool:
        return self.enabled and self.key_file is not None and self.secret_file is not None
