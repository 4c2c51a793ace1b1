"""The hot statements of the store, in one place and in plain SQL: a row through here costs 3 µs, not 30."""

from gateway.outbox.slots import IS_FACT
from gateway.outbox.sums import CHECKED_COLUMNS

NEWEST_OF_ID = f"SELECT {CHECKED_COLUMNS} FROM events WHERE {IS_FACT} ORDER BY id DESC, revision DESC LIMIT 1"
ONE_REVISION = f"SELECT {CHECKED_COLUMNS} FROM events WHERE {IS_FACT} AND revision = ?2"
INSERT_EVENT = f"INSERT INTO events ({CHECKED_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
MOVE_TALLY = (
    "INSERT INTO tallies (device, day, measure, amount) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (device, day, measure) DO UPDATE SET amount = amount + excluded.amount"
)
# Since the store began, whatever day it was; `high` is the most that it ever was.
MOVE_LIFETIME = (
    "INSERT INTO lifetimes (device, measure, amount, high) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (device, measure) DO UPDATE SET amount = amount + excluded.amount,"
    " high = max(high, amount + excluded.amount)"
)

ENTRY_COLUMNS = "seq, id, revision, kind, device, device_seq, time, received, flags, body, personal"
LAST_UP_TO = "SELECT seq FROM events WHERE seq <= ? ORDER BY seq DESC LIMIT 1"
READ_LOG = f"SELECT {CHECKED_COLUMNS} FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"

LAST_SEQ = "SELECT coalesce(max(seq), 0) FROM events"
FIRST_SEQ = "SELECT min(seq) FROM events"
# Where the entries end that a sink may have at hand when it has got as far as this.
REACH = "SELECT max(seq) FROM (SELECT seq FROM events WHERE seq > ? ORDER BY seq LIMIT ?)"
OLDEST = "SELECT seq FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
# Written like this, and not with a parameter, it is answered by an index of heartbeats alone.
OLDEST_HEARTBEATS = (
    "SELECT seq FROM events WHERE kind = 'heartbeat' AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
)

GET_DEVICE = "SELECT * FROM devices WHERE id = ?"
KNOWS_DEVICE = ("SELECT 1 FROM devices WHERE id = ?", "SELECT 1 FROM tallies WHERE device = ? LIMIT 1")
PUT_DEVICE = (
    "INSERT INTO devices (id, source, serial, mac, label, site, address, path, firmware, hardware, utc_offset_min,"
    " clock_offset_ms, first_seen, last_seen, last_kind, events, duplicates, repaired, newest, newest_data, pruned,"
    " steady_at, rhythm_ms, liveness)"
    " VALUES (:id, :source, :serial, :mac, :label, :site, :address, :path, :firmware, :hardware, :utc_offset_min,"
    " :clock_offset_ms, :first_seen, :last_seen, :last_kind, :events, :duplicates, :repaired, :newest, :newest_data,"
    " :pruned, :steady_at, :rhythm_ms, :liveness)"
    " ON CONFLICT (id) DO UPDATE SET serial=excluded.serial, mac=excluded.mac, label=excluded.label,"
    " site=excluded.site, address=excluded.address, path=excluded.path, firmware=excluded.firmware,"
    " hardware=excluded.hardware, utc_offset_min=excluded.utc_offset_min, clock_offset_ms=excluded.clock_offset_ms,"
    " last_seen=excluded.last_seen, last_kind=excluded.last_kind, events=excluded.events,"
    " duplicates=excluded.duplicates, repaired=excluded.repaired, newest=excluded.newest,"
    " newest_data=excluded.newest_data, steady_at=excluded.steady_at, rhythm_ms=excluded.rhythm_ms,"
    " liveness=excluded.liveness"
)

GET_SINK = (
    "SELECT name, since, cursor, delivered, lettered, expired, lost, replayed, attempts, retry_at, stopped"
    " FROM sinks WHERE name = ?"
)
SUM_OF_SINK = "SELECT crc FROM sinks WHERE name = ?"
ADD_SINK = (
    "INSERT INTO sinks (name, since, cursor, delivered, lettered, expired, lost, replayed, attempts, retry_at, crc)"
    " VALUES (?, ?, ?, 0, ?, 0, 0, 0, 0, 0, ?)"
)
# `expired` and `lost` belong to retention and salvage: a forwarder never writes them.
MOVE_SINK = (
    "UPDATE sinks SET cursor = ?, delivered = ?, lettered = ?, replayed = ?, attempts = ?, retry_at = ?, stopped = ?,"
    " crc = ? WHERE name = ?"
)
ARREARS = "SELECT first, last, replay FROM arrears WHERE sink = ? ORDER BY place"
CLEAR_ARREARS = "DELETE FROM arrears WHERE sink = ?"
ADD_ARREARS = "INSERT INTO arrears (sink, place, first, last, replay) VALUES (?, ?, ?, ?, ?)"

# A number that is free again belongs to a letter that somebody may still have before him: none is given out twice.
ADD_LETTER = (
    "INSERT INTO letters (number, stage, sink, sender, reason, received, retry, head, body)"
    " VALUES (1 + max((SELECT coalesce(max(number), 0) FROM letters),"
    " (SELECT coalesce(max(CAST(value AS INTEGER)), 0) FROM meta WHERE key = 'letters')), ?, ?, ?, ?, ?, 0, ?, ?)"
)
KEEP_LETTER_NUMBER = (
    "INSERT INTO meta (key, value) SELECT 'letters', max(number) FROM letters WHERE true"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)

PUT_POLL = (
    "INSERT INTO polls (name, cursor, at) VALUES (?, ?, ?)"
    " ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor, at = excluded.at"
)

PUT_META = (
    "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)
# The last number given out must survive the removal of its row.
KEEP_HEAD = (
    "INSERT INTO meta (key, value) SELECT 'head', coalesce(max(seq), 0) FROM events WHERE true"
    " ON CONFLICT (key) DO UPDATE SET value = max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER))"
)
GET_META = "SELECT value FROM meta WHERE key = ?"
