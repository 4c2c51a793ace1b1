"""Makes observations of pacs.events.created: one for each entry of the access-control system, as full as it came.

They are observations and no access events: the vendor does not say whether anybody was let in, and nothing is made up.
"""

from gateway.errors import Unreadable
from gateway.event import Event, Json, Kind, event_id
from gateway.source import Post
from gateway.sources.camio.envelope import Callback, system_of
from gateway.sources.camio.parting import Parting, part
from gateway.sources.camio.texts import has_email, instant, text, thing_name

TYPE = "pacs.events.created"
PERSONAL_NAME = "pacs"  # under this name a sink lists what is personal in an entry
_LIFTED = frozenset({"events", "user", "domain", "source_server"})
_LABELS_MAX = 64
_LABEL_MAX = 256


def door_events(post: Post, callback: Callback, *, keep_personal: bool) -> list[Event]:
    """Read the entries, or raise `Unreadable`."""
    entries = callback.content.get("events")
    if not isinstance(entries, list):
        raise Unreadable("the callback of an access-control system holds no list of events")
    around = part({name: said for name, said in callback.content.items() if name not in _LIFTED})
    account = part({"user": callback.content.get("user")}).personal
    made = []
    for index, entry in enumerate(entries):
        said: dict[str, Json] = entry if isinstance(entry, dict) else {"value": entry}
        parted = part(said)
        personal = {**parted.personal, **around.personal, **account} if keep_personal else {}
        made.append(_event(post, callback, index, said, parted, around, personal))
    return made


def _event(
    post: Post,
    callback: Callback,
    index: int,
    said: dict[str, Json],
    parted: Parting,
    around: Parting,
    personal: dict[str, Json],
) -> Event:
    stated = said.get("camio_metadata")
    metadata: dict[str, Json] = stated if isinstance(stated, dict) else {}
    device = system_of(callback)
    time, rule = instant(metadata.get("date"), post)
    facts: dict[str, Json] = {
        "observation": callback.word,
        "type": callback.type,
        "callback": callback.id or None,
        "index": index,
        "entry": thing_name(metadata.get("entry_id"), callback.account) or None,
        "labels": _labels(metadata.get("labels")),
        "server": thing_name(metadata.get("source_server"), callback.account) or device.label,
        "fields": parted.open,
    }
    if around.open:
        facts["about"] = around.open
    if withheld := parted.withheld + around.withheld:
        facts["withheld"] = withheld
    return Event(
        # `entry_id` names the door ("1_1" is controller and reader), not the record: by it a door would have
        # one event for ever. The callback's id and the place in its list are what identifies a record.
        id=event_id(
            device.id, "pacs", callback.identity, index, *([] if callback.id else [_words(metadata)])
        ),
        revision=0,
        kind=Kind.OBSERVATION,
        device=device,
        time=time,
        zone_rule=rule,
        repaired=callback.repaired,
        data=facts,
        personal={PERSONAL_NAME: personal} if personal else {},
    )


def _words(metadata: dict[str, Json]) -> str:
    return "\x1f".join(
        (
            text(metadata.get("entry_id")),
            text(metadata.get("date")),
            *map(str, _labels(metadata.get("labels"))),
        )
    )


def _labels(value: Json) -> list[Json]:
    said = value if isinstance(value, list) else []
    labels = (text(label, _LABEL_MAX) for label in said[:_LABELS_MAX])
    return [label for label in labels if label and not has_email(label)]
