"""How a listener stops: idle connections at once, answers in time, everything else after the grace."""

import asyncio
import ssl
import subprocess
import sys
import textwrap
import time

import anyio
import pytest
import trustme
from rawclient import chunked, descriptors, post, settle

from gateway.guard import Response
from gateway.listener import Limits, bind

pytestmark = pytest.mark.anyio

LONG_S = 30.0


async def _stop(front, grace_s: float) -> float:
    began = time.monotonic()
    await front.listener.stop(grace_s)
    return time.monotonic() - began


async def test_idle_connections_close_at_once(guarded):
    """Neither a silent new connection nor a kept one uses up any of the grace."""
    async with guarded() as front:
        silent, kept = await front.client(), await front.client()
        assert (await kept.ask(post())).status == 200
        await settle(lambda: front.listener.connections == 2)
        assert await _stop(front, LONG_S) < 5
        assert [b"", b""] == [await silent.rest(), await kept.rest()]
        assert front.listener.connections == 0


async def test_an_idle_tls_client_that_does_not_say_good_bye_is_not_waited_for(guarded):
    """A hung device with a TLS connection does not use up the grace."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with guarded(tls=context, limits=Limits(drain_s=0.2)) as front:
        client = await front.client(tls=trusting)
        assert (await client.ask(post())).status == 200
        client.writer.transport.pause_reading()
        assert await _stop(front, LONG_S) < 5
        client.abort()


async def test_nobody_gets_in_any_more(guarded):
    """The port is free at once."""
    async with guarded() as front:
        await front.listener.stop(0)
        with pytest.raises(ConnectionRefusedError):
            await front.client()
        bind("127.0.0.1", front.where).close()


async def test_an_answer_on_its_way_is_finished(guarded):
    """A request in the handler gets its 200, is told that the connection ends, and nothing waits longer."""

    async def handler(request):
        await asyncio.sleep(0.2)
        return Response(200, b"stored")

    async with guarded(handler, limits=Limits(drain_s=0.2)) as front:
        client = await front.client()
        await client.send(post(b"{}") + post(b"[]"))
        await settle(lambda: front.listener.in_flight == 1)
        assert await _stop(front, LONG_S) < 5
        answer = await client.answer()
        assert (200, b"stored", "close") == (answer.status, answer.body, answer.headers["connection"])
        assert await client.rest() == b""
        assert len(front.seen) == 1


async def test_a_body_that_is_coming_in_may_finish(guarded):
    """A push that has begun is taken within the grace, also when only part of its head is here."""
    async with guarded() as front:
        body, head = await front.client(), await front.client()
        await body.send(post(b"<a/>")[:-1])
        await head.send(post(b"[]")[:10])
        await settle(lambda: all(link and not link.idle for link in front.listener._open.values()))
        stopping = asyncio.ensure_future(_stop(front, LONG_S))
        await asyncio.sleep(0.05)
        await body.send(b">")
        await head.send(post(b"[]")[10:])
        assert [200, 200] == [(await body.answer()).status, (await head.answer()).status]
        assert await stopping < 5


@pytest.mark.parametrize(
    "wire", [post(b"<a/>")[:-1], chunked(b"<a/>")[:-1], post()[:10]], ids=["c", "ch", "head"]
)
async def test_a_stuck_client_is_cut_off_after_the_grace(guarded, wire):
    """Whoever does not finish its request holds nobody up."""
    async with guarded() as front:
        client = await front.client()
        await client.send(wire)
        await settle(lambda: all(link and not link.idle for link in front.listener._open.values()))
        assert 0.2 <= await _stop(front, 0.2) < 5
        assert await client.rest() == b""
        assert (0, 0, []) == (front.listener.connections, front.listener.in_flight, front.seen)


async def test_a_stuck_handler_is_cancelled_after_the_grace(guarded):
    """The client gets no answer, the handler gets a cancellation, and the memory of the body is free."""
    cancelled = []

    async def handler(request):
        try:
            await asyncio.sleep(LONG_S)
        except asyncio.CancelledError:
            cancelled.append(request.path)
            raise

    async with guarded(handler) as front:
        client = await front.client()
        await client.send(post(b"{}", path=b"/slow"))
        await settle(lambda: front.listener.in_flight == 1)
        assert 0.2 <= await _stop(front, 0.2) < 5
        assert await client.rest() == b""
        assert (["/slow"], 0, 0) == (cancelled, front.listener.connections, front.guard._bodies.held)


async def test_a_stream_is_cut_off_after_the_grace(listening):
    """An endless answer does not hold up the stop."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"tick", "more_body": True})
            await asyncio.sleep(0.01)

    async with listening(app) as front:
        client = await front.client()
        await client.send(b"GET / HTTP/1.1\r\nHost: gw\r\n\r\n")
        assert b"tick" in await client.reader.readuntil(b"tick")
        assert 0.2 <= await _stop(front, 0.2) < 5
        assert not (await client.rest()).endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"8")]], ids=["framed", "counted"])
async def test_a_stream_that_ends_within_the_grace_is_complete_and_ends_the_stop(listening, headers):
    """The connection was promised to live on when its answer began; it ends all the same."""
    go_on = asyncio.Event()

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"tick", "more_body": True})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"tack"})

    async with listening(app) as front:
        client = await front.client()
        await client.send(post())
        await client.reader.readuntil(b"tick")
        stopping = asyncio.ensure_future(_stop(front, LONG_S))
        await asyncio.sleep(0.02)
        go_on.set()
        assert b"tack" in await client.rest()
        assert await stopping < 5


async def test_a_request_that_arrives_in_the_moment_of_the_stop_is_answered(guarded):
    """What has been read from the socket is not thrown away."""
    async with guarded() as front:
        client = await front.client()
        assert (await client.ask(post(b"[]"))).status == 200
        (link,) = front.listener._open.values()
        link.data_received(post(b"{}"))  # the connection's task has not run since
        assert await _stop(front, LONG_S) < 5
        assert (await client.answer()).status == 200
        assert [b"[]", b"{}"] == [request.body for request in front.seen]


async def test_a_client_that_does_not_read_is_cut_off_after_the_grace(listening):
    """Neither does one that does not take its answer."""

    async def app(scope, receive, send):
        headers = [(b"content-length", b"50000000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * 50_000_000})

    async with listening(app) as front:
        client = await front.client()
        client.writer.transport.pause_reading()
        await client.send(post())
        await settle(lambda: front.listener.in_flight == 1)
        assert 0.2 <= await _stop(front, 0.2) < 5
        assert front.listener.connections == 0


async def test_a_stop_that_is_cancelled_leaves_nothing_running(guarded):
    """When the daemon has no patience, all ends at once."""

    async def handler(request):
        await asyncio.sleep(LONG_S)

    async with guarded(handler) as front:
        before = len(asyncio.all_tasks())
        client = await front.client()
        await client.send(post(b"{}"))
        await settle(lambda: front.listener.in_flight == 1)
        with anyio.move_on_after(0.1) as scope:
            await front.listener.stop(LONG_S)
        assert scope.cancelled_caught
        await settle(lambda: front.listener.connections == 0)
        assert before == len(asyncio.all_tasks())
        assert await client.rest() == b""


async def test_a_second_stop_does_nothing(guarded):
    """Stopping twice, or what never started, is no error."""
    async with guarded() as front:
        await front.listener.stop(0)
        await front.listener.stop(0)


async def test_a_stop_leaves_tasks_and_descriptors_as_they_were(guarded):
    """In a task group of anyio, with clients in every state."""
    before = (len(asyncio.all_tasks()), descriptors())

    async def handler(request):
        await anyio.sleep(LONG_S if request.path == "/slow" else 0)
        return Response(200)

    async with anyio.create_task_group() as group:

        async def life():
            async with guarded(handler, stop_after_s=0.1) as front:
                for wire in (b"", post()[:5], post(b"{}")[:-1], post(path=b"/slow"), post()):
                    await (await front.client()).send(wire)
                await settle(lambda: front.listener.connections == 5 and front.listener.in_flight == 2)

        group.start_soon(life)
    await asyncio.sleep(0.01)
    assert before == (len(asyncio.all_tasks()), descriptors())


def test_a_process_ends_cleanly_without_warnings():
    """A program that starts, serves, and is stopped with a stuck client says nothing and exits with 0."""
    program = """
        import asyncio, logging
        from gateway.guard import BodyGuard, BodyLimits, Response
        from gateway.listener import Limits, Listener, bind

        async def answer(request):
            return Response(200)

        async def main():
            sock = bind("127.0.0.1", 0)
            port = sock.getsockname()[1]
            listener = Listener(
                BodyGuard(answer, BodyLimits()), sock, limits=Limits(), server_log=logging.getLogger("gateway")
            )
            await listener.start()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\\r\\nHost: gw\\r\\nContent-Length: 2\\r\\n\\r\\n{}")
            assert (await reader.readline()).endswith(b"200 OK\\r\\n")
            writer.write(b"POST / HTTP/1.1\\r\\nHost: gw\\r\\nContent-Length: 2\\r\\n\\r\\n{")
            await asyncio.sleep(0.05)
            await listener.stop(0.1)
            writer.close()
            assert asyncio.all_tasks() == {asyncio.current_task()}, asyncio.all_tasks()

        asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
