"""Makes an event of a device alarm (type 1): raised, not cleared, cleared.

The time is no part of the identity: the same state of the same alarm, sent again, is the same fact.
"""

from gateway.errors import Unreadable
from gateway.event import Event, Json, Kind, ZoneRule, event_id
from gateway.redact import redact_text
from gateway.source import Post
from gateway.sources.face_terminal.codes import ALARM_STATES, ALARMS, word
from gateway.sources.face_terminal.sender import body_serial, header_serial, sender_of
from gateway.sources.face_terminal.values import (
    Unit,
    id_of,
    instant,
    integer,
    is_picture,
    told,
    unix_ms,
    unknown_names,
)

# Free text about an alarm that has a user: it may name that user, so it is personal. What the alarm is stands in its code.
DESCRIPTION = "description"
_KNOWN = frozenset(
    {"trace_id", "description", "code", "user_id", "event_time", "status", "alarm_photo", "deviceSN"}
)
_TEXT_MAX = 256
_TRACE_MAX = 128


def alarm_event(
    post: Post, data: dict[str, Json], *, repaired: bool, keep: frozenset[str], extra: list[Json]
) -> Event:
    """Read the `data` of a type 1 push; ``extra`` are the unknown names beside it."""
    trace = id_of(data.get("trace_id"), "trace_id")
    if not trace:
        raise Unreadable("the alarm has no trace_id, so a repeat could not be told from a new one")
    status = integer(data.get("status"))
    if status is None:
        raise Unreadable(
            "the alarm does not say whether it was raised or cleared (its status is missing or odd)"
        )
    sender = sender_of(post, header_serial(post) or body_serial(data))
    ms = unix_ms(data.get("event_time"), "event_time", Unit.MILLISECONDS)
    code = integer(data.get("code"))
    facts: dict[str, Json] = {
        "alarm": word(ALARMS, code),
        "code": code,
        "state": word(ALARM_STATES, status),
        "status": status,
        "trace_id": trace[:_TRACE_MAX],
    }
    if is_picture(data.get("alarm_photo")):
        facts["picture"] = "present"
    extra = extra + unknown_names(data.keys(), _KNOWN)
    if extra:
        facts["extra_fields"] = extra
    return Event(
        id=event_id(sender.identity, "alarm", trace, status),
        revision=0,
        kind=Kind.ALARM,
        device=sender.device,
        time=post.received_at if ms is None else instant(ms),
        sent_at=sender.sent_at,
        zone_rule=ZoneRule.RECEIPT if ms is None else ZoneRule.UNIX,
        repaired=repaired,
        data=facts,
        personal=_personal(data, keep),
    )


def _personal(data: dict[str, Json], keep: frozenset[str]) -> dict[str, Json]:
    words = told(data.get("description"))[:_TEXT_MAX] if DESCRIPTION in keep else ""
    stated = {"user_id": told(data.get("user_id"))[:_TEXT_MAX], DESCRIPTION: redact_text(words)}
    return {name: value for name, value in stated.items() if value}
