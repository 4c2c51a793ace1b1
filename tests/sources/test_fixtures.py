"""Runs every captured request under `tests/fixtures/<source>/<case>/` and compares what its source makes of it.

A case is `request.json`, `body` (raw bytes) and `expected.json`. A missing `expected.json` is written and
the test fails once, so that a person reads it before it becomes the truth.
"""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gateway.errors import Unreadable
from gateway.event import Event
from gateway.source import Post, Reading, Reply
from gateway.sources import callbacks, registry
from gateway.sources.camlytics import Instance, Rule

FIXTURES = Path(__file__).parent.parent / "fixtures"
_RULES = (
    Rule(rule="Enter", direction="in", zone="hall"),
    Rule(rule="Exit", direction="out"),
    Rule(rule="Street", direction="ignore"),
    Rule(rule="Lounge", zone="lounge"),
)
# The PCs that the cases under `camlytics` come from, by their addresses.
PCS = (
    Instance(name="asked", endpoint="http://192.0.2.20:48462", mode="poll", rules=_RULES),
    Instance(
        name="hall",
        endpoint="http://192.0.2.21:48462",
        mode="webhook",
        rules=_RULES,
        zone=ZoneInfo("Europe/Lisbon"),
    ),
    Instance(name="hours", endpoint="http://192.0.2.22:48462", mode="hourly", rules=_RULES),
    Instance(name="days", endpoint="http://192.0.2.23:48462", mode="daily", rules=_RULES, token="k3v9-days"),
)
CASES = sorted(path.parent for path in FIXTURES.glob("*/*/request.json"))


def _post(folder: Path) -> tuple[Post, frozenset[str]]:
    """Build the request of one case, and the personal fields that the case keeps."""
    request = json.loads((folder / "request.json").read_text("utf-8"))
    unknown = set(request) - {
        *("method", "path", "query", "headers", "address", "received_at", "zone", "token"),
        *("known_device", "keep_personal"),
    }
    assert not unknown, f"{folder.name}/request.json has keys that nobody reads: {sorted(unknown)}"
    zone = request.get("zone")
    post = Post(
        method=request.get("method", "POST"),
        path=request.get("path", "/"),
        query=request.get("query", ""),
        headers=request.get("headers", {}),
        body=(folder / "body").read_bytes(),
        address=request["address"],
        received_at=datetime.fromisoformat(request["received_at"]).astimezone(UTC),
        zone=ZoneInfo(zone) if zone else None,
        token=request.get("token"),
        known_device=request.get("known_device"),
    )
    return post, frozenset(request.get("keep_personal", ()))


def _instant(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    assert moment.utcoffset() is not None, "an instant of an event must be aware"
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _event(event: Event) -> dict[str, object]:
    """Render a whole event; the absent fields of the device are left out to keep the files readable."""
    return {
        "id": event.id,
        "revision": event.revision,
        "kind": str(event.kind),
        "device": {key: value for key, value in asdict(event.device).items() if value is not None},
        "time": _instant(event.time),
        "end": _instant(event.end),
        "sent_at": _instant(event.sent_at),
        "zone_rule": str(event.zone_rule),
        "repaired": event.repaired,
        "data": event.data,
        "personal": event.personal,
    }


def _reply(reply: Reply | None) -> dict[str, object] | None:
    if reply is None:
        return None
    return {
        "status": reply.status,
        "body": reply.body.decode("utf-8", "backslashreplace"),
        "content_type": reply.content_type,
    }


def _rendered(reading: Reading) -> object:
    """Render a reading as JSON has it, so that only JSON values can be in it."""
    whole = {
        "events": [_event(event) for event in reading.events],
        "notices": [asdict(notice) for notice in reading.notices],
        "reply": _reply(reading.reply),
    }
    return json.loads(json.dumps(whole, allow_nan=False))


def _sources(keep: frozenset[str] = frozenset()):
    return {source.name: source for source in (*registry(keep, camlytics=PCS), *callbacks(keep))}


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_a_request_gives_its_events(folder: Path) -> None:
    """A captured request gives exactly the events, notices and reply in its `expected.json`, twice."""
    post, keep = _post(folder)
    source = _sources(keep)[folder.parent.name]
    try:
        reading = source.parse(post)
    except Unreadable as error:
        actual, reason = {"unreadable": str(error)}, str(error)
    else:
        actual, reason = _rendered(reading), None
        assert reading == source.parse(post), "the same post must always give the same reading"

    expected_file = folder / "expected.json"
    if not expected_file.exists():
        text = json.dumps(actual, indent=2, ensure_ascii=False, allow_nan=False)
        expected_file.write_text(text + "\n", "utf-8")
        pytest.fail(f"{expected_file} did not exist and was written: read it, then run again")
    expected = json.loads(expected_file.read_text("utf-8"))
    if "unreadable" in expected:
        assert reason is not None, "the body must be unreadable, and it was read"
        assert expected["unreadable"] in reason
    else:
        assert expected == actual


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_only_its_own_source_recognises_a_request(folder: Path) -> None:
    """A captured request is recognised by the source that it belongs to and by no other."""
    post, keep = _post(folder)
    recognised = [name for name, source in _sources(keep).items() if source.recognises(post)]
    assert [folder.parent.name] == recognised


@pytest.mark.parametrize("name", sorted(_sources()))
def test_every_source_has_captured_requests(name: str) -> None:
    """A registered source has at least one case with both a body and the events that it must give."""
    cases = [path.parent for path in (FIXTURES / name).glob("*/request.json")]
    assert any((case / "body").exists() and (case / "expected.json").exists() for case in cases)


def test_every_captured_request_has_a_source() -> None:
    """A folder under `tests/fixtures` is named after a registered source, and each case in it is complete."""
    folders = {path.name for path in FIXTURES.iterdir() if path.is_dir()}
    assert set(_sources()) >= folders
    incomplete = [
        str(path.relative_to(FIXTURES))
        for name in folders
        for path in (FIXTURES / name).iterdir()
        if not ((path / "request.json").exists() and (path / "body").exists())
    ]
    assert not incomplete


def test_sources_are_told_apart_by_name_and_family() -> None:
    """No two registered sources share a name or a family, or their devices would share ids."""
    sources = (*registry(), *callbacks())
    assert len(sources) == len({source.name for source in sources})
    assert len(sources) == len({source.family for source in sources})
