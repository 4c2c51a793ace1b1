"""The support archive: nothing secret or personal is in it, and it can always be made."""

import json
import os
import shutil
import sqlite3
import stat
import tarfile
import tempfile
import threading
import time
from pathlib import Path

import pytest
from bundle_canaries import FIXTURES, WORD, Planted, document, members, packed, push
from far_end_site import SECRET, secret
from site_under_test import SMALL_SITE, Daemon, small_daemon

from gateway.config import Config, load
from gateway.doctor.box import Box
from gateway.doctor.bundle import archive, journal, write
from gateway.doctor.bundle.net import Net
from gateway.doctor.finding import Finding
from gateway.errors import GatewayError
from gateway.simulate.receiver import Outcome, Receiver

BODIES = (
    *(
        "face_terminal/firmware_1_3_0_integer_ids",
        "face_terminal/alarm_with_picture",
        "face_terminal/odd_new_fields",
    ),
    *(
        "people_counter/heartbeat_wifi_password",
        "people_counter/brickstream_zones",
        "people_counter/hostile_texts",
    ),
)
EVERYTHING = {
    *("README.txt", "doctor.txt", "doctor.json", "status.json", "account.json", "sinks.json", "devices.json"),
    *("letters.json", "store.json", "files.json", "config.json", "versions.json", "log.txt"),
}  # fmt: skip
SITE = (
    SMALL_SITE  # its last table is [runtime]
    + """
log_format = "json"
[pictures]
keep = true
[devices.door]
token = "{token}"
name = "{name}"
[terminals.back]
endpoint = "http://127.0.0.1:9"
event_dest = "http://127.0.0.1:8088/{word}"
[camlytics.hall]
endpoint = "http://127.0.0.1:{closed}"
token = "{hall}"
mode = "webhook"
[camlytics_cloud.shop]
endpoint = "http://127.0.0.1:{closed}"
insecure_http = true
key_file = "{key}"
secret_file = "{private}"
[sinks.broker]
type = "mqtt"
endpoint = "mqtt://127.0.0.1:{closed}"
username = "{user}"
password_file = "{password}"
personal = ["user_id", "name", "job_number", "remark", "description"]
[sinks.upstream]
type = "https"
endpoint = "{upstream}/{path}?key={query}"
ca_file = "{ca}"
secret_file = "{signing}"
bearer_file = "{bearer}"
headers = {{ "x-site" = "{header}" }}
backoff_max_s = 1
"""
)


@pytest.fixture
def planted():
    return Planted()


@pytest.fixture
def site(tmp_path, planted):
    """A running gateway with canaries in all its settings, and an upstream that repeats whatever it is sent."""
    folder = tmp_path / "receiver"
    folder.mkdir()
    upstream = Receiver(folder).start()
    upstream.decide = lambda request: Outcome(
        status=400, body=b"no: " + request.headers.get("authorization", "").encode() + request.body[:100]
    )
    files = {
        name: secret(tmp_path, name, planted.new(name)) for name in ("key", "private", "password", "bearer")
    }
    words = {
        name: planted.new(name)
        for name in ("token", "name", "word", "hall", "user", "path", "query", "header")
    }
    daemon = small_daemon(
        tmp_path,
        SITE,
        upstream=upstream.url,
        ca=upstream.ca_file,
        signing=secret(tmp_path, "signing", SECRET),
        **files,
        **words,
    )
    daemon.start(wait_s=150.0)
    yield daemon
    if daemon.running:
        daemon.stop()
    upstream.stop()


@pytest.fixture
def journal_of(monkeypatch, tmp_path):
    """Have a file stand for the journal."""

    def use(log: Path) -> None:
        program = tmp_path / "journalctl"
        program.write_text(f'#!/bin/sh\nexec cat "{log}"\n')
        program.chmod(0o755)
        monkeypatch.setattr(journal, "which", lambda _name, **_more: str(program))

    return use


def fill(site: Daemon, planted: Planted) -> list[bytes]:
    """Push every field of several devices with a canary in it, and canaries in paths, queries and broken bodies."""
    word = next(word for word, where in planted.words.items() if where == "token")
    bodies = [body for name in BODIES for body in planted.bodies(FIXTURES / name / "body")]
    bodies.append(b'{"type":0,"data":{"wifi_password":"%b","pin":' % planted.new("broken body").encode())
    for body in bodies:
        push(site.port, "/", body)
    push(site.port, f"/{word}", bodies[0])
    push(site.port, f"/{word}", (FIXTURES / "face_terminal/alarm_by_token/body").read_bytes())
    push(
        site.port, f"/Record/{planted.new('path of a push')}/?pw={planted.new('query of a push')}", bodies[1]
    )
    push(site.port, f"/nothing/{planted.new('path of a stranger')}", b"GET")
    return bodies


def raw_view(site: Daemon, bodies: list[bytes]) -> dict[str, bytes]:
    """Collect what a person would mail who does not think about it."""
    said = "".join(
        site.asked(*words).stdout for words in (("devices", "--json"), ("letters", "list", "--json"))
    )
    files = {path.name: path.read_bytes() for path in site.config.parent.iterdir() if path.is_file()}
    return {
        "said": said.encode(),
        "pushes": b"\n".join(bodies),
        "env": repr(dict(os.environ)).encode(),
        **files,
    }


@pytest.mark.slow
@pytest.mark.parametrize("state", ["running", "stopped"])
def test_no_canary_leaves_the_box(site, planted, journal_of, monkeypatch, tmp_path, state):
    """Of more than a hundred words in pushes, settings, secrets, paths and the environment none is in the archive, in no
    spelling; the same search finds each of them in what a person would have packed by hand."""
    monkeypatch.setenv("SITE_PASSWORD", planted.new("environment"))
    journal_of(site.log)
    bodies = fill(site, planted)
    if state == "stopped":
        site.stop()
    file = tmp_path / "support.tar.gz"
    done = site.asked("doctor", "--bundle", str(file))
    assert file.exists(), done.stderr
    assert 100 < len(planted.words)

    by_hand = tmp_path / "by-hand.tar.gz"
    by_hand.write_bytes(packed(raw_view(site, bodies)))
    found_by_hand = set().union(*(planted.found_in(raw) for raw in members(by_hand).values()))
    # What came in the path of a push was in nothing but the request.
    asked_for = {word for word, where in planted.words.items() if "of a push" in where or "stranger" in where}
    assert planted.words.keys() - asked_for <= found_by_hand

    inside = members(file)
    assert {} == {name: found for name, raw in inside.items() if (found := planted.found_in(raw))}
    there = {name.partition("/")[2] for name in inside}
    assert EVERYTHING - ({"status.json"} if state == "stopped" else set()) <= there
    assert SECRET.removeprefix("whsec_").encode() not in b"".join(inside.values())


def test_what_a_person_would_see_has_canaries_in_it(site, planted):
    """The test above is not idle: what `gateway devices` shows holds words that devices said."""
    fill(site, planted)
    assert planted.found_in(site.asked("devices", "--json").stdout.encode())


def test_the_search_knows_every_spelling():
    """A canary is found as it is, in Base64 at any place, percent-encoded, escaped, and in another case."""
    import base64

    planted = Planted()
    word = planted.new("here")
    spellings = [
        word,
        word.upper(),
        "".join(f"%{ord(c):02X}" for c in word),
        "".join(f"\\u{ord(c):04x}" for c in word),
    ]
    spellings += [base64.b64encode(("x" * shift + word + "yz").encode()).decode() for shift in range(7)]
    for spelled in spellings:
        assert {word} == planted.found_in(f"...{spelled}...".encode()).keys(), spelled
    assert {WORD} == planted.found_in(f"...{WORD}...".encode()).keys()
    assert {} == planted.found_in(b"nothing")


# What is in it


def test_it_says_what_a_helper_needs(site, planted, journal_of, tmp_path):
    """Figures, ids, addresses and faults are in it: sums per sink, counts of rows, the host of each far end."""
    journal_of(site.log)
    fill(site, planted)
    file = tmp_path / "support.tar.gz"
    site.asked("doctor", "--bundle", str(file))
    assert {"broker", "upstream"} == {row["sink"] for row in document(file, "sinks.json")}
    assert document(file, "store.json")["tables"]["events"]["rows"] > 0
    assert "CREATE TABLE" in document(file, "store.json")["tables"]["events"]["sql"]
    assert document(file, "config.json")["sinks"]["upstream"]["endpoint"].startswith("https://127.0.0.1:")
    assert document(file, "config.json")["sinks"]["upstream"]["headers"] == {"x-site": "***"}
    assert any(row["device"].startswith("terminal-") for row in document(file, "devices.json"))
    assert any(fault["code"] == "mqtt_refused" for fault in document(file, "status.json")["faults"])
    assert any(one["code"] == "mqtt_refused" for one in document(file, "doctor.json")["findings"])
    assert document(file, "letters.json")
    readme = next(raw for name, raw in members(file).items() if name.endswith("/README.txt")).decode()
    assert all(name in readme for name in EVERYTHING - {"README.txt"})


def test_only_its_owner_may_read_it(tmp_path):
    """The file has the mode 0600, whatever the umask is, and so has every member."""
    before = os.umask(0)
    try:
        write(tmp_path / "a.tar.gz", Box(_config(tmp_path)), {}, [])
    finally:
        os.umask(before)
    assert 0o600 == stat.S_IMODE((tmp_path / "a.tar.gz").stat().st_mode)
    with tarfile.open(tmp_path / "a.tar.gz") as packed_:
        assert {0o600} == {member.mode for member in packed_.getmembers()}


def test_with_sudo_it_belongs_to_who_typed_it(tmp_path, monkeypatch):
    """Who runs it with sudo can mail the file without another sudo."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    monkeypatch.setenv("SUDO_UID", "12345")
    monkeypatch.setenv("SUDO_GID", "23456")
    write(tmp_path / "a.tar.gz", Box(_config(tmp_path)), {}, [])
    made = (tmp_path / "a.tar.gz").stat()
    assert (12345, 23456) == (made.st_uid, made.st_gid)


def test_nothing_is_written_over(tmp_path):
    """A file of that name stays as it is, and nothing is left beside it."""
    file = tmp_path / "a.tar.gz"
    file.write_text("mine")
    with pytest.raises(GatewayError, match="there already"):
        write(file, Box(_config(tmp_path)), {}, [])
    assert "mine" == file.read_text()
    assert [file.name] == sorted(path.name for path in tmp_path.glob("*.tar.gz*"))


def test_a_folder_that_is_not_there(tmp_path):
    """Where nothing can be written a sentence says so."""
    with pytest.raises(GatewayError, match="cannot be written"):
        write(tmp_path / "no" / "a.tar.gz", Box(_config(tmp_path)), {}, [])


# With everything broken


def _config(folder: Path) -> Config:
    file = folder / "small.toml"
    file.write_text(f'[store]\npath = "{folder}/store"\n[runtime]\nsocket = "{folder}/control.sock"\n')
    return load(file)


def test_without_a_daemon_and_without_a_store(tmp_path):
    """On a box where nothing ever ran it holds what there is, and its page says what it lacks and why."""
    packed_ = write(
        tmp_path / "a.tar.gz", Box(_config(tmp_path)), {"schema": 1}, [Finding("disk", "It is fine.")]
    )
    assert {
        "config.json",
        "versions.json",
        "doctor.json",
        "doctor.txt",
        "README.txt",
    } <= packed_.members.keys()
    readme = packed_.members["README.txt"]
    assert "status.json: The gateway is not running." in readme
    assert "store.json: There is no store" in readme


@pytest.mark.parametrize("damage", ["header", "middle"])
def test_with_a_damaged_store(tmp_path, site, damage):
    """A store that SQLite cannot read costs the members that are in it, and nothing else."""
    site.stop()
    store = tmp_path / "store" / "gateway.db"
    raw = bytearray(store.read_bytes())
    start = 0 if damage == "header" else 4096
    raw[start : start + 4096] = os.urandom(len(raw[start : start + 4096]))
    for beside in store.parent.glob("gateway.db-*"):
        beside.unlink()
    store.write_bytes(raw)
    packed_ = write(tmp_path / "a.tar.gz", Box(load(site.config)), {}, [])
    assert {"config.json", "files.json", "versions.json"} <= packed_.members.keys()
    assert any(line.startswith(("devices.json", "store.json")) for line in packed_.lacking)


def test_with_a_configuration_full_of_mistakes(tmp_path, planted):
    """What is wrong with the file is told without the values in it, however they were written."""
    file = tmp_path / "broken.toml"
    user, key, word = (planted.new(where) for where in ("user", "key", "password"))
    file.write_text(
        f'[sinks.a]\ntype = "https"\nendpoint = "https://{user}:{word}@host/?key={key}"\npassword = "{word}"\n'
        f'[sinks.b]\ntype = "mqtt"\nendpoint = "mqtt://h"\npassword_file = "{word} {key}"\nversion = "{key}"\n'
        f"[store]\npath = '{tmp_path}/store'\n[listen]\nport = '{word}'\n"
    )
    target = tmp_path / "a.tar.gz"
    daemon = Daemon(tmp_path, file, 0)
    daemon.asked("doctor", "--bundle", str(target))
    inside = members(target)
    assert {} == {name: found for name, raw in inside.items() if (found := planted.found_in(raw))}
    assert any(b"sinks.a" in raw for name, raw in inside.items() if name.endswith("config-mistakes.txt"))


def test_a_member_that_hangs_costs_its_time_only(tmp_path, monkeypatch):
    """What does not come back is left out, and the archive is made all the same."""
    over = threading.Event()
    monkeypatch.setattr(archive, "_MEMBER_S", 0.3)
    monkeypatch.setattr(archive.figures, "devices", lambda _config: over.wait(60))
    began = time.monotonic()
    packed_ = write(tmp_path / "a.tar.gz", Box(_config(tmp_path)), {}, [])
    over.set()
    assert 20 > time.monotonic() - began
    assert any(line.startswith("devices.json: It did not come within") for line in packed_.lacking)


def test_a_bug_in_a_member_costs_that_member(tmp_path, monkeypatch):
    """Whatever goes wrong in one place, the rest is there."""
    monkeypatch.setattr(archive, "_versions", lambda _box: 1 / 0)
    packed_ = write(tmp_path / "a.tar.gz", Box(_config(tmp_path)), {}, [])
    assert "config.json" in packed_.members
    assert any("ZeroDivisionError" in line for line in packed_.lacking)


def test_its_size_has_an_end(tmp_path, journal_of, monkeypatch):
    """Of a log that is longer than its share the end is kept, and the whole stays below ten million bytes."""
    log = tmp_path / "long.log"
    log.write_text("".join(f"line {number:07d} " + "x" * 80 + "\n" for number in range(60_000)))
    journal_of(log)
    monkeypatch.setattr(journal, "_CLEANING_S", 100.0)
    monkeypatch.setattr(archive, "_MEMBER_S", 120.0)
    monkeypatch.setattr(archive, "_TOTAL_S", 120.0)
    many = [Finding("disk", f"line {number} " + "yes " * 225) for number in range(6_000)]
    packed_ = write(tmp_path / "a.tar.gz", Box(_config(tmp_path)), {}, many)
    assert archive.MOST_BYTES >= sum(len(text.encode()) for text in packed_.members.values())
    assert "line 0059999" in packed_.members["log.txt"]
    assert any(line.startswith("doctor.txt: cut") for line in packed_.lacking)


def test_a_long_log_has_its_time(tmp_path, journal_of, monkeypatch):
    """Where there is no time to clean all of a log, the newest lines are there, and it is said that others are not."""
    log = tmp_path / "long.log"
    log.write_text("".join(f"line {number}\n" for number in range(1000)))
    journal_of(log)
    ticks = iter(range(1, 10_000))
    monkeypatch.setattr(journal.clock, "steady", lambda: float(next(ticks)))
    monkeypatch.setattr(journal, "_CLEANING_S", 3.0)
    first, *rest = journal.journal().splitlines()
    assert "older lines" in first
    assert ["line 997", "line 998", "line 999"] == rest


@pytest.fixture
def open_folder():
    """Give a folder that everybody may write to; those of pytest are closed to other users."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def test_another_user_gets_what_he_may(tmp_path, open_folder):
    """Without the right to the socket and the store it says what it lacks, and holds the rest."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    box = Box(_config(tmp_path), refused="This user may not open the socket: run the command with sudo.")
    child = os.fork()
    if child == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            write(open_folder / "a.tar.gz", box, {}, [])
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    inside = members(open_folder / "a.tar.gz")
    readme = next(raw for name, raw in inside.items() if name.endswith("README.txt")).decode()
    assert "status.json: This user may not open the socket" in readme
    assert "store.json" in readme.partition("Could not be had")[2]
    assert any(name.endswith("config.json") for name in inside)


# The last net


def test_the_net_knows_each_secret_in_each_spelling(tmp_path, site, planted):
    """A secret that slipped into a sentence is taken out, plain, percent-encoded, escaped or in Base64."""
    import base64
    from urllib.parse import quote

    net = Net(load(site.config))
    raw = 'pass "wörd" 1/2'
    file = secret(tmp_path, "odd", raw)
    odd = Net(load(_with(site.config, tmp_path, file)))
    for spelled in (raw, quote(raw, safe=""), json.dumps(raw)[1:-1], base64.b64encode(raw.encode()).decode()):
        assert "a *** b" == odd.cleaned(f"a {spelled.rstrip('=')} b")
    for word, where in planted.words.items():
        if where not in ("name", "user"):
            assert word not in net.cleaned(f"https://h/{word}?x={word} {word}"), where
    assert "nothing of that" == net.cleaned("nothing of that")


def _with(config: Path, folder: Path, password: Path) -> Path:
    text = config.read_text().replace(str(folder / "password"), str(password))
    other = folder / "other.toml"
    other.write_text(text)
    return other


def test_the_store_is_only_looked_at(tmp_path, site):
    """The archive changes nothing in the store."""
    site.stop()
    store = tmp_path / "store" / "gateway.db"
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as conn:
        before = conn.execute("SELECT count(*) FROM sqlite_master").fetchone()
    changed = store.stat().st_mtime_ns
    write(tmp_path / "a.tar.gz", Box(load(site.config)), {}, [])
    assert changed == store.stat().st_mtime_ns
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as conn:
        assert before == conn.execute("SELECT count(*) FROM sqlite_master").fetchone()
