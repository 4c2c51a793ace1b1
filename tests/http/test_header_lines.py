"""Lines of a head that are made to be read slowly: they cost what their length says, and all others are read as ever."""

import asyncio
import itertools
import random
import re
import subprocess
import sys
import time
from collections import deque

import h11
import pytest
from h11 import _abnf, _readers
from rawclient import post

from gateway import header_lines
from gateway.listener import Limits

pytestmark = pytest.mark.anyio

# CPU of this process: what takes a millisecond took 2.8 s (a header) and 0.9 s (a chunk) at this length. A bound two
# hundred times as high cannot be missed by a busy machine.
BLANKS = 32_000
CPU_S = 0.2
CHUNKED = b"POST / HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n"
SLOW = {
    **{
        f"a header that ends in {end!r}": b"POST / HTTP/1.1\r\nHost: gw\r\nX:"
        + b" " * BLANKS
        + end
        + b"\r\n\r\n"
        for end in (b"\0", b"\x0b", b"\x0c", b"\r", b"a\0")
    },
    "a header of blanks and tabs": b"POST / HTTP/1.1\r\nX:" + b" \t" * (BLANKS // 2) + b"\0\r\n\r\n",
    "a header with blanks behind the value": b"POST / HTTP/1.1\r\nX:a" + b" " * BLANKS + b"\0\r\n\r\n",
    "a header of many words": b"POST / HTTP/1.1\r\nX:" + b"a " * (BLANKS // 2) + b"\0\r\n\r\n",
    "a folded header": b"POST / HTTP/1.1\r\nX:\r\n" + b" " * BLANKS + b"a\0\r\n\r\n",
    "a trailer": CHUNKED + b"0\r\nX:" + b" " * BLANKS + b"\0\r\n\r\n",
    "an extension of a chunk": CHUNKED + b"1;" + b" " * BLANKS + b"\n\r\n",
    "blanks behind the size of a chunk": CHUNKED + b"1" + b" " * BLANKS + b"\n\r\n",
}
ANSWER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
SLOW_ANSWERS = {
    "a header": ANSWER + b"X:" + b" " * BLANKS + b"\0\r\n\r\n",
    "a header of an answer before it": b"HTTP/1.1 103 E\r\nX:"
    + b" " * BLANKS
    + b"\0\r\n\r\n"
    + ANSWER
    + b"\r\n",
    "a reason": b"HTTP/1.1 200 " + b" " * BLANKS + b"\0\r\n\r\n",
    "an extension of a chunk": ANSWER + b"\r\n1;" + b" " * BLANKS + b"\n\r\n",
    "a trailer": ANSWER + b"\r\n0\r\nX:" + b" " * BLANKS + b"\0\r\n\r\n",
}


def cost(connection: h11.Connection, arrived: bytes) -> float:
    """Read until it is refused, and give the seconds of CPU that it took."""
    connection.receive_data(arrived)
    began = time.process_time()
    with pytest.raises(h11.RemoteProtocolError):
        deque(iter(connection.next_event, h11.NEED_DATA))
    return time.process_time() - began


@pytest.mark.parametrize("name", SLOW)
def test_no_line_of_a_request_takes_long(name):
    """Whatever a client writes into a head, a chunk or a trailer, refusing it takes next to nothing."""
    header_lines.read_in_linear_time()
    assert cost(h11.Connection(h11.SERVER, max_incomplete_event_size=100_000), SLOW[name]) < CPU_S


@pytest.mark.parametrize("name", SLOW_ANSWERS)
def test_no_line_of_an_answer_takes_long(name):
    """The same for what a far end answers."""
    header_lines.read_in_linear_time()
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=100_000)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "far")]))
    connection.send(h11.EndOfMessage())
    assert cost(connection, SLOW_ANSWERS[name]) < CPU_S


def alike(name: str, line: bytes) -> bool:
    """Say whether both patterns take a line, with the same parts, or both refuse it."""
    given, ours = PATTERNS[name]
    old, new = given.fullmatch(line), ours.fullmatch(line)
    return (old is None) == (new is None) and (old is None or old.groupdict() == new.groupdict())


PATTERNS = {
    name: (re.compile(getattr(_abnf, name).encode()), re.compile(pattern.encode()))
    for name, pattern in header_lines.patterns().items()
}


@pytest.mark.parametrize(
    ("name", "begin", "parts"),
    [
        ("header_field", b"", (b"a", b":", b" ", b"\t", b"\0", b"\n", b"\xff")),
        ("header_field", b"X:", (b"a", b":", b" ", b"\t", b"\r", b"\x0b", b"\xff")),
        ("chunk_header", b"", (b"1", b";", b" ", b"\t", b"\r\n", b"\n", b"g")),
        ("chunk_header", b"1;", (b"a", b";", b" ", b"\t", b"\r\n", b"\r", b"\0")),
    ],
)
def test_every_short_line_is_read_as_before(name, begin, parts):
    """Of all lines of up to six signs that mean something, none is taken or parted in another way."""
    lines = (
        begin + b"".join(signs) for length in range(7) for signs in itertools.product(parts, repeat=length)
    )
    assert [] == [line for line in lines if not alike(name, line)]


def test_long_lines_are_read_as_before():
    """The same for long lines by chance; a good part of them is taken, so that this compares something."""
    chance = random.Random(7)
    often = [b" ", b"\t", b"  \t ", b"a", b"value", b"\xfc", b";", b":", b"=", b'"', b"1f"]
    bits, weights = [*often, b"\0", b"\n"], [4.0] * len(often) + [0.1] * 2
    taken = 0
    for _ in range(20_000):
        tail = b"".join(chance.choices(bits, weights, k=chance.randrange(30)))
        for name, line in (("header_field", b"X-Y:" + tail), ("chunk_header", b"1f" + tail + b"\r\n")):
            assert alike(name, line), line
            taken += PATTERNS[name][1].fullmatch(line) is not None
    assert 10_000 < taken < 39_000


def test_h11_still_has_the_patterns_that_are_replaced():
    """Each pattern of h11 has the part that is ambiguous; another version of h11 would have to be looked at."""
    for name, (given, ours) in PATTERNS.items():
        assert given.pattern != ours.pattern
        assert ours.pattern == getattr(_readers, f"{name}_re").pattern


@pytest.mark.parametrize(
    "first", ["import gateway.listener", "from gateway import wary\nwary.client(verify=False)"]
)
def test_whoever_uses_h11_prepares_it(first):
    """The listener alone, and a client alone, have both patterns replaced."""
    code = (
        f"{first}\nfrom h11 import _readers\nfrom gateway import header_lines\n"
        "print([getattr(_readers, n + '_re').pattern == p.encode() for n, p in header_lines.patterns().items()])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[True, True]\n" == done.stdout


# How much of it h11 is shown


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n", b"\n\r\n"])
@pytest.mark.parametrize("first", [0, 1, 20, 16_000])
async def test_a_head_above_the_limit_is_refused_unread(guarded, monkeypatch, end, first):
    """A head that came whole is refused by its length, however its lines end, and however it was cut."""
    lines = 0

    def counted(given):
        nonlocal lines
        for line in given:
            lines += 1
            yield line

    monkeypatch.setattr(_readers, "_obsolete_line_fold", counted)
    head = b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 0\r\n" + b"a:\n" * 15_000 + b"a:" + end
    async with guarded() as front:
        client = await front.client()
        if first:
            await client.send(head[:first])
            await asyncio.sleep(0.05)  # so that it is read alone
        answer = await client.ask(head[first:])
        assert 431 == answer.status
        assert ["header_too_large"] == [reason for _, reason in front.told]
        assert 0 == lines


async def test_a_head_of_just_the_limit_is_taken(guarded):
    """The limit is what a head may have, whole or in two, with or without something behind it."""
    limit = 1_000
    bare = b"POST /x HTTP/1.1\r\nHost: gw\r\nContent-Length: 4\r\nX: \r\n\r\n"
    head = bare.replace(b"X: ", b"X: " + b"y" * (limit - len(bare)))
    assert limit == len(head)
    async with guarded(limits=Limits(header_bytes=limit)) as front:
        for cut in (0, 10, limit - 1, limit, limit + 2):
            client = await front.client()
            await client.send((head + b"body")[:cut])
            await asyncio.sleep(0.05)
            assert 200 == (await client.ask((head + b"body")[cut:])).status
        assert [b"body"] * 5 == [request.body for request in front.seen]
        client = await front.client()
        assert 431 == (await client.ask(head.replace(b"X: ", b"X: " + b"y" * 5) + b"body")).status


async def test_what_lies_behind_the_last_chunk_is_bounded(guarded):
    """Fifteen thousand lines behind a chunked body are not taken apart at once: they are refused."""
    async with guarded() as front:
        client = await front.client()
        body = b"4\r\nbody\r\n0\r\n"
        assert 400 <= (await client.ask(CHUNKED + body + b"a:\n" * 15_000 + b"\r\n")).status
        client = await front.client()
        assert 200 == (await client.ask(CHUNKED + body + b"a: b\r\n" * 100 + b"\r\n")).status


async def test_a_chunked_body_in_large_pieces_is_whole_and_so_is_what_follows(guarded):
    """What came along with a head, or with the end of a body, is neither lost nor read twice."""
    large = b"{" + bytes(range(256)) * 700
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(large), large)
    async with guarded() as front:
        client = await front.client()
        await client.send(CHUNKED + chunk + post(b"next") + CHUNKED + chunk)
        assert [200] * 3 == [(await client.answer()).status for _ in range(3)]
        assert [large, b"next", large] == [request.body for request in front.seen]
        client = await front.client()
        await client.send(CHUNKED[:30])
        await asyncio.sleep(0.05)
        await client.send(CHUNKED[30:] + chunk + post(b"last"))
        assert [200] * 2 == [(await client.answer()).status for _ in range(2)]
        assert [large, b"last"] == [request.body for request in front.seen[3:]]
