"""The options of each Camlytics on the LAN; `config.example.toml` explains each."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from gateway.config.addresses import PathToken, split_endpoint
from gateway.config.fields import Listed, NotEmpty, Seconds, Slug, Text, Zone
from gateway.config.sections import Section
from gateway.config.wording import shown, wrong

_ORIGINS = ("Pedestrian", "Vehicle", "Face", "Unknown")
_ALSO = {"pedestrians": "Pedestrian", "people": "Pedestrian", "person": "Pedestrian", "uknown": "Unknown"}


def _endpoint(value: str) -> str:
    parts = split_endpoint(value, ("http", "https"), '"http://192.168.1.20:48462"')
    if parts.path not in {"", "/"} or parts.query:
        raise wrong(
            f"{shown(value)} has a path, which the gateway adds itself",
            suggestion=f'write "{parts.scheme}://{parts.netloc}"',
        )
    return value.rstrip("/")


def _origin(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    known = {origin.lower(): origin for origin in _ORIGINS} | _ALSO
    return known.get(value.lower(), value)


def _rule(value: Any) -> Any:
    if isinstance(value, Mapping) and "rule" in value and not {"direction", "zone"} & value.keys():
        raise wrong(
            f"the rule {shown(value['rule'])} says neither direction nor zone, so nothing can be counted by it",
            suggestion='add direction = "in", "out" or "ignore"; for an area, add the zone that it is',
        )
    return value


Origin = Annotated[Literal["Pedestrian", "Vehicle", "Face", "Unknown"], BeforeValidator(_origin)]


class CamlyticsRuleSection(Section):
    rule: Annotated[Text, Field(min_length=1)]
    direction: Literal["in", "out", "ignore"] | None = None
    zone: Slug | None = None


class CamlyticsSection(Section):
    endpoint: Annotated[str, AfterValidator(_endpoint)]
    enabled: bool = True
    mode: Literal["poll", "webhook", "hourly", "daily"] = "poll"
    zone: Zone | None = None  # the site's, where there is none
    rules: Annotated[tuple[Annotated[CamlyticsRuleSection, BeforeValidator(_rule)], ...], Listed] = ()
    count_origins: Annotated[tuple[Origin, ...], Listed, NotEmpty] = ("Pedestrian", "Unknown")
    token: PathToken | None = None
    start: Literal["oldest", "now"] = "oldest"
    check_totals: bool = True
    wait_s: int = Field(default=20, ge=0, le=300)
    period_s: Seconds = Field(default=2.0, ge=0.1, le=3600)
    limit: int = Field(default=500, ge=50, le=10_000)
