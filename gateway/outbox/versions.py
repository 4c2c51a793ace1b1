"""What the tables of each version are: one step for each version of the store."""

from typing import TYPE_CHECKING

from gateway.outbox import accounts

if TYPE_CHECKING:
    from sqlite_utils import Database


def first(db: "Database") -> None:
    """Keep events, letters, devices, and how far each sink has got."""
    # The log. `seq` is given out by the writer: it only grows, also after everything was removed.
    db.table("events").create(
        {
            "seq": int,
            "id": str,
            "revision": int,
            "kind": str,
            "device": str,
            "device_seq": int,  # counts the device's events, so that a receiver can see a gap
            "time": int,  # ms since 1970: when the fact happened or its window began
            "received": int,  # ms since 1970, the gateway's clock at receipt
            "flags": int,  # entry.Flag
            "body": str,  # JSON object: what is not in a column
            "personal": str,  # JSON object or NULL: leaves only through a sink that lists it
        },
        pk="seq",
        not_null={"id", "revision", "kind", "device", "device_seq", "time", "received", "flags", "body"},
        strict=True,
    )
    # Until `_rebuild_when_small`, by the device first.
    db.table("events").create_index(["id", "revision"], unique=True, index_name="events_by_id")
    # Heartbeats go first when room is short: they must be found among millions of others.
    db.conn.execute("CREATE INDEX events_heartbeats ON events (seq) WHERE kind = 'heartbeat'")

    # How far each sink has got, and its account. A sink that is no longer configured keeps its row.
    db.table("sinks").create(
        {
            "name": str,
            "since": int,  # the head minus all that was ever owed to the sink: a count
            "cursor": int,  # everything up to here was settled, but for the arrears
            "delivered": int,
            "lettered": int,
            "expired": int,  # dropped by retention before the sink had it
            "lost": int,  # could not be read back from a damaged file
            "replayed": int,  # delivered again on request; not part of the account
            "attempts": int,  # failed tries in a row, so that backoff survives a restart
            "retry_at": int,  # ms since 1970; the next try is not before
            "stopped": str,  # why the sink was stopped for good, or NULL
        },
        pk="name",
        not_null={
            "since",
            "cursor",
            "delivered",
            "lettered",
            "expired",
            "lost",
            "replayed",
            "attempts",
            "retry_at",
        },
        strict=True,
    )
    # Ranges behind the cursor that a live-first sink still owes, or that a person asked to send again.
    db.table("arrears").create(
        {"sink": str, "place": int, "first": int, "last": int, "replay": int},
        pk=("sink", "place"),  # the order in which they are worked off
        not_null={"first", "last", "replay"},
        strict=True,
    )
    db.table("letters").create(
        {
            "number": int,
            "stage": str,  # parse, adopt or deliver
            "sink": str,  # the sink that rejected it; '' before that stage
            "sender": str,  # address for parse, device for the later stages
            "reason": str,
            "received": int,
            "retry": int,  # 1: a person asked to try again
            "head": str,  # JSON: the request without its body, or the log entry
            "body": bytes,  # as it came in, secrets and pictures masked
        },
        pk="number",
        not_null={"stage", "sink", "sender", "reason", "received", "retry", "head", "body"},
        strict=True,
    )
    db.table("letters").create_index(["stage", "sender"])
    db.conn.execute("CREATE INDEX letters_to_retry ON letters (sink, number) WHERE retry = 1")
    db.table("devices").create(
        {
            "id": str,
            "source": str,
            "serial": str,
            "mac": str,
            "label": str,
            "site": str,
            "address": str,
            "path": str,
            "firmware": str,
            "hardware": str,
            "utc_offset_min": int,
            "clock_offset_ms": int,  # device clock minus gateway clock, as far as pushes without delay tell
            "first_seen": int,
            "last_seen": int,
            "last_kind": str,
            "events": int,  # accepted, and the last device_seq given out
            "duplicates": int,
            "repaired": int,
            "newest": int,  # time of the newest fact, ms
            "newest_data": str,  # its data, JSON
            "pruned": int,  # facts up to this time may have left the log
        },
        pk="id",
        not_null={"source", "first_seen", "last_seen", "events", "duplicates", "repaired", "pruned"},
        strict=True,
    )
    db.conn.execute(
        "CREATE TABLE tallies (device TEXT NOT NULL, day TEXT NOT NULL, measure TEXT NOT NULL,"
        " amount INTEGER NOT NULL, PRIMARY KEY (device, day, measure)) STRICT, WITHOUT ROWID"
    )
    db.conn.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID")


def truth(db: "Database") -> None:
    """Keep what is needed to say what is true: accounts of each device, coverage, zones, what waits for adoption."""
    # The rhythm of each device, and what was last said about its liveness.
    for column in ("steady_at INTEGER", "rhythm_ms INTEGER", "liveness TEXT"):
        db.conn.execute(f"ALTER TABLE devices ADD COLUMN {column}")
    # Each sink's account, device by device; they add up to the row in `sinks`.
    db.conn.execute(
        "CREATE TABLE accounts (sink TEXT NOT NULL, device TEXT NOT NULL,"
        " since INTEGER NOT NULL,"  # so many of the device's events were never owed to the sink
        " delivered INTEGER NOT NULL, lettered INTEGER NOT NULL, expired INTEGER NOT NULL, lost INTEGER NOT NULL,"
        " PRIMARY KEY (sink, device)) STRICT, WITHOUT ROWID"
    )
    accounts.reconstruct(db.conn)
    # How far each poll has got; moves in the transaction of the events that it brought.
    db.conn.execute(
        "CREATE TABLE polls (name TEXT PRIMARY KEY, cursor TEXT NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID"
    )
    # What devices that nobody has adopted yet have said; no sink sees it. `push` is the first number of the push that
    # an event came with, `mark` tells statements apart: a resend has the same. Numbers are never given out twice.
    db.conn.execute(
        "CREATE TABLE held (number INTEGER PRIMARY KEY AUTOINCREMENT, push INTEGER NOT NULL, device TEXT NOT NULL,"
        " source TEXT NOT NULL, introducer TEXT NOT NULL, address TEXT NOT NULL, path TEXT NOT NULL,"
        " received INTEGER NOT NULL, unsynced INTEGER NOT NULL, mark TEXT NOT NULL, bytes INTEGER NOT NULL,"
        " event TEXT NOT NULL) STRICT"  # JSON object: `held.as_json`
    )
    db.conn.execute("CREATE UNIQUE INDEX held_by_device ON held (device, mark, introducer)")
    # What was decided about a device, or about an address: who was taken up by itself, who is ignored.
    db.conn.execute(
        "CREATE TABLE verdicts (name TEXT PRIMARY KEY, verdict TEXT NOT NULL, introducer TEXT NOT NULL,"
        " at INTEGER NOT NULL) STRICT, WITHOUT ROWID"
    )
    # Which minutes of which UTC hour a device has told about, as 60 bits each: bit 0 is the first minute.
    db.conn.execute(
        "CREATE TABLE coverage (device TEXT NOT NULL, hour INTEGER NOT NULL,"
        " minutes INTEGER NOT NULL, live INTEGER NOT NULL, beats INTEGER NOT NULL,"  # `coverage.py` says of what
        " PRIMARY KEY (device, hour)) STRICT, WITHOUT ROWID"
    )
    # The occupancy of each zone. Windows from `next_reset` on wait in `ahead` until then.
    db.conn.execute(
        "CREATE TABLE zones (name TEXT PRIMARY KEY, since INTEGER NOT NULL, next_reset INTEGER NOT NULL,"
        " base INTEGER NOT NULL, enters INTEGER NOT NULL, exits INTEGER NOT NULL, ahead TEXT NOT NULL,"
        " origin TEXT NOT NULL, counted INTEGER NOT NULL, drift INTEGER, drift_at INTEGER,"
        " crowded INTEGER NOT NULL) STRICT, WITHOUT ROWID"
    )
    # What each device and zone has counted since the store began; days may leave `tallies` after some time.
    db.conn.execute(
        "CREATE TABLE lifetimes (device TEXT NOT NULL, measure TEXT NOT NULL, amount INTEGER NOT NULL,"
        " high INTEGER NOT NULL,"  # the most that it was: a correction does not lower what is shown
        " PRIMARY KEY (device, measure)) STRICT, WITHOUT ROWID"
    )
    db.conn.execute(
        "INSERT INTO lifetimes SELECT device, measure, sum(amount), max(sum(amount), 0) FROM tallies"
        " GROUP BY device, measure"
    )
    # Pictures that the owner asked to keep; the files lie beside the store.
    db.table("pictures").create(
        {
            "hash": str,  # SHA-256 of the file, its name
            "event": str,  # id of the event that refers to it
            "device": str,
            "person": str,  # mark of the person, for erasure; NULL when nobody was named
            "received": int,  # ms since 1970, by the gateway's clock: the age of the picture
            "unsynced": int,  # 1: that clock could not be believed then
            "bytes": int,
        },
        pk=("event", "hash"),
        not_null={"device", "received", "unsynced", "bytes"},
        strict=True,
    )
    db.table("pictures").create_index(["person"], index_name="pictures_by_person")
    db.table("pictures").create_index(["hash"], index_name="pictures_by_file")


def sums(db: "Database") -> None:
    """Have versions that look ids up by their device refuse the store; the index itself comes when it can."""
    # What is beside a row was made of it (`sums.py`); NULL in what an earlier version wrote.
    for table in ("events", "sinks"):
        db.conn.execute(f"ALTER TABLE {table} ADD COLUMN crc INTEGER")
