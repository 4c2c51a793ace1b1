"""Makes an observation of a callback whose payload the vendor documents nowhere: what came, without persons and secrets.

A callback about a hook may hold the header that we demand ourselves; headers are never kept.
"""

from gateway.event import Event, Json, Kind, event_id
from gateway.source import Post
from gateway.sources.camio.envelope import Callback, camera_of
from gateway.sources.camio.parting import part
from gateway.sources.camio.texts import instant

_DATES = ("date", "updated", "created", "date_updated", "date_created", "timestamp", "time")


def observation(post: Post, callback: Callback) -> Event:
    """Keep a callback as what another system said."""
    topic = callback.type.partition(".")[0]  # camera, device, hook, zone
    subject = callback.content.get(topic)
    about: dict[str, Json] = subject if isinstance(subject, dict) else callback.content
    device = camera_of(callback, _camera_name(callback, topic, subject, about))
    dates = (about.get(name, callback.content.get(name)) for name in _DATES)
    time, rule = instant(next((date for date in dates if isinstance(date, str)), None), post)
    parted = part(callback.content, parent=topic)
    facts: dict[str, Json] = {
        "observation": callback.word,
        "type": callback.type,
        "callback": callback.id or None,
        "fields": parted.open,
    }
    if parted.withheld:
        facts["withheld"] = parted.withheld
    return Event(
        id=event_id(device.id, "observation", callback.type, callback.identity),
        revision=0,
        kind=Kind.OBSERVATION,
        device=device,
        time=time,
        zone_rule=rule,
        repaired=callback.repaired,
        data=facts,
    )


def _camera_name(callback: Callback, topic: str, subject: Json, about: dict[str, Json]) -> Json:
    for said in (about.get("camera_name"), callback.content.get("camera_name")):
        if said:
            return said
    if topic != "camera":
        return None
    return subject if isinstance(subject, str) else about.get("name")
