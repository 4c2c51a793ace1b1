"""The file of a capture has an end in bytes, in number, and in how many are kept."""

import os

import pytest

from gateway.control import captures
from gateway.daemon import capture_file
from gateway.daemon.capture_file import CaptureFile
from gateway.daemon.refusals import meaning
from gateway.guard import Request

HEAD = {"device": "counter-a", "from": "2026-10-05T12:00:00+00:00", "until": "2026-10-05T12:30:00+00:00"}


def test_a_file_is_full_at_its_bounds(tmp_path, monkeypatch):
    """Neither many small lines nor a few large ones make it grow without end."""
    monkeypatch.setattr(capture_file, "MOST_LINES", 3)
    file = CaptureFile.begin(tmp_path, "a", HEAD)
    for number in range(3):
        assert not file.full
        file.add({"at": number})
    assert file.full
    monkeypatch.setattr(capture_file, "MOST_BYTES", 1_000)
    other = CaptureFile.begin(tmp_path, "b", HEAD)
    other.add({"body": "x" * 1_000})
    assert other.full


def test_the_oldest_files_go(tmp_path, monkeypatch):
    """A folder of captures does not fill the disk over the years."""
    monkeypatch.setattr(capture_file, "_MOST_FILES", 3)
    for number in range(6):
        file = CaptureFile.begin(tmp_path, f"c-{number}", HEAD)
        os.utime(file.path, (number, number))
    assert ["c-3", "c-4", "c-5"] == sorted(path.stem for path in (tmp_path / captures.FOLDER).iterdir())


def test_two_captures_of_one_second_have_two_files(tmp_path):
    """A file is never written over, and what somebody put in its place is not followed."""
    one, two = (CaptureFile.begin(tmp_path, "c", HEAD) for _ in range(2))
    assert one.path != two.path
    one.path.unlink()
    one.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        one.add({"at": 1})
    assert not (tmp_path / "elsewhere").exists()


def test_files_are_listed_whatever_is_in_them(tmp_path):
    """A file that is no capture is listed without a device, and does not hide the others."""
    CaptureFile.begin(tmp_path, "c", HEAD)
    (tmp_path / captures.FOLDER / "odd.jsonl").write_bytes(b"\xff\n")
    assert {None, "counter-a"} == {row["device"] for row in captures.files(tmp_path)}
    assert [] == captures.files(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("curl/8.5.0", "curl/8.5.0"),
        ("Mozilla/5.0 (Macintosh; Jo Canary)", "Mozilla/5.0"),
        ("canary@example.com", "***"),
        ("(Jo Canary)", "***"),
    ],
)
def test_of_the_program_that_asked_its_name_is_left(said, left):
    """A capture tells which program asked and in which version, and nothing else that stands in that header."""
    visit = Request("GET", "/", "", {"user-agent": said, "sn": "SPS-1"}, b"", "192.0.2.1")
    line = capture_file.line_of_visit(visit, "now", frozenset())
    assert {"user-agent": left, "sn": "SPS-1"} == line["headers"]


@pytest.mark.parametrize("word", ["too_large", "slow_body", "too_many_from_address", "not_allowed", "tls"])
def test_a_refusal_names_the_options_of_its_own_port(word):
    """What is said of a refusal at the callbacks port names no option of the device port."""
    assert "listen." not in meaning(word, section="callbacks", body_bytes="callbacks.body_bytes allows")
    assert "{" not in meaning(word)
