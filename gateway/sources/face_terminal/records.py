"""Makes an event of a recognition or passage (type 0).

What leaves here is an allow-list: a field of the terminal is kept because it is named here, and personal
ones only when the configuration lists them. The PIN has no name here, so nothing switches it on.
"""

from collections.abc import Callable
from datetime import datetime

from gateway.errors import Unreadable
from gateway.event import Event, Json, Kind, ZoneRule, event_id
from gateway.source import Post
from gateway.sources.face_terminal.codes import ABNORMALS, ENTRIES, MODES, RECOGNISED_AS, USER_IS, word
from gateway.sources.face_terminal.sender import Sender, body_serial, header_serial, sender_of
from gateway.sources.face_terminal.values import (
    Unit,
    id_of,
    instant,
    integer,
    is_blank,
    is_picture,
    number,
    text,
    told,
    truth,
    unix_ms,
    unknown_names,
)

_KNOWN = frozenset({
    "deviceSN", "recognitionType", "uuid", "recognizeScore", "mask", "mode", "rgb_image", "pass", "timestamp",
    "bodyTemperature", "entry_mode", "abnormal_type", "user",
})  # fmt: skip
_KNOWN_USER = frozenset({
    "name", "user_id", "type", "ic_number", "job_number", "id_number", "guest_time_start", "guest_time_end",
    "remark", "pin", "groups",
})  # fmt: skip
_UUID_MAX = 128
_TEXT_MAX = 256
_GROUPS_MAX = 50


def access_event(
    post: Post, data: dict[str, Json], *, repaired: bool, keep: frozenset[str], extra: list[Json]
) -> Event:
    """Read the `data` of a type 0 push; ``extra`` are the unknown names beside it."""
    allowed = truth(data.get("pass"))
    if allowed is None:
        raise Unreadable(
            'the record does not say whether the door opened (its field "pass" is missing or odd)'
        )
    sender = sender_of(post, body_serial(data) or header_serial(post))
    stated_user = data.get("user")
    user = stated_user if isinstance(stated_user, dict) else {}
    ms = unix_ms(data.get("timestamp"), "timestamp", Unit.SECONDS)
    facts = _facts(data, user, allowed=allowed)
    extra = extra + unknown_names(data.keys(), _KNOWN) + unknown_names(user.keys(), _KNOWN_USER, "user.")
    if extra:
        facts["extra_fields"] = extra
    return Event(
        id=_identity(sender, data, user, ms),
        revision=0,
        kind=Kind.ACCESS,
        device=sender.device,
        time=post.received_at if ms is None else instant(ms),
        sent_at=sender.sent_at,
        zone_rule=ZoneRule.RECEIPT if ms is None else ZoneRule.UNIX,
        repaired=repaired,
        data=facts,
        personal=_personal(data, user, keep),
    )


def _identity(sender: Sender, data: dict[str, Json], user: dict[str, Json], ms: int | None) -> str:
    uuid = id_of(data.get("uuid"), "uuid")
    if uuid:
        return event_id(sender.identity, "access", uuid)
    if ms is None:
        raise Unreadable(
            "the record has neither uuid nor timestamp, so a repeat could not be told from a new one"
        )
    seconds, rest = divmod(ms, 1000)
    entry = integer(data.get("entry_mode"))
    return event_id(
        sender.identity,
        "access",
        ms if rest else seconds,
        text(user.get("user_id")),
        "" if entry is None else entry,
        order=seconds,
    )


def _facts(data: dict[str, Json], user: dict[str, Json], *, allowed: bool) -> dict[str, Json]:
    mode = integer(data.get("mode"))
    entry = integer(data.get("entry_mode"))
    abnormal = integer(data.get("abnormal_type"))
    return {
        "result": "allowed" if allowed else "denied",
        "person": _person(data, user),
        "recognition_type": integer(data.get("recognitionType")),
        "mode": word(MODES, mode),
        "mode_code": mode,
        "entry": word(ENTRIES, entry),
        "entry_code": entry,
        "abnormal": word(ABNORMALS, abnormal),
        "abnormal_code": abnormal,
        "picture": "present" if is_picture(data.get("rgb_image")) else "none",
        "uuid": text(data.get("uuid"))[:_UUID_MAX] or None,
    }


def _person(data: dict[str, Json], user: dict[str, Json]) -> str:
    stated = data.get("recognitionType")
    if is_blank(stated):  # firmware before interface guide 1.1.0 only has the type of the user
        return word(USER_IS, integer(user.get("type")))
    return word(RECOGNISED_AS, integer(stated))


def _personal(data: dict[str, Json], user: dict[str, Json], keep: frozenset[str]) -> dict[str, Json]:
    kept: dict[str, Json] = {}
    user_id = told(user.get("user_id"))[:_TEXT_MAX]
    if user_id:
        kept["user_id"] = user_id
    for name in sorted(keep & PERSONAL.keys()):
        value = PERSONAL[name](data, user)
        if value is not None:
            kept[name] = value
    return kept


def _short(value: Json) -> str | None:
    return told(value)[:_TEXT_MAX] or None


def _groups(value: Json) -> list[Json] | None:
    if not isinstance(value, list):
        return None
    groups: list[Json] = [
        {"id": _short(group.get("id")), "name": _short(group.get("name"))}
        for group in value[:_GROUPS_MAX]
        if isinstance(group, dict)
    ]
    return groups or None


def _guest_time(user: dict[str, Json]) -> dict[str, Json] | None:
    span: dict[str, Json] = {
        end: _moment(user.get(f"guest_time_{end}"), f"guest_time_{end}") for end in ("start", "end")
    }
    return span if any(span.values()) else None


def _moment(value: Json, field: str) -> str | None:
    try:
        ms = unix_ms(value, field, Unit.MILLISECONDS)
    except Unreadable:
        return None  # beside the fact: no reason to set the whole record aside
    return _rfc3339(instant(ms)) if ms else None  # 0 is "no limit"


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# What `keep_personal` may list. A temperature of 0 is one that was not taken.
PERSONAL: dict[str, Callable[[dict[str, Json], dict[str, Json]], Json]] = {
    "name": lambda _, user: _short(user.get("name")),
    "job_number": lambda _, user: _short(user.get("job_number")),
    "ic_number": lambda _, user: _short(user.get("ic_number")),
    "id_number": lambda _, user: _short(user.get("id_number")),
    "remark": lambda _, user: _short(user.get("remark")),
    "temperature": lambda data, _: number(data.get("bodyTemperature")) or None,
    "mask": lambda data, _: integer(data.get("mask")),
    "score": lambda data, _: number(data.get("recognizeScore")),
    "groups": lambda _, user: _groups(user.get("groups")),
    "guest_time": lambda _, user: _guest_time(user),
}
