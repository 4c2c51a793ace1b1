"""Hostile texts of devices on their whole way: topics, headers, bodies, log, tables, letters, suggestions."""

import contextlib
import http.client
import json
import re
import sqlite3
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner
from site_under_test import Site
from strings import HOSTILE, Case, cases

from gateway.commands import main

TOPIC = re.compile(r"gateway/gw-test/(?:[a-z0-9_-]{1,80}/(?:event|state)|status|availability|online|[a-z_]+)")
WORKERS = 8
SINKS = {"home": 'personal = ["name", "user_id", "ic_number", "remark", "groups", "description"]'}


def push(port: int, pushes: Sequence[Case]) -> list[tuple[str, str, int]]:
    """Push one after the other; give field, kind of text and status, 0 for a connection that was closed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    answers = []
    for field, kind, body, headers, path in pushes:
        try:
            connection.putrequest("POST", path, skip_host="host" in headers)
            for name, text in {"Content-Length": str(len(body)), **headers}.items():
                connection.putheader(name, text.encode("latin-1"))
            connection.endheaders(body)
            answer = connection.getresponse()
            answer.read()
            answers.append((field, kind, answer.status))
        except (http.client.HTTPException, OSError):  # refused by the head, and closed
            connection.close()
            answers.append((field, kind, 0))
    connection.close()
    return answers


def told(site: Site, *words: str) -> str:
    """Run a command in this process, which is quicker than a new one."""
    return CliRunner().invoke(main, ["-c", str(site.daemon.config), *words]).stdout


def every_text_was_taken_or_refused(answers):
    """No text costs an answer; only what no device sends (a wrong serial header, a length) may be refused."""
    assert len(answers) > 40 * len(HOSTILE) * 0.9
    assert [] == [told for told in answers if told[2] not in (0, 200, 400)]
    assert sum(status == 200 for *_, status in answers) > 0.97 * len(answers)


def no_text_makes_a_topic(site):
    """Each topic is of the shape that the manual says, whatever the devices are called."""
    topics = {arrival.topic for arrival in site.subscriber.arrivals}
    assert len(topics) > 10
    assert [] == [topic for topic in topics if not TOPIC.fullmatch(topic)]
    assert [] == [topic for topic in topics if "sys" in topic.split("/")[0]]


def both_far_ends_have_everything_as_it_was_said(site):
    """No event is rejected because of its text: none waits, none is a letter, and the upstream saw well-formed requests."""
    for account in site.accounts():
        assert (account["waiting"], account["lettered"], account["lost"]) == (0, 0, 0)
        assert account["received"] > 500
    assert not site.upstream.malformed
    assert 0 == site.upstream.bad_signatures


def the_log_has_one_printable_line_for_each_thing(site):
    """No text begins a line of its own or moves a cursor, and none forges an error."""
    lines = site.daemon.log.read_text().splitlines()
    assert [] == [line for line in site.daemon.log.read_text().split("\n") if not line.isprintable()]
    entries = [json.loads(line) for line in lines]
    assert [] == [
        entry for entry in entries if entry.get("event") == "forged" or entry.get("level") == "error"
    ]


def a_table_in_a_terminal_shows_and_does_nothing(site, words):
    """What a command prints moves no cursor, turns no text round and adds no line."""
    printed = told(site, *words)
    assert printed
    assert [] == [line for line in printed.split("\n") if not line.isprintable()]


def json_of_a_command_is_json(site, what):
    """Programs can read it, and it is safe on a terminal too."""
    printed = told(site, *([what, "list"] if what == "letters" else [what]), "--json")
    assert json.loads(printed)
    assert [] == [line for line in printed.split("\n") if not line.isprintable()]


def suggested_sections_hold_no_text_of_a_device(site):
    """What an installer copies into the configuration is what it seems to be."""
    sections = tomllib.loads(told(site, "devices", "--pins"))
    assert {"devices"} == sections.keys()
    for section in sections["devices"].values():
        assert re.fullmatch(r"[a-z0-9_-]{1,48}", section["id"])


def the_book_is_bounded_and_the_tables_are_there(site):
    """No text of a device is longer than the book allows, and nobody dropped a table."""
    with contextlib.closing(sqlite3.connect(site.directory / "store/gateway.db")) as conn:
        longest = [
            conn.execute(f"SELECT max(length({name})) FROM devices").fetchone()[0]
            for name in ("serial", "mac", "label", "site", "firmware", "hardware", "path")
        ]
        assert conn.execute("SELECT count(*) FROM events").fetchone()[0] > 500
    assert max(length or 0 for length in longest) <= 256


COMMANDS = [
    ("status",), ("devices",), ("sinks",), ("adopt",), ("letters", "list"), ("devices", "m1"), ("devices", "--pins"),
    ("account",), ("letters", "show", "1"),
]  # fmt: skip


@pytest.mark.slow
def test_hostile_texts_in_every_string_of_a_device_act_nowhere(tmp_path):
    """Each hostile text in each string of each source is only text: in topics, both far ends, log, tables and letters."""
    site, pushes = Site(tmp_path, **SINKS), list(cases())
    try:
        site.daemon.start()
        with ThreadPoolExecutor(WORKERS) as workers:
            parts = workers.map(lambda first: push(site.daemon.port, pushes[first::WORKERS]), range(WORKERS))
            answers = [answer for part in parts for answer in part]
        site.settle()
        every_text_was_taken_or_refused(answers)
        no_text_makes_a_topic(site)
        both_far_ends_have_everything_as_it_was_said(site)
        the_log_has_one_printable_line_for_each_thing(site)
        for words in COMMANDS:
            a_table_in_a_terminal_shows_and_does_nothing(site, words)
        for what in ("status", "devices", "letters", "sinks"):
            json_of_a_command_is_json(site, what)
        suggested_sections_hold_no_text_of_a_device(site)
        the_book_is_bounded_and_the_tables_are_there(site)
    finally:
        site.close()
