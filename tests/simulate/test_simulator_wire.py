"""How a simulated device reads replies: whole ones of every shape, and nothing less."""

import asyncio

import pytest
from collector import Collector, http

from gateway.errors import GatewayError
from gateway.simulate.wire import NoReply, Wire

pytestmark = pytest.mark.anyio

WHOLE = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=1\r\nllo\r\n0\r\nT: 1\r\n\r\n",
    "after a 100": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
}
BROKEN = {
    "nothing": None,
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhel",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    "no HTTP": b"hello\r\n\r\n",
    "no status": b"HTTP/1.1 fine\r\nContent-Length: 0\r\n\r\n",
    "no length": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
}


def once_then_close(reply):
    """Answer the first request and close at the second."""
    return lambda request: reply if request.number == 0 else None


@pytest.mark.parametrize("reply", WHOLE.values(), ids=WHOLE)
async def test_reads_a_whole_reply_and_keeps_the_connection(reply):
    """Two replies of the same shape are read on one connection, byte for byte."""
    async with Collector(lambda _: reply) as server:
        wire = Wire(server.url)
        answers = [await wire.exchange(b"x", {}) for _ in range(2)]
        await wire.close()
    assert [(200, b"hello")] * 2 == [(answer.status, answer.body) for answer in answers]
    assert [1, 1] == [request.connection for request in server.requests]


async def test_a_reply_without_length_ends_with_its_connection():
    """A reply that says no length is read until the server closes, and the next request connects again."""
    async with Collector() as server:
        server.answer = lambda _: b"HTTP/1.1 200 OK\r\n\r\nhello"
        wire = Wire(server.url)
        task = asyncio.create_task(wire.exchange(b"x", {}))
        while not server.requests:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert not task.done(), "the reply is not over while the connection stands"
        for writer in list(server._writers):
            writer.close()
        assert b"hello" == (await task).body
        server.answer = lambda _: http(200)
        await wire.exchange(b"y", {})
        await wire.close()
    assert 2 == server.connections


@pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN)
async def test_less_than_a_reply_is_no_reply(reply):
    """A reply that stops early or is not HTTP raises NoReply, never an answer."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply or b"")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        wire = Wire(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        with pytest.raises(NoReply):
            await wire.exchange(b"", {})


async def test_a_server_that_stays_silent_is_no_reply():
    """A request that is never answered ends after the time that the device waits."""
    async with Collector(lambda _: "hang") as server:
        wire = Wire(server.url, timeout_s=0.1)
        with pytest.raises(NoReply):
            await wire.exchange(b"x", {})


async def test_nobody_listening_is_no_reply():
    """A refused connection is a NoReply that names the address."""
    async with Collector() as server:
        url, port = server.url, server.port
    with pytest.raises(NoReply, match=f"127.0.0.1:{port}"):
        await Wire(url).open()


async def test_a_connection_that_the_server_closed_is_replaced():
    """When the server has closed the idle connection, the next request goes out on a new one."""
    async with Collector(lambda _: http(200, extra="Connection: close\r\n")) as server:
        wire = Wire(server.url)
        for _ in range(3):
            await wire.exchange(b"x", {})
        await wire.close()
    assert [1, 2, 3] == [request.connection for request in server.requests]


async def test_a_lost_reply_has_sent_the_whole_request():
    """Hanging up before the reply still delivers every byte of the body."""
    body = b"z" * 300_000
    async with Collector() as server:
        wire = Wire(server.url)
        await wire.send_and_hang_up(body, {"X-Y": "1"})
        while not server.requests:
            await asyncio.sleep(0.01)
    assert body == server.requests[0].body
    assert "1" == server.requests[0].headers["x-y"]


def test_an_address_that_is_none_is_refused():
    """A URL without scheme or host is refused with the form that is wanted."""
    with pytest.raises(GatewayError, match="http://ADDRESS"):
        Wire("192.0.2.1/path")
