"""A pinned device: what is said in its name from elsewhere moves nothing, and its secret word is shown by nothing."""

import http.client
import re
import signal
import sqlite3
import time
from pathlib import Path

import pytest
from hostile import counted, record
from site_under_test import SMALL_SITE, Daemon, free_port

from gateway.config import loads
from gateway.control.client import Client
from gateway.errors import ConfigError

WORD = "CanaryWord0123456789"
CONFIG = (
    SMALL_SITE
    + """
[gateway]
id = "gw-pinned"
[devices.north]
id = "counter-real"
address = "{pinned}"
[devices.lobby]
id = "terminal-spt1"
address = ["127.0.0.8", "127.0.4.0/24"]
path_secret_file = "{directory}/word"
"""
)
SAYS = "SELECT revision, body FROM events WHERE device = '{0}' ORDER BY seq"
BOOK = "SELECT * FROM devices WHERE id = '{0}'"
SUMS = "SELECT * FROM tallies WHERE device = '{0}'"


class Place:
    def __init__(self, directory: Path, *, pinned: str = "127.0.0.9") -> None:
        self.directory, self.port = directory, free_port()
        (directory / "word").write_text(WORD + "\n")
        (directory / "word").chmod(0o600)
        self.config = directory / "config.toml"
        self.write(pinned)
        self.daemon = Daemon(directory, self.config, self.port)
        self.daemon.start()

    def write(self, pinned: str) -> None:
        self.config.write_text(CONFIG.format(port=self.port, directory=self.directory, pinned=pinned))

    def push(self, body: bytes, source: str, path: str = "/", headers: dict | None = None) -> int | None:
        """Push from an address; None when the connection was closed without an answer."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=10, source_address=(source, 0)
        )
        try:
            connection.request("POST", path, body, headers or {})
            return connection.getresponse().status
        except http.client.RemoteDisconnected:
            return None
        finally:
            connection.close()

    def rows(self, query: str) -> list[tuple]:
        with sqlite3.connect(f"file:{self.directory}/store/gateway.db?mode=ro", uri=True) as conn:
            return conn.execute(query).fetchall()

    def known(self, device: str) -> list[list[tuple]]:
        """All that the store says of a device, but for what only moves by itself."""
        return [self.rows(query.format(device)) for query in (SAYS, BOOK, SUMS)]

    def told(self, *words: str) -> str:
        done = self.daemon.asked(*words)
        return done.stdout + done.stderr

    def fault(self, code: str, subject: str = "") -> str | None:
        faults = Client(self.directory / "control.sock").get("/status")["faults"]
        alike = [fault for fault in faults if fault["code"] == code and fault["subject"].startswith(subject)]
        return alike[0]["sentence"] if alike else None


@pytest.fixture(scope="session")  # tests of one file do not run in one go
def place(tmp_path_factory):
    built = Place(tmp_path_factory.mktemp("pinned"))
    yield built
    built.daemon.stop()


@pytest.fixture
def own(tmp_path):
    """A place of its own, for who stops it or changes it."""
    built = Place(tmp_path)
    yield built
    if built.daemon.running:
        built.daemon.stop()


def test_a_forged_push_moves_nothing_of_a_pinned_device(place):
    """No number, revision, clock, book entry or letter comes from elsewhere; the fault names both addresses."""
    assert 200 == place.push(counted("real", enters=3), "127.0.0.9")
    before = place.known("counter-real")
    ahead = 1_761_991_200 + 80_000  # a forged TransmitTime would outrank the true minute
    forged = [
        counted("real", enters=99, sent=ahead),
        counted("REAL", enters=98, sent=ahead),
        counted("real", minute=5),
    ]
    assert [503] * 3 == [place.push(body, "127.0.0.66") for body in forged]
    assert before == place.known("counter-real")
    assert [] == place.rows("SELECT number FROM letters WHERE sender = '127.0.0.66'")
    sentence = place.fault("pinned_device_refused", "counter-real")
    for word in ("counter-real", "127.0.0.66", "127.0.0.9", "[devices.north]"):
        assert word in sentence
    assert 200 == place.push(counted("real", enters=4, sent=1_761_991_260), "127.0.0.9")
    assert [(4,)] == place.rows(
        "SELECT amount FROM tallies WHERE device = 'counter-real' AND measure = 'enters'"
    )


def test_without_a_pin_a_forged_time_outranks_the_true_minute(place):
    """The control: the same forgery moves the number of a device that is not pinned, and the truth stays as history."""
    assert 200 == place.push(counted("open", enters=3), "127.0.0.9")
    assert 200 == place.push(counted("open", enters=99, sent=1_761_991_200 + 80_000), "127.0.0.66")
    assert 200 == place.push(counted("open", enters=4, sent=1_761_991_260), "127.0.0.9")
    assert [(99,)] == place.rows(
        "SELECT amount FROM tallies WHERE device = 'counter-open' AND measure = 'enters'"
    )
    assert 3 == len(place.rows(SAYS.format("counter-open")))
    assert "127.0.0.9 and 127.0.0.66" in place.fault("identity_shared", "counter-open")


def test_both_locks_must_fit(place):
    """A terminal with address and word is believed with both, gets silence with one."""
    wrong = WORD[:-1] + "x"
    before = len(place.rows(SAYS.format("terminal-spt1")))
    tries = [
        ("127.0.0.8", "/k/" + WORD), ("127.0.4.7", f"/k/{WORD}/Record"), ("127.0.0.8", "/"), ("127.0.0.8", "/k/" + wrong),
        ("127.0.0.8", "/k/" + WORD.lower()), ("127.0.0.8", f"/x/k/{WORD}"), ("127.0.0.66", "/k/" + WORD),
        ("127.0.0.8", f"/?k={WORD}"), ("127.0.0.8", f"/k//{WORD}x"),
    ]  # fmt: skip
    answers = [
        place.push(record(deviceSN="SPT1", uuid=f"u-{number}"), source, path)
        for number, (source, path) in enumerate(tries)
    ]
    assert [200, 200, None, None, None, None, None, None, None] == answers
    assert before + 2 == len(place.rows(SAYS.format("terminal-spt1")))


@pytest.mark.slow
def test_the_word_is_shown_by_nothing(own):
    """Right or with a slip of the finger, it is in no file, log line, letter, capture or answer of a command."""
    place, slip = own, WORD[:-1] + "x"
    assert 0 == place.daemon.asked("capture", "127.0.0.8", "--minutes", "1").returncode
    paths = [
        f"/k/{WORD}",
        f"/k/{WORD}/{WORD}",
        f"/k/{slip}",
        f"//k/{WORD}/x?k={WORD}",
        f"/K/{WORD}",
        f"/k/%43{WORD[1:]}",
        f"/{WORD}/x",
        f"/{WORD}.xml",
        f"/x.{WORD}",
        f"/a={WORD};b",
        f"/k%252f{WORD}",
        f"/k%25252F{WORD}",
        f"/x%252f{WORD}%2541",
        f"/k//{WORD}",
        f"/k//{WORD}/push",
        f"//k/{slip}",
        f"/push/k/{slip}",
        f"/k%252f{slip}",
    ]
    for number, path in enumerate(paths):
        place.push(record(deviceSN="SPT1", uuid=f"u-{number}"), "127.0.0.8", path)
        place.push(record(deviceSN="SPT1", uuid=f"v-{number}"), "127.0.0.66", path)
        place.push(b'{"type": 0, "data": {"deviceSN": "SPT1"', "127.0.0.8", path)
        place.push(b"what is this", "127.0.0.8", path)
        connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=10)
        connection.request("GET", path)
        answered = connection.getresponse().read().decode()
        connection.close()
        assert WORD not in answered
    shown = [place.told(*words) for words in (
        ("status", "--json"), ("devices", "--json"), ("letters", "list", "--json"), ("letters", "show", "1"),
    )]  # fmt: skip
    place.daemon.stop()
    kept = [file for file in place.directory.rglob("*") if file.is_file() and file.name != "word"]
    assert len(kept) > 3
    for canary in (WORD, slip, WORD.lower()):
        assert [] == [text for text in shown if canary in text]
        assert [] == [file for file in kept if canary.encode() in file.read_bytes()]


def test_a_device_with_a_new_address_is_told_and_taken_after_a_reload(own):
    """A new lease is a fault and no loss: refused, and taken when the pin is corrected; the fault goes with that push."""
    place, body = own, counted("real", enters=5)
    assert 503 == place.push(body, "127.0.0.10")
    assert place.fault("pinned_device_refused")
    place.write("127.0.0.10")
    place.daemon.signal(signal.SIGHUP)
    deadline = time.monotonic() + 20
    while (status := place.push(body, "127.0.0.10")) != 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert 200 == status
    assert place.fault("pinned_device_refused") is None
    assert [(5,)] == place.rows(
        "SELECT amount FROM tallies WHERE device = 'counter-real' AND measure = 'enters'"
    )


def test_a_letter_that_is_read_again_does_not_get_past_the_pin(place):
    """What came from elsewhere and became readable after an update is still not the device's word."""
    place.push(
        b'{"type": 0, "data": {"deviceSN": "SPT1", "uuid": "u", "pass": true, "timestamp": 1', "127.0.0.67"
    )
    with sqlite3.connect(place.directory / "store/gateway.db") as conn:
        conn.execute("UPDATE letters SET body = ?", (record(deviceSN="SPT1", uuid="again"),))
    ((number,),) = place.rows("SELECT max(number) FROM letters")
    assert "pins to 127.0.0.8" in place.told("letters", "retry", str(number))
    assert [] == [row for row in place.rows(SAYS.format("terminal-spt1")) if "again" in row[1]]


def test_pins_are_printed_as_sections_that_load(place):
    """`gateway devices --pins` gives TOML that pins what is not pinned yet, and names what is."""
    for _ in range(2):
        place.push(counted("open", minute=9), "127.0.0.21")
    place.push(counted("real"), "127.0.0.9")
    printed = place.daemon.asked("devices", "--pins").stdout
    config = loads(printed)
    found = {device.id: [str(network) for network in device.address] for device in config.devices.values()}
    assert ["127.0.0.21/32"] == found["counter-open"]
    assert "counter-real" not in found
    assert re.search(r"# counter-real is pinned already, to 127\.0\.0\.9, in \[devices\.north\]", printed)


def test_two_spellings_of_a_serial_number_are_a_fault(place):
    """Numbers that differ in case only make one device, as before, and a person is told both."""
    place.push(counted("Abc"), "127.0.0.21")
    place.push(counted("aBC", minute=1), "127.0.0.22")
    sentence = place.fault("identity_shared", "counter-abc")
    for number in ('"Abc"', '"aBC"', "counter-abc"):
        assert number in sentence


def test_who_changes_the_address_each_time_is_noticed_too(place):
    """A forger that never uses one address twice is named, and a device that moves once is not."""
    for number, source in enumerate(("127.0.0.41", "127.0.0.42", "127.0.0.43", "127.0.0.44")):
        place.push(counted("moved", minute=number), source)
        assert (place.fault("identity_shared", "counter-moved") is not None) == (number == 3)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ('address = "10.0.0.5"\ntoken = "t"', "pins nothing"),
        ('id = "a"\naddress = "10.0.0.5/24"', "bits set"),
        ('id = "a"\naddress = "door.local"', "is no address"),
        ('id = "a"\naddress = []', "empty list"),
        ('id = "a"\npath_secret_file = "{word}"', "nobody can guess"),
    ],
)
def test_a_wrong_pin_is_a_clear_mistake(tmp_path, section, said):
    """What cannot work is named before it is used, without the word."""
    word = tmp_path / "short"
    word.write_text("Canary")
    word.chmod(0o600)
    with pytest.raises(Exception, match=said) as caught:
        loads(f"[devices.x]\n{section.replace('{word}', str(word))}\n")
    assert "Canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("section", "said", "advice"),
    [
        (
            'id = "2000000000000001"\naddress = "10.0.0.5"',
            "no device that pushes",
            '"counter-2000000000000001"',
        ),
        ('id = "sps7-0042"\naddress = "10.0.0.5"', "no device that pushes", '"terminal-sps7-0042"'),
        ('id = "counter-1"\naddress = "0.0.0.0/0"', "every address", "the address of the device"),
        ('id = "counter-1"\naddress = ["10.0.0.5", "::/0"]', "every address", "the address of the device"),
        ('id = "counter-1"\naddress = "8.8.8.8"', "outside of listen.allow (8.8.8.8)", "listen.allow"),
        ('id = "counter-1"\naddress = "10.0.0.5:80"', "devices.x.address: ", 'write "10.0.0.5"'),
        ('id = "counter-1"\naddress = "http://10.0.0.5/x"', "is no address", 'write "10.0.0.5"'),
        ('id = "counter-1"\naddress = " 10.0.0.5 "', "is no address", 'write "10.0.0.5"'),
        ('id = "counter-1"\naddress = 5', "an address in quotes", 'address = "192.168.1.40"'),
        ('id = "counter-1"\npath_secret_file = "{word}"', "nobody can guess", "run: openssl rand -hex 8"),
        ('id = "counter-1"\npath_secret_file = "{empty}"', "is empty", "write the secret into it"),
        ('id = "counter-1"\n[devices.Lobby Nord]', "has a blank", "[devices.lobby-north]"),
    ],
)
def test_a_pin_that_would_protect_nothing_is_refused_with_advice(tmp_path, section, said, advice):
    """What an installer types for an id, an address, a word or a section says what to write instead."""
    for name, text in (("word", "Canary"), ("empty", "")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
        section = section.replace(f"{{{name}}}", str(tmp_path / name))
    with pytest.raises(ConfigError) as caught:
        loads(f"[devices.x]\n{section}\n")
    for words in (said, advice):
        assert words in str(caught.value)
    assert "Canary" not in str(caught.value)


@pytest.mark.parametrize("address", ["127.0.0.9", "192.168.1.0/24", "fd00::5"])
def test_a_pin_that_works_is_no_mistake(address):
    """The control: an address of a local network, a network and IPv6 load."""
    assert loads(f'[devices.x]\nid = "counter-1"\naddress = "{address}"\n').devices["x"].address


def test_where_only_the_word_is_wrong_the_advice_is_about_the_word(place):
    """From the right address without the word nobody is asked about a new address; from elsewhere they are."""
    for source, begins in (
        ("127.0.0.8", "Type the URL with the word"),
        ("127.0.0.66", "Has the device a new address?"),
    ):
        place.push(record(deviceSN="SPT1", uuid="w"), source, "/")
        faults = Client(place.directory / "control.sock").get("/status")["faults"]
        (advice,) = (
            one["action"]
            for one in faults
            if (one["code"], one["subject"]) == ("pinned_device_refused", "terminal-spt1")
        )
        assert advice.startswith(begins)
