"""What the numbers of the face terminal mean; a number that is not here reads "unknown" and is kept raw."""

UNKNOWN = "unknown"

# data.recognitionType
RECOGNISED_AS = {1: "employee", 2: "visitor", 3: "stranger", 4: "not_live", 5: "blacklist"}

# data.user.type. Firmware before interface guide 1.3.0 says 3 for the blacklist; it never meant a stranger.
USER_IS = {1: "employee", 2: "visitor", 3: "blacklist", 5: "blacklist"}

# data.mode: what the terminal asks for. "id_document" is the national identity card.
MODES = {
    0: "face",
    1: "face_or_card",
    2: "face_and_card",
    3: "face_or_card_or_qr_or_pin",
    4: "id_document",
    5: "face_or_id_document",
    6: "face_and_id_document",
    7: "face_and_pin",
    8: "face_and_card_and_pin",
    9: "card_and_pin",
}

# data.entry_mode: what the person used
ENTRIES = {
    1: "face",
    2: "qr",
    3: "card",
    4: "face_and_card",
    5: "id_document",
    6: "face_and_id_document",
    7: "health_code",
    8: "face_and_pin",
    9: "card_and_pin",
    10: "face_and_card_and_pin",
    11: "door_button",
    12: "job_number_and_pin",
}

# data.abnormal_type
ABNORMALS = {
    0: "none",
    10001: "id_document_mismatch",
    10002: "card_mismatch",
    10003: "code_mismatch",
    20001: "visitor_outside_validity",
    20002: "outside_permitted_time",
    30001: "invalid_id_document",
    30002: "invalid_card",
    30003: "invalid_qr",
    40001: "abnormal_temperature",
    70001: "wrong_pin",
    70002: "too_many_wrong_pins",
}

# data.code of an alarm
ALARMS = {
    10001: "tamper",
    10002: "forced_open",
    10003: "held_open",
    10004: "password_attack",
    20003: "fire",
}

# data.status of an alarm
ALARM_STATES = {1: "raised", 2: "clear_failed", 3: "cleared"}


def word(table: dict[int, str], code: int | None) -> str:
    """Say what a code means."""
    return UNKNOWN if code is None else table.get(code, UNKNOWN)
