"""However the network cuts the bytes, the requests are the same."""

import asyncio
import logging
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from rawclient import chunked, post

from gateway.guard import BodyGuard, BodyLimits, Response
from gateway.listener.http11 import Http11
from gateway.listener.limits import Limits, Refusals
from gateway.listener.shared import Shared


class Pieces:
    """A link that gives out prepared segments and keeps what is written."""

    idle = stopping = expired = False

    def __init__(self, segments):
        self.segments = [segment for segment in segments if segment]
        self.written = b""

    async def read(self):
        return self.segments.pop(0) if self.segments else b""

    async def write(self, data):
        self.written += data

    def expect_within(self, seconds):
        """There is no clock here."""

    def expect_nothing(self):
        """There is no clock here."""

    async def finish(self, *, linger):
        self.linger = linger


def serve(segments):
    """Run one connection; return the bodies that the handler saw and the status lines that went back."""
    seen = []

    async def handler(request):
        seen.append(request.body)
        return Response(200)

    async def main():
        shared = Shared(
            app=BodyGuard(handler, BodyLimits()),
            limits=Limits(),
            refusals=Refusals(None),
            log=logging.getLogger("test.http"),
        )
        link = Pieces(segments)
        await Http11(shared, link, ("192.0.2.7", 1), ("192.0.2.1", 80), tls=False).serve()
        return link.written

    written = asyncio.run(main())
    return seen, [line for line in written.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


def bare(body):
    return post().replace(b"\r\n", b"\n").replace(b": 0", b": %d" % len(body)) + body


def hostless(body):
    return post(body).replace(b"Host: gw\r\n", b"", 1)


bodies = st.binary(max_size=30) | st.sampled_from(
    [b"\r\n\r\n", b"\n\n", b"GET / HTTP/1.1\r\n\r\n", b"0\r\n\r\n"]
)
requests = st.tuples(
    bodies, st.sampled_from([post, post, chunked, bare, hostless]), st.sampled_from([b"", b"\r\n"])
)


def cut(wire, places):
    edges = [0, *sorted(place % (len(wire) + 1) for place in places), len(wire)]
    return [wire[start:end] for start, end in pairwise(edges)]


@given(st.lists(requests, min_size=1, max_size=5), st.lists(st.integers(0, 10_000), max_size=12))
def test_segments_do_not_change_the_requests(told, places):
    """Counted, chunked, bare and hostless requests with stray line breaks arrive as they were sent."""
    told = [
        (body.replace(b"\n", b"|").replace(b"\r", b"|") if make is bare else body, make, end)
        for body, make, end in told
    ]
    wire = b"".join(
        (make(body) if make is not chunked or body else chunked()) + end for body, make, end in told
    )
    seen, lines = serve(cut(wire, places))
    assert [body for body, _, _ in told] == seen
    assert [b"HTTP/1.1 200 OK"] * len(told) == lines


WORDS = [
    *(
        b"POST",
        b"GET",
        b"HEAD",
        b"PRI",
        b"CONNECT",
        b" ",
        b"/e",
        b"*",
        b"\xe5\xae\xa2",
        b"%zz",
        b"HTTP/1.1",
        b"HTTP/1.0",
    ),
    *(
        b"HTTP/2.0",
        b"\r\n",
        b"\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"Host: gw",
        b"Content-Length: 3",
        b"Content-Length: 3",
    ),
    *(
        b"Transfer-Encoding: chunked",
        b"Expect: 100-continue",
        b"Connection: close",
        b"Upgrade: h2c",
        b":",
        b"abc",
        b"3",
    ),
    *(
        b"POST /e HTTP/1.1\r\n",
        b"POST /e HTTP/1.1\r\nHost: gw\r\n",
        b"\r\n\r\n",
        b"0\r\n\r\n",
        b"\0",
        b"<",
        b"\x16\x03",
    ),
]
garbage = st.binary(max_size=200) | st.lists(st.sampled_from(WORDS), max_size=25).map(b"".join)


@given(garbage, st.lists(st.integers(0, 10_000), max_size=6))
def test_no_bytes_break_the_connection(noise, places):
    """Whatever comes in is served, refused, or ends with the client; nothing raises and nothing is out of step."""
    seen, lines = serve(cut(post(b"{}") + noise, places))
    assert seen[0] == b"{}"
    answers = [line for line in lines if b"100 Continue" not in line]
    assert len(seen) <= len(answers) <= len(seen) + 1
