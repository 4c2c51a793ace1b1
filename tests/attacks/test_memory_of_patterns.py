"""Long values of a stranger's body: taking what must go out of them needs no memory for each of their letters."""

import tracemalloc

import pytest

from gateway.masking import masked
from gateway.redact import redact_body
from gateway.sources.camlytics.pages import read_page
from gateway.sources.camlytics.values import without_paths

LETTERS = 1_000_000
MOST_BYTES = 20 * LETTERS  # copies of the body; it was 70 to 180 for each letter
VALUES = {
    "plain": b"a" * LETTERS,
    "escapes": b"\\a" * (LETTERS // 2),
    "both in turn": b"ab\\\\" * (LETTERS // 4),
    "slashes": b"c:" + b"/" * LETTERS,
    "backslashes": b"c:" + b"\\" * LETTERS,
    "users": b"c:/users/" * (LETTERS // 9),
}


def most_memory(work, body: bytes) -> int:
    """Give the most that was in use at once while a body was worked on."""
    tracemalloc.start()
    try:
        work(body)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("work", [without_paths, redact_body, masked])
@pytest.mark.parametrize("ending", [b'"}', b'"', b""])
@pytest.mark.parametrize("value", VALUES)
def test_a_long_value_takes_no_memory_for_each_letter(value, ending, work):
    """Whatever a value of a megabyte is made of, and whether it ends or not, some copies of it are all that is needed."""
    for name in (b'{"snapshot_path": "', b'{"event": "'):
        body = name + VALUES[value] + ending
        assert most_memory(work, body) < MOST_BYTES


def test_a_page_of_one_long_record_takes_no_memory_for_each_letter():
    """A page of Camlytics with a record that is put aside is masked like any body."""
    page = b'[{"event_id": "x", "snapshot_path": "' + VALUES["plain"] + b'"}]'
    (aside,) = read_page(page, 500).aside
    assert b"aaaa" not in aside.body
    assert most_memory(lambda body: read_page(body, 500), page) < MOST_BYTES


@pytest.mark.parametrize(
    ("path", "left"),
    [
        (rb"C:\Users\Ann", rb"C:\Users\***"),
        (rb"c:\\\\\\\\\\users\\\\Ann\\x", rb"c:\\\\\\\\\\users\\\\***\\x"),
        (b"c:////////////users///Ann/x", b"c:////////////users///***/x"),
        (rb"c:\/\/users/\Ann/x", rb"c:\/\/users/\***/x"),
        (b"abc:/users/Ann", b"abc:/users/Ann"),
    ],
)
def test_the_user_of_a_windows_path_is_masked_however_it_is_divided(path, left):
    """Any number of either slash divides, as in a path that was written into JSON more than once."""
    assert left == redact_body(path)
