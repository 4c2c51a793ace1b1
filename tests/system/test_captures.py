"""A support capture of one device in the running daemon: what is in it, what is not, and how it ends."""

import json
import stat
import time
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path

import pytest
from open_door import Place, count

from gateway.source import Post
from gateway.sources import registry

RECORD = {
    "type": 0,
    "data": {
        "deviceSN": "SPT1",
        "recognitionType": 1,
        "uuid": "11111111-2222-4333-8444-555555555555",
        "pass": True,
        "mode": 0,
        "entry_mode": 1,
        "abnormal_type": 0,
        "timestamp": 1761991200,
        "rgb_image": "Canary" * 20_000,
        "bodyTemperature": 36.987,
        "user": {"name": "Canary", "user_id": "Canary77", "type": 1, "pin": "Canary", "job_number": "Canary"},
    },
}


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path, "")
    yield made
    if made.daemon.running:
        made.daemon.stop()


def begin(place: Place, *words: str) -> dict:
    told = place.daemon.asked("capture", *words, "--json")
    assert 0 == told.returncode, told.stderr
    return json.loads(told.stdout)


def lines(file: str) -> list[dict]:
    return [json.loads(line) for line in Path(file).read_text().splitlines()]


def events_of(body: str) -> list:
    post = Post(
        method="POST",
        path="/",
        body=body.encode(),
        address="127.0.0.1",
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    source = next(source for source in registry() if source.recognises(post))
    return list(source.parse(post).events)


def test_a_capture_has_every_attempt_of_a_device_and_nothing_personal(place):
    """Read, repeated, unreadable, refused, a visit: each is a line, for the owner only, and plays back."""
    record = json.dumps(RECORD).encode()
    place.push(record)
    told = begin(place, "SPT1")
    assert "terminal-spt1" == told["device"]
    place.push(record, record[:2_000], b"name=Canary&id=7", path="/Record?user=Canary")
    place.push(count("77"))  # of another device at the same address
    connection = HTTPConnection("127.0.0.1", place.port, timeout=10)
    connection.request("GET", "/Record?x=Canary", headers={"User-Agent": "probe", "Authorization": "Canary"})
    connection.getresponse().read()
    connection.close()
    place.wait(lambda: len(lines(told["file"])) == 5)
    head, *said = lines(told["file"])
    assert {"device", "from", "until"} == set(head["capture"])
    assert [
        ("kept 0, known 1", "face_terminal"),
        ("letter", "face_terminal"),
        ("letter", None),
        ("no push", None),
    ] == [(line["outcome"].partition(":")[0], line.get("source")) for line in said]
    assert "Canary" not in Path(told["file"]).read_text()
    assert ("/Record", "user=***", len(record)) == tuple(said[0][key] for key in ("path", "query", "bytes"))
    mode = [stat.S_IMODE(path.stat().st_mode) for path in (Path(told["file"]), Path(told["file"]).parent)]
    assert [0o600, 0o700] == mode
    (original,), (played,) = events_of(record.decode()), events_of(said[0]["body"])
    assert (original.id, original.data, original.time) == (played.id, played.data, played.time)


def test_a_counter_plays_back_to_the_same_counts(place):
    """A device that only waits can be captured too, and by its address before it was ever understood."""
    place.reload('unknown_devices = "hold"')
    place.push(count("77", 0, 3))
    told, at = begin(place, "77"), begin(place, "127.0.0.9")
    bodies = [count("77", minute, minute) for minute in range(5)]
    place.push(*bodies)
    place.push(b"<RTMetrics", address="127.0.0.9")
    place.wait(lambda: (len(lines(told["file"])), len(lines(at["file"]))) == (6, 2))
    played = [event for line in lines(told["file"])[1:] for event in events_of(line["body"])]
    assert [event for body in bodies for event in events_of(body.decode())] == played
    assert "held" in lines(told["file"])[1]["outcome"]
    assert "letter" in lines(at["file"])[1]["outcome"]


def test_captures_are_listed_stopped_and_end_by_themselves(place):
    """Time is over without a command, a stop ends one or all, and a restart ends what ran."""
    place.push(count("1"), count("2"))
    short = begin(place, "1", "--minutes", "0.02")
    long = begin(place, "2", "--minutes", "1440")
    status = place.status()["captures"]
    assert "counter-2" in [row["device"] for row in status]
    time.sleep(1.3)
    place.push(count("1", 1), count("2", 1))
    place.wait(lambda: len(lines(long["file"])) == 2)
    assert 1 == len(lines(short["file"]))
    listed = json.loads(place.daemon.asked("capture", "--list", "--json").stdout)
    assert {"counter-1": False, "counter-2": True} == {row["device"]: row["running"] for row in listed}
    stopped = place.daemon.asked("capture", "--stop", "counter-2")
    assert (0, True) == (stopped.returncode, long["file"] in stopped.stdout)
    place.push(count("2", 2))
    begin(place, "2")
    place.daemon.kill()
    listed = json.loads(place.daemon.asked("capture", "--list", "--json").stdout)
    assert [False] * 3 == [row["running"] for row in listed]
    assert 2 == len(lines(long["file"]))
    place.daemon.start()
    assert [] == place.status()["captures"]


def test_nonsense_is_refused(place):
    """A device that nobody has seen, minutes without end, too many at once: each with a sentence, and no file."""
    place.push(*(count(str(number)) for number in range(1, 7)))
    for words, status, said in (
        (("nobody",), 1, "No device called nobody was seen"),
        (("1", "--minutes", "0"), 1, "at most 1440 minutes"),
        (("1", "--minutes", "1441"), 1, "at most 1440 minutes"),
        (("1", "--minutes", "nan"), 2, "a number of minutes"),
        (("--stop", "1"), 1, "No capture of 1 is running"),
        ((), 2, "Say which device"),
        (("1", "--list"), 2, "stands alone"),
    ):
        told = place.daemon.asked("capture", *words)
        assert (status, True) == (told.returncode, said in told.stderr), (words, told.stderr)
    assert not (place.directory / "store" / "captures").exists()
    for number in range(1, 6):
        begin(place, str(number))
    for again, said in (("1", "captured already"), ("6", "5 captures run already")):
        told = place.daemon.asked("capture", again)
        assert (1, True) == (told.returncode, said in told.stderr)
