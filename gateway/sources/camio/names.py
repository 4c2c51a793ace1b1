"""Knows by the name of a field whether its value may be kept, is about a person, or must never be kept.

Each access-control system has names of its own and Camio hands them on as they are, so a name is judged by the
words in it. In doubt a value is taken for personal: it can be listed, but not be taken back.
"""

import re

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

# Kept by nobody, whatever a sink lists: secrets, pictures, and the addresses of streams.
_NEVER = frozenset({
    "pin", "pins", "pwd", "auth", "sig", "signature", "cookie", "cookies", "header", "headers", "session", "bearer",
    "image", "images", "photo", "photos", "picture", "pictures", "snapshot", "thumbnail", "jpeg", "jpg", "png",
    "template", "templates", "rtsp", "face", "faces", "iris", "login", "authorization", "authorisation",
})  # fmt: skip
_NEVER_PARTS = (
    *("password", "passwd", "passphrase", "passcode", "pincode", "pinnumber", "secret", "token", "apikey"),
    *("privatekey", "accesskey", "biometric", "fingerprint", "streamur", "streamaddress"),
)

_PERSONAL = frozenset({
    "card", "cards", "user", "users", "account", "who", "staff", "owner", "pid", "ssn", "dob", "gender", "sex", "age",
    "mail", "remark", "remarks", "comment", "comments", "note", "notes", "initials", "cell", "passport", "plate", "plates",
    "usr", "person", "persons", "people", "worker", "guest", "student", "patient", "driver", "phone", "mobile", "holder",
    "nric",
})  # fmt: skip
_PERSONAL_PARTS = (
    *("cardholder", "badge", "email", "username", "userid", "firstname", "lastname", "fullname", "surname"),
    *(
        "givenname",
        "familyname",
        "nickname",
        "plate",
        "licenceno",
        "licenseno",
        "cardno",
        "cardnum",
        "cardid",
    ),
    *(
        "employee",
        "visitor",
        "credential",
        "personnel",
        "personid",
        "personname",
        "resident",
        "occupant",
        "tenant",
    ),
    *("operator", "member", "birth", "keycard", "fob", "phonenum", "nationalid", "idnumber", "identitycard"),
)

# Sentences, as the last word of a name: "Access granted to …" names a person under a harmless name.
_SENTENCES = frozenset({
    "description", "desc", "details", "detail", "summary", "message", "text", "sentence", "narrative", "caption", "msg",
})  # fmt: skip

# Whose name or address is nobody's: "device_name", "ip_address".
_THINGS = frozenset({
    "device", "devices", "reader", "door", "controller", "panel", "event", "alarm", "area", "zone", "site", "location",
    "server", "system", "input", "output", "type", "subtype", "host", "domain", "camera", "partition", "facility",
    "building", "floor", "port", "segment", "entry", "gate", "level", "schedule", "region", "elevator", "lock", "relay",
    "sensor", "hook", "integration", "label", "class", "category", "state", "status", "function", "message", "source",
    "module", "point", "company", "portal", "monitor", "ip", "mac", "network", "counter", "incident", "box", "hub",
})  # fmt: skip
_NAMES = frozenset({"name", "names", "address", "addresses", "title"})


def words(name: str) -> list[str]:
    """Take a name apart: "CardHolder_key2" is card, holder, key, 2."""
    return [word.lower() for word in _WORDS.findall(name)]


def is_never(name: str) -> bool:
    """Say whether a value of this name is a secret or a picture."""
    parts = words(name)
    whole = "".join(parts)
    return not _NEVER.isdisjoint(parts) or any(part in whole for part in _NEVER_PARTS)


def is_personal(name: str, parent: str = "") -> bool:
    """Say whether a value of this name is about a person; ``parent`` is the name of what it stands in."""
    parts = words(name)
    whole = "".join(parts)
    if not _PERSONAL.isdisjoint(parts) or any(part in whole for part in _PERSONAL_PARTS):
        return True
    if parts and parts[-1] in _SENTENCES:
        return True
    named = whole.endswith(("name", "address")) or not _NAMES.isdisjoint(parts)
    things = [*parts, *words(parent)] if whole in _NAMES else parts
    return named and _THINGS.isdisjoint(things) and not any(whole.startswith(thing) for thing in _THINGS)
