"""Where an id lies in the index of the log: by the minute that it names first, and by its device after that.

An id that orders itself ends in ":seconds:hash" (`event.event_id`). What many devices say of one minute then lies on
one page of the index, whatever their names are; with the device first every event of a commit touched a page of its
own (`docs/decisions/0014`). The slot is made from the id alone, so that a resend is looked for where its fact lies.
"""

SLOT_S = 60
_DIGITS = 10  # of the seconds since 1970, from 2001 to 2286; the slots of other ids mean nothing, and are always the same
_FROM_END = _DIGITS + 21  # with a colon, and twenty digits of the hash


def slot(id_: str) -> str:
    """Write, in SQL, the slot of an id; the index is on exactly these words."""
    return f"CAST(substr({id_}, -{_FROM_END}, {_DIGITS}) AS INTEGER) / {SLOT_S}"


INDEX = f"CREATE UNIQUE INDEX events_by_id ON events ({slot('id')}, id, revision)"
# Alarms are few; those of a family of devices are found by their ids.
ALARMS_INDEX = "CREATE INDEX events_alarms ON events (id) WHERE kind = 'alarm'"
# BETWEEN, because SQLite puts what `id =` says into the slot as well, and then does not find the index any more.
IS_FACT = f"{slot('id')} = {slot('?1')} AND id BETWEEN ?1 AND ?1"
