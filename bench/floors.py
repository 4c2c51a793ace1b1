"""Measure the least that each stage of an event can cost: ``python bench/floors.py``; prints Markdown.

Each line is the naked call of the library below a stage, with nothing of ours around it: what no code of ours can go below
as long as the event is parsed as XML, committed to SQLite and told to both sinks. Processor µs per event of W1.
"""

import hashlib
import hmac
import json
import sqlite3
import tempfile
import time
import timeit
import zlib
from collections.abc import Callable
from pathlib import Path

from bodies import first_base, workloads
from lxml import etree
from tables import table

_AT_ONCE = 10  # events in a commit, as at 16 connections
_POSTED = 100  # events in a request


def main() -> None:
    body = workloads()["W1"].body(device=1, turn=1, base=first_base(), run="00000001")
    data = {
        "count": "running_minute",
        "view": "total",
        "object": "1",
        "name": "door",
        "enters": 3,
        "exits": 2,
    }
    payload = json.dumps(data).encode().ljust(560, b" ")
    floors = {
        "XML: lxml parses the body, nothing is taken out of it": _us(lambda: _parsed(body)),
        "JSON: the data of one event written": _us(lambda: json.dumps(data)),
        f"SQLite: one row of one table inserted, {_AT_ONCE} to a commit, with its sync": _inserted(payload),
        f"HTTPS: an event's share of gzip and HMAC-SHA256 of {_POSTED}": _us(lambda: _signed(payload))
        / _POSTED,
    }
    rows = [[name, f"{cost:.1f}"] for name, cost in floors.items()]
    print(table(["floor", "µs/event"], [*rows, ["together", f"{sum(floors.values()):.1f}"]]))


def _us(work: Callable[[], object]) -> float:
    """Give the least of several runs: neighbours can only add to it."""
    work()
    return min(timeit.repeat(work, number=200, repeat=15, timer=time.process_time)) / 200 * 1e6


def _parsed(body: bytes) -> object:
    return etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))


def _signed(payload: bytes) -> object:
    request = payload * _POSTED
    return hmac.new(b"k" * 32, request, hashlib.sha256).digest(), zlib.compress(request, 1)


def _inserted(payload: bytes) -> float:
    with tempfile.TemporaryDirectory(prefix="gateway-bench-", dir="/var/tmp") as name:
        conn = sqlite3.connect(Path(name) / "log.db", isolation_level=None)
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute("PRAGMA synchronous = FULL")
        conn.execute("CREATE TABLE events (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, body TEXT)")
        text, number = payload.decode(), 0

        def commit() -> None:
            nonlocal number
            conn.execute("BEGIN")
            rows = [(f"counter-1:{number + at:010d}", text) for at in range(_AT_ONCE)]
            conn.executemany("INSERT INTO events (id, body) VALUES (?, ?)", rows)
            conn.execute("COMMIT")
            number += _AT_ONCE

        cost = _us(commit) / _AT_ONCE
        conn.close()
        return cost


if __name__ == "__main__":
    main()
