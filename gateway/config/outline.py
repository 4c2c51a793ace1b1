"""What the models know about themselves, for messages: which options a table has, and what each allows."""

from collections.abc import Mapping
from typing import Any

from annotated_types import Ge, Gt, Le, Lt, MaxLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gateway.config.camlytics_cloud_sections import CamlyticsCloudSection, CamlyticsCloudTrigger
from gateway.config.camlytics_sections import CamlyticsRuleSection, CamlyticsSection
from gateway.config.lines import Place
from gateway.config.model import Config
from gateway.config.sections import GIB, KIB, MIB, DeviceSection, SourceSection, SourcesSection
from gateway.config.sink_sections import SINK_TYPES
from gateway.config.terminal_sections import TerminalSection
from gateway.config.wording import Unit
from gateway.config.zone_sections import ZoneSection

# Tables that a person names, or that stand in a list: every second part of the place is a name or a number.
_NAMED: Mapping[Place, type[BaseModel]] = {
    ("devices",): DeviceSection,
    ("terminals",): TerminalSection,
    ("zones",): ZoneSection,
    ("camlytics",): CamlyticsSection,
    ("camlytics", "rules"): CamlyticsRuleSection,
    ("camlytics_cloud",): CamlyticsCloudSection,
    ("camlytics_cloud", "triggers"): CamlyticsCloudTrigger,
}


def table_at(place: Place, raw: Mapping[str, Any]) -> type[BaseModel] | None:
    """Give the model of a table; a sink's model depends on the type that the file gives it."""
    if len(place) in (2, 4) and place[::2] in _NAMED:
        return _NAMED[place[::2]]
    match place:
        case ():
            return Config
        case ("sources", name) if name in SourcesSection.model_fields:
            return SourceSection
        case ("sinks", name):
            sink = raw.get("sinks", {}).get(name)
            return SINK_TYPES.get(str(sink.get("type"))) if isinstance(sink, Mapping) else None
        case (str(name),) if name in Config.model_fields:
            annotation = Config.model_fields[name].annotation
            return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
    return None


def options_of(table: type[BaseModel] | None) -> list[str]:
    return list(table.model_fields) if table else []


def field_at(place: Place, raw: Mapping[str, Any]) -> FieldInfo | None:
    """Give the field of an option, or of the option that a list element belongs to."""
    while place and isinstance(place[-1], int):
        place = place[:-1]
    table = table_at(place[:-1], raw) if place else None
    return table.model_fields.get(str(place[-1])) if table else None


def home_of(option: str) -> str | None:
    """Name the section that has this option, when just one has it; of a port's options, that of the devices' port."""
    homes = [name for name in Config.model_fields if option in options_of(table_at((name,), {}))]
    homes = [name for name in homes if name not in {"callbacks", "monitoring"}] or homes
    return homes[0] if len(homes) == 1 else None


def bounds(field: FieldInfo | None) -> str | None:
    """Say which numbers, or how much text, a field allows."""
    low: Any = None
    high: Any = None
    above = ""
    unit = ""
    for rule in field.metadata if field else ():
        match rule:
            case Ge(ge=value):
                low = value
            case Gt(gt=value):
                low, above = value, "more than "
            case Le(le=value) | Lt(lt=value):
                high = value
            case MaxLen(max_length=value):
                return f"at most {value} characters"
            case Unit(word=word):
                unit = f" {word}"
    if low is None and high is None:
        return None
    if high is None:
        return f"{above or 'at least '}{_number(low, unit)}"
    return f"{above}{_number(low, '')} to {_number(high, unit)}"


def _number(value: Any, unit: str) -> str:
    if unit == " bytes":
        for size, word in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
            if value >= size and value % size == 0:
                return f"{value}{unit} ({value // size} {word})"
    return f"{value}{unit}"
