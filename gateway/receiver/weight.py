"""How much work a body makes for who reads it, by a count that costs nothing.

A body of two megabytes that is one picture is read in a millisecond; one of a million brackets takes a second, in which
nobody else would be answered. So what has many parts is read in a thread, one body at a time, and what has more than any
device sends is not read at all.
"""

from gateway.intake import MOST_EVENTS
from gateway.reading.json_body import marks

HEAVY = 1_000  # some ten milliseconds
MOST_TAGS = 20_000  # a counter's day of minutes has 6,000
_ATTRIBUTES = 4  # weigh as much as a tag; a counter's tag has five
MOST_MARKS = 100_000  # of JSON; a face record has 100, and its picture adds one


def parts(body: bytes) -> int:
    """Count what a reader has to tell apart: tags of XML, or its attributes, else the marks of JSON."""
    if is_xml(body):
        return max(body.count(b"<"), body.count(b"=") // _ATTRIBUTES)
    return marks(body)


def is_xml(body: bytes) -> bool:
    """Say whether the first sign in a body, of whatever encoding, is that of XML."""
    return body[:64].lstrip(b"\xef\xbb\xbf\xfe\xff\x00 \t\r\n").startswith(b"<")


def too_much(body: bytes, counted: int) -> str | None:
    """Say why a body is not read; None when it is."""
    most = MOST_TAGS if is_xml(body) else MOST_MARKS
    if counted <= most:
        counts = body.count(b"<Count ") if counted > MOST_EVENTS else 0
        if counts <= MOST_EVENTS:
            return None
        return f"it has {counts} counts, and no device sends more than {MOST_EVENTS} at once"
    return f"it has {counted} parts, and no device sends more than {most} at once"
