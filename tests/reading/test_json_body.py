"""The tolerant reader of JSON."""

import json
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.errors import Unreadable
from gateway.reading.json_body import read_json

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def reason_of(body: bytes) -> str:
    with pytest.raises(Unreadable) as caught:
        read_json(body)
    return str(caught.value)


@given(JSON_VALUES)
@settings(max_examples=200, deadline=None)
def test_valid_json_is_read_as_it_is(value):
    """Any JSON value comes back as it was written, and is not marked as repaired."""
    assert (value, False) == read_json(json.dumps(value, ensure_ascii=False).encode())


@given(st.binary() | st.text().map(str.encode))
@example(b"\xff\xfe")
@example(b"\xff\xfe\x00")
@example(b"\xff\xfe\x00\xd8")
@example(b'"\\')
@example(b'{"a":"\\')
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_a_value_or_a_reason(body):
    """Whatever the bytes, the reader returns or raises `Unreadable`, and nothing else."""
    reason = "none"
    try:
        read_json(body)
    except Unreadable as error:
        reason = str(error)
    assert reason


@pytest.mark.parametrize(
    ("body", "value"),
    [
        pytest.param(b'\xef\xbb\xbf{"a":1}', {"a": 1}, id="byte order mark"),
        pytest.param(b' \r\n{"a":1}\r\n\0\0', {"a": 1}, id="NUL and white space at the end"),
        pytest.param(b'{"a":"x\ny\tz"}', {"a": "x\ny\tz"}, id="raw newline and tab in a string"),
        pytest.param('{"a":"王"}'.encode("utf-16"), {"a": "王"}, id="UTF-16 with its mark"),
        pytest.param(b"\xfe\xff" + '{"a":"王"}'.encode("utf-16-be"), {"a": "王"}, id="UTF-16, big end first"),
        pytest.param('{"a":"王"}'.encode("utf-32"), {"a": "王"}, id="UTF-32 with its mark"),
        pytest.param(b'{"a":1,"a":1}', {"a": 1}, id="the same key twice with one value"),
        pytest.param(b'{"a":"\\ud83d\\ude00"}', {"a": "😀"}, id="a pair of surrogates is one character"),
        pytest.param(b"-9223372036854775808", -(2**63), id="the smallest whole number"),
        pytest.param(b"9223372036854775807", 2**63 - 1, id="the largest whole number"),
    ],
)
def test_what_changes_no_value_needs_no_mark(body, value):
    """Marks, NUL, white space and raw control characters are read, and no repair is claimed."""
    assert (value, False) == read_json(body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        pytest.param(b'{"a":1,}', {"a": 1}, id="object"),
        pytest.param(b'{"a":[1,2 , ],\n}', {"a": [1, 2]}, id="nested, with white space"),
        pytest.param(b'{"a":",}",}', {"a": ",}"}, id="a comma and a bracket in a string stay"),
        pytest.param(b'{"a":"\\",}",}', {"a": '",}'}, id="behind an escaped quote too"),
        pytest.param(b'{"a":"\\\\",}', {"a": "\\"}, id="a backslash at the end of a string"),
        pytest.param('{"a":"王"}'.encode("gbk"), {"a": "王"}, id="GBK"),
        pytest.param('{"a":"王五",}'.encode("gb18030"), {"a": "王五"}, id="GBK and a comma"),
    ],
)
def test_a_repair_is_said(body, value):
    """A trailing comma and bytes that are not UTF-8 are read, and marked as repaired."""
    assert (value, True) == read_json(body)


@pytest.mark.parametrize(
    "body",
    [b"[,]", b"{,}", b"[ ,]", b"[1,,]", b"[1,,2]", b'{"a":,}', b'{"a":1', b'{"a":1}}', b"'a'", b"{a:1}"],
)
def test_a_missing_value_is_not_repaired_away(body):
    """A comma with no value before it, a missing end or a second end stays unreadable."""
    assert "not JSON" in reason_of(body)


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"", "empty"),
        (b" \0\n", "empty"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "-Infinity"),
        (b'{"a":1e999}', "too large"),
        (b'{"a":-1e999,}', "too large"),
        (b"9223372036854775808", "64 bits"),
        (b"-9223372036854775809", "64 bits"),
        (b"1" * 5000, "64 bits"),
        (b'{"a":"\\ud83d"}', "lone surrogate"),
        (b'{"\\uDC00":1}', "lone surrogate"),
        (b'{"a":1,"a":2}', 'key "a" twice'),
        (b'{"a":1,"a":true}', 'key "a" twice'),
        (b'{"a":[1],"a":[1.0]}', 'key "a" twice'),
        (b'{"Zhang San":1,"Zhang San":2}', "the key twice"),
        (b'{"a":"\xff\xff\xff"}', "neither UTF-8 nor GB18030"),
        (b"\xff\xfe{\x00\x00\xd8", "UTF-16"),
        (b'{"a":1 "b":2}', "line 1 column 8"),
    ],
)
def test_the_reason_is_understood_by_a_person(body, part):
    """What cannot be read safely is refused with a reason that names the trouble."""
    assert part in reason_of(body)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep_nesting_is_a_reason_and_no_crash(opening):
    """A body that is nested deeper than the interpreter can follow is unreadable."""
    assert "nested too deeply" in reason_of(opening * 200_000)


def test_a_reason_never_quotes_the_body():
    """Names and pictures in a broken body do not get into the reason."""
    canary = "CANARY-Wang"
    for body in (
        f'{{"name":"{canary}" "x":1}}',
        f'{{"{canary} x":1,"{canary} x":2}}',
        f'{{"name":"{canary}","a":1e999}}',
        f'{{"name":"{canary}\\ud800"}}',
        f'{{"name":"{canary}",,}}',
    ):
        assert "CANARY" not in reason_of(body.encode())


@pytest.mark.parametrize("piece", [b'"\\"', b", ", b"[ ,", b'"a', b"\\", b'"a":1,'])
def test_repairing_a_hostile_body_ends(piece):
    """A megabyte of what the repair looks at is dealt with in one pass; a slow reader meets the test's limit."""
    reason_of(b"{" + piece * (1_000_000 // len(piece)))


def test_the_limit_on_digits_of_the_interpreter_is_never_met():
    """A number that Python itself would refuse with a ValueError gives our reason."""
    assert sys.get_int_max_str_digits() < 5000
    assert "64 bits" in reason_of(b'{"a":' + b"9" * 5000 + b"}")
