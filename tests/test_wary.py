"""Far ends that are asked by HTTP and do not wish us well: all three that ask share one client."""

import asyncio
import contextlib
import time

import anyio
import pytest

from gateway import wary
from gateway.errors import GatewayError, PollUnavailable, SinkUnavailable
from gateway.poller.fetching import Fetcher
from gateway.provisioning import Terminal, TerminalTrouble
from gateway.sink import Outgoing
from gateway.sinks.https import HttpsOptions, HttpsSink
from gateway.source import Ask

pytestmark = pytest.mark.anyio

BODY = b'{"code":200,"msg":"","data":{}}'
EVENT = Outgoing(
    seq=1, id="a:1", revision=0, kind="count", device="a", time="2026-11-21T10:00:00.000Z", payload=b"{}"
)


@contextlib.asynccontextmanager
async def upstream(port, timeout_s=30.0):
    """Ask as the HTTPS sink does."""
    endpoint = f"http://127.0.0.1:{port}/x"
    sink = HttpsSink(HttpsOptions(name="up", gateway_id="gw7", endpoint=endpoint, timeout_s=timeout_s))
    yield lambda: sink.send([EVENT])
    await sink.close()


@contextlib.asynccontextmanager
async def polled(port, timeout_s=30.0):
    """Ask as the poller does."""
    fetcher = Fetcher(f"http://127.0.0.1:{port}")
    yield lambda: fetcher.fetch(Ask(target="/x", timeout_s=timeout_s))
    await fetcher.close()


@contextlib.asynccontextmanager
async def terminal(port, timeout_s=30.0):
    """Ask as the terminals' settings are asked for."""
    yield Terminal(f"http://127.0.0.1:{port}", timeout_s=timeout_s).ping


ALL = pytest.mark.parametrize("asking", [upstream, polled, terminal])


@contextlib.asynccontextmanager
async def answering(answer):
    """Something on a port that does this for each request; it keeps the heads of what it was asked."""
    heads = []

    async def serve(reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                heads.append(head.lower())
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        await reader.readexactly(int(line.split(b":")[1]))
                await answer(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heads
    finally:
        server.close()


def whole(*more: bytes) -> bytes:
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(BODY), *more]
    return b"\r\n".join([*lines, b"", BODY])


async def fault_of(ask) -> GatewayError:
    with pytest.raises((SinkUnavailable, PollUnavailable, TerminalTrouble)) as caught:
        await ask()
    return caught.value


@ALL
async def test_no_cookie_is_ever_sent(asking):
    """Whatever a far end wants to be kept, the next request says nothing of it."""
    cookies = [b"Set-Cookie: c%d=%s" % (number, b"v" * 20) for number in range(90)]

    async def answer(writer):
        writer.write(whole(*cookies, b"Set-Cookie2: old=1", b"Set-Cookie: all=1; Domain=127.0.0.1; Path=/"))

    async with answering(answer) as (port, heads), asking(port) as ask:
        for _ in range(4):
            await ask()
    assert 4 == len(heads)
    assert not any(b"cookie" in head for head in heads)


@ALL
async def test_an_answer_that_never_begins_is_given_up(asking):
    """Lines before the answer (1xx) end the exchange when there are too many, and others have their turn meanwhile."""
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def answer(writer):
        while True:
            writer.write(b"HTTP/1.1 102 P\r\n\r\n" * 5000)
            await writer.drain()

    async with answering(answer) as (port, _), asking(port, 600.0) as ask:
        counting = asyncio.create_task(count())
        with anyio.fail_after(60):
            error = await fault_of(ask)
        counting.cancel()
    said = getattr(error, "fault", None) or error.reason
    assert said in ("https_broken", "poll_broken", "broken")
    assert turns >= wary.HEAD_BYTES // 4096


@ALL
async def test_a_few_lines_before_the_answer_are_no_fault(asking):
    """What servers do say before an answer is passed over."""

    async def answer(writer):
        writer.write(b"HTTP/1.1 102 Processing\r\n\r\n" * 20)
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + whole(b"X-Long: " + b"x" * 30_000))

    async with answering(answer) as (port, heads), asking(port) as ask:
        await ask()
        await ask()
    assert 2 == len(heads)


@ALL
@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"])
async def test_an_answer_in_drops_meets_the_deadline(asking, begun):
    """A byte now and then, in the head or in the body, does not prolong the time for the whole."""

    async def answer(writer):
        writer.write(begun)
        for byte in whole():
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.1)

    async with answering(answer) as (port, _), asking(port, 0.5) as ask:
        with anyio.fail_after(5):
            error = await fault_of(ask)
    said = getattr(error, "fault", None) or error.reason
    assert said in ("https_timeout", "poll_timeout", "timeout")


@ALL
@pytest.mark.parametrize("line", [b"X:" + b" " * 30_000 + b"\0", b"Link:" + b" \t" * 15_000 + b"\x0b"])
async def test_a_line_of_blanks_takes_no_time_to_refuse(asking, line):
    """A header that is nothing but blanks and a sign that may not be there is refused as fast as any other."""

    async def answer(writer):
        writer.write(whole(line))

    async with answering(answer) as (port, _), asking(port) as ask:
        began = time.process_time()  # of CPU, ours and the far end's: 20 ms; it was 2.5 s
        await fault_of(ask)
        assert time.process_time() - began < 1.0


async def test_the_reason_of_an_answer_that_never_begins_is_told():
    """A person reads what the far end did, not only that the connection broke."""

    async def answer(writer):
        writer.write(b"HTTP/1.1 102 P\r\n\r\n" * 5000)
        await asyncio.sleep(60)

    async with answering(answer) as (port, _), upstream(port) as ask:
        assert "and no answer in them" in str(await fault_of(ask))
