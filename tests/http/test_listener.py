"""Who gets in, how long connections last, and what the listener does when something goes wrong."""

import asyncio
import logging
import os
import socket
import ssl
import stat
from dataclasses import replace

import anyio
import pytest
import trustme
from rawclient import PATIENCE_S, Client, chunked, descriptors, post, settle
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from gateway.guard import Response
from gateway.listener import CannotListen, Limits, bind, bind_unix
from gateway.listener.answers import AnswerHeads
from gateway.listener.bind import _explain
from gateway.listener.head import Head, KnownHeads

pytestmark = pytest.mark.anyio


# Binding


def test_a_taken_port_is_explained():
    """The message names address and port and says how to find the other program."""
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen) as fault:
            bind("127.0.0.1", port)
    for part in ("127.0.0.1", str(port), "another program", "ss -ltnp"):
        assert part in str(fault.value)


def test_an_address_of_another_machine_is_explained():
    """The message says that no interface has the address."""
    with pytest.raises(CannotListen, match=r"192\.0\.2\.1 port 8080: no network interface .*'ip address'"):
        bind("192.0.2.1", 8080)


@pytest.mark.parametrize("host", ["no host of mine", "x" * 70 + ".example"])
def test_a_name_that_is_no_address_is_explained(host):
    """The message says what to write instead."""
    with pytest.raises(CannotListen, match=r"no address of this machine\. Use an IP address"):
        bind(host, 8080)


def test_a_port_that_is_none_is_explained():
    """Port 70000 is refused with the range of ports."""
    with pytest.raises(CannotListen, match="from 1 to 65535"):
        bind("127.0.0.1", 70000)


def test_a_forbidden_port_is_explained():
    """The message names both ways out: another port, or the capability."""
    message = _explain("", 80, PermissionError(13, "Permission denied"))
    for part in ("all addresses", "80", "1024", "CAP_NET_BIND_SERVICE"):
        assert part in message


async def test_every_address_means_ipv6_and_ipv4(guarded):
    """One socket serves both, and an IPv4 client has an IPv4 address."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    async with guarded(sock=bind("", 0)) as front:
        assert (await (await front.client()).ask(post())).status == 200
        assert (await (await front.client(host="::1")).ask(post())).status == 200
        assert ["127.0.0.1", "::1"] == [request.address for request in front.seen]


def test_a_unix_socket_is_for_owner_and_group(tmp_path):
    """The mode is 0660 whatever the umask."""
    before = os.umask(0o077)
    try:
        with bind_unix(tmp_path / "s"):
            assert oct(0o660) == oct(stat.S_IMODE((tmp_path / "s").stat().st_mode))
    finally:
        os.umask(before)


def test_a_stale_unix_socket_is_replaced_and_a_live_one_is_not(tmp_path):
    """A socket file that nobody answers on is taken over; a running gateway is left alone."""
    bind_unix(tmp_path / "s").close()
    assert (tmp_path / "s").exists()
    with bind_unix(tmp_path / "s"), pytest.raises(CannotListen, match="another gateway is running"):
        bind_unix(tmp_path / "s")


def test_a_file_in_the_way_of_a_unix_socket_is_not_removed(tmp_path):
    """Only sockets are removed."""
    (tmp_path / "s").write_text("mine")
    with pytest.raises(CannotListen, match="Move it away"):
        bind_unix(tmp_path / "s")
    assert (tmp_path / "s").read_text() == "mine"


@pytest.mark.parametrize("path", ["missing/s", "x" * 120])
def test_an_impossible_unix_path_is_explained(tmp_path, path):
    """A missing directory and a long path are named with what they must be."""
    with pytest.raises(CannotListen, match="The directory must exist"):
        bind_unix(tmp_path / path)


# Who gets in


async def test_connections_are_capped_for_each_address_and_in_all(guarded):
    """Above the caps a connection is closed at once and counted; a place that gets free is given again."""
    limits = Limits(connections=5, connections_per_address=3)
    async with guarded(limits=limits, sock=bind("0.0.0.0", 0)) as front:
        first = [await front.client() for _ in range(3)]
        assert [200] * 3 == [(await client.ask(post())).status for client in first]
        assert await (await front.client()).rest() == b""
        others = [await front.client(source=f"127.0.0.{n}") for n in (2, 3)]
        await settle(lambda: front.listener.connections == 5)
        for client in (*first, *others):
            await client.send(b"POST / HTTP/1.1\r\n")  # at work, all of them
        await asyncio.sleep(0.1)
        assert await (await front.client(source="127.0.0.4")).rest() == b""
        assert {"too_many_from_address": 1, "too_many": 1} == dict(front.listener.refused)
        await first[0].close()
        await settle(lambda: front.listener.connections == 4)
        assert (await (await front.client()).ask(post())).status == 200


async def test_an_idle_connection_gives_way_to_a_new_one(guarded):
    """Connections that are held open for nothing cannot lock out a device: the longest idle one is closed for it."""
    limits = Limits(connections=4, connections_per_address=4)
    async with guarded(limits=limits, sock=bind("0.0.0.0", 0)) as front:
        idle = [await front.client(source="127.0.0.2") for _ in range(4)]
        assert [200] * 4 == [(await client.ask(post())).status for client in idle]
        device = await front.client(source="127.0.0.3")
        assert (await device.ask(post())).status == 200
        assert await idle[0].rest() == b""
        assert (await idle[3].ask(post())).status == 200
        assert {} == dict(front.listener.refused)


async def test_addresses_that_are_not_allowed_are_closed_before_they_can_send(guarded):
    """The allow-list decides at accept."""
    async with guarded(allow=lambda address: address == "127.0.0.1", sock=bind("0.0.0.0", 0)) as front:
        assert (await (await front.client()).ask(post())).status == 200
        assert await (await front.client(source="127.0.0.9")).rest() == b""
        assert front.told == [("127.0.0.9", "not_allowed")]
        assert {"not_allowed": 1} == dict(front.listener.refused)
        assert len(front.seen) == 1


# How long connections last


async def test_one_connection_carries_1500_requests(guarded):
    """A terminal that replays its store is never told to reconnect."""
    async with guarded() as front:
        client = await front.client()
        for _ in range(30):
            await client.send(post(b"{}") * 50)
            for _ in range(50):
                answer = await client.answer()
                assert answer.status == 200
                assert "connection" not in answer.headers
        assert len(front.seen) == 1500


async def test_a_silent_connection_is_closed(guarded):
    """Who connects and says nothing is closed after the header deadline, and counted."""
    async with guarded(limits=Limits(header_deadline_s=0.1)) as front:
        client = await front.client()
        assert await client.rest() == b""
        assert front.told == [("127.0.0.1", "silent")]


async def test_a_dripping_header_is_closed(guarded):
    """The deadline is for the whole head, on a first and on a later request."""
    async with guarded(limits=Limits(header_deadline_s=0.2)) as front:
        for first in (b"", post()):
            client = await front.client()
            if first:
                assert (await client.ask(first)).status == 200
            gone = asyncio.ensure_future(client.rest())
            for _ in range(400):
                client.writer.write(b"X")
                await asyncio.sleep(0.01)
                if gone.done():
                    break
            assert gone.done()
        await settle(lambda: len(front.told) == 2)
        assert front.told == [("127.0.0.1", "slow_header")] * 2


async def test_an_idle_connection_outlives_the_header_deadline_and_ends_with_the_keep_alive(guarded):
    """Between two pushes a device may be silent for long; line breaks do not prolong it."""
    limits = Limits(header_deadline_s=0.3, keep_alive_s=1.0)
    async with guarded(limits=limits) as front:
        client = await front.client()
        assert (await client.ask(post())).status == 200
        await asyncio.sleep(0.5)
        assert (await client.ask(post())).status == 200
        gone = asyncio.ensure_future(client.rest())
        for _ in range(400):
            client.writer.write(b"\r\n")
            await asyncio.sleep(0.01)
            if gone.done():
                break
        assert gone.done()
        assert front.told == []


async def test_a_handler_may_take_longer_than_every_deadline(guarded):
    """No deadline of the connection runs while the gateway itself is working."""

    async def handler(request):
        await asyncio.sleep(0.5)
        return Response(200)

    async with guarded(handler, limits=Limits(header_deadline_s=0.3, keep_alive_s=0.3)) as front:
        client = await front.client()
        for _ in range(2):
            assert (await client.ask(post())).status == 200


@pytest.mark.parametrize("dripped", [True, False])
@pytest.mark.parametrize("size", [17_000, 100_000])
async def test_a_head_that_is_too_large_gets_431(guarded, dripped, size):
    """In one segment or in many, the client can read why."""
    async with guarded() as front:
        client = await front.client()
        head = b"POST / HTTP/1.1\r\nHost: gw\r\n" + (b"X-A: %s\r\n" % (b"a" * 90)) * (size // 97)
        if dripped:
            for place in range(0, len(head), 1000):
                await client.send(head[place : place + 1000])
                await asyncio.sleep(0)
        else:
            await client.send(head + b"Content-Length: 0\r\n\r\n")
        assert (await client.answer()).status == 431
        client.writer.write_eof()
        assert await client.rest() == b""
        assert front.told == [("127.0.0.1", "header_too_large")]
        assert front.seen == []


async def test_a_large_body_behind_a_small_head_is_no_large_head(guarded):
    """The limit of the head does not count what follows it in the same segment."""
    async with guarded() as front:
        client = await front.client()
        assert (await client.ask(post(b"{" * 60_000))).status == 200
        await client.send(post(b"{" * 20_000) + post(b"{" * 20_000))
        assert [200, 200] == [(await client.answer()).status, (await client.answer()).status]


async def test_a_client_that_reads_nothing_is_cut_off(listening):
    """An answer that nobody takes does not hold its connection for ever."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(10_000):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})

    async with listening(app, limits=Limits(write_stall_s=0.2, drain_s=0.1)) as front:
        client = await front.client()
        await client.send(post())
        await settle(lambda: front.listener.in_flight == 1)
        client.reader._transport.pause_reading()
        await settle(lambda: front.listener.connections == 0)


# When something goes wrong


async def test_a_failing_application_costs_one_request(guarded, caplog):
    """The client gets 500, the log gets the traceback, the next connection is served."""

    async def handler(request):
        if request.path == "/bad":
            raise LookupError("the shelf is empty")
        return Response(200)

    async with guarded(handler) as front:
        client = await front.client()
        answer = await client.ask(post(path=b"/bad"))
        assert (500, "close") == (answer.status, answer.headers["connection"])
        assert await client.rest() == b""
        assert (await (await front.client()).ask(post())).status == 200
        assert front.listener.in_flight == 0
    assert "the shelf is empty" in caplog.text
    assert "/bad" not in caplog.text  # a path may hold a device's secret word


async def test_an_application_that_fails_in_the_middle_of_its_answer_closes(listening, caplog):
    """A half answer is never followed by another one on the same connection."""

    async def app(scope, receive, send):
        headers = [(b"content-length", b"10")] if scope["path"] == "/counted" else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise LookupError("lost the rest")

    async with listening(app) as front:
        for path in (b"/counted", b"/framed"):
            client = await front.client()
            await client.send(post(path=path) * 2)
            assert (await client.rest()).count(b"HTTP/1.1") == 1
    assert caplog.text.count("LookupError: lost the rest") == 2


async def test_an_answer_that_is_longer_than_declared_is_not_sent(listening, caplog):
    """It becomes a 500, not the head of something else."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
        await send({"type": "http.response.body", "body": b"12345"})

    async with listening(app) as front:
        client = await front.client()
        assert (await client.ask(post())).status == 500
        assert await client.rest() == b""


@pytest.mark.parametrize("body", [b"1", b""])
async def test_an_answer_of_another_length_than_declared_closes(listening, body):
    """Client and server never get out of step."""

    async def app(scope, receive, send):
        headers = [(b"content-length", b"3")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async with listening(app) as front:
        client = await front.client()
        await client.send(post() * 2)
        assert (await client.rest()).count(b"HTTP/1.1") == 1


async def test_what_an_application_sends_too_late_is_dropped(listening):
    """A task that outlives its request cannot write into the next answer."""
    late = []

    async def app(scope, receive, send):
        async def again():
            await asyncio.sleep(0.05)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"late"})

        if scope["path"] == "/1":
            late.append(asyncio.ensure_future(again()))
        else:
            await late[0]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async with listening(app) as front:
        client = await front.client()
        for path in (b"/1", b"/2", b"/2"):
            assert (await client.ask(post(path=path))).body == b"ok"


async def test_an_application_that_never_stops_sending_does_not_stop_the_others(listening):
    """Writing to a client that has gone lets everybody else run."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while scope["path"] == "/endless":
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        await send({"type": "http.response.body", "body": b"ok"})

    async with listening(app, stop_after_s=0) as front:
        client = await front.client()
        await client.send(post(path=b"/endless"))
        await client.reader.readuntil(b"x")
        client.abort()
        assert (await (await front.client()).ask(post())).body == b"ok"


async def test_a_last_answer_arrives_whole_at_a_slow_reader(guarded):
    """Closing waits for what neither the client nor the kernel has taken yet."""

    async def handler(request):
        return Response(200, b"x" * 60_000)

    bound = bind("127.0.0.1", 0)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    async with guarded(handler, sock=bound) as front:
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", front.where))
        client = Client(*await asyncio.open_connection(sock=slow))
        client.writer.transport.pause_reading()
        await client.send(post(extra=b"Connection: close\r\n"))
        await asyncio.sleep(0.1)
        client.writer.transport.resume_reading()
        assert len((await client.answer()).body) == 60_000
        await client.close()


async def test_a_header_that_would_break_the_answer_is_not_sent(listening, caplog):
    """A line break in a header value of the application gives 500 and no second header."""

    async def app(scope, receive, send):
        headers = [(b"content-length", b"0"), (b"x-name", b"a\r\nset-cookie: b")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async with listening(app) as front:
        answer = await (await front.client()).ask(post())
        assert answer.status == 500
        assert "set-cookie" not in answer.headers


def test_heads_are_remembered_for_a_second_and_not_too_many(monkeypatch):
    """The date moves on, and answers that are all different do not fill the memory."""
    now = 1_700_000_000.0
    monkeypatch.setattr("gateway.listener.answers.time", lambda: now)
    heads = AnswerHeads()
    first = heads.get(200, [(b"content-length", b"1")], last=False)
    assert first is heads.get(200, [(b"content-length", b"1")], last=False)
    assert b"Tue, 14 Nov 2023 22:13:20 GMT" in first.raw
    now += 1
    assert b"Tue, 14 Nov 2023 22:13:21 GMT" in heads.get(200, [(b"content-length", b"1")], last=False).raw
    for n in range(1000):
        heads.get(200, [(b"content-length", b"%d" % n)], last=False)
    assert len(heads._made) < 100


async def test_running_out_of_descriptors_is_survived(guarded, caplog, monkeypatch):
    """The listener waits and accepts again."""
    monkeypatch.setattr("gateway.listener.listener._PAUSE_S", 0.05)
    full = True

    class Sparse(socket.socket):
        def accept(self):
            if full:
                raise OSError(24, "Too many open files")
            return super().accept()

    bound = bind("127.0.0.1", 0)
    async with guarded(sock=Sparse(fileno=bound.detach())) as front:
        client = await front.client()
        await client.send(post())
        await settle(lambda: "Too many open files" in caplog.text)
        full = False
        assert (await client.answer()).status == 200


async def test_connections_that_break_at_any_place_leave_nothing_behind(guarded):
    """Tasks, descriptors and counts are what they were before."""
    wire = post(b"<a>" * 10, extra=b"X-A: b\r\n") + chunked(b"{}", b"{}")
    async with guarded() as front:
        await (await front.client()).ask(post())
        await settle(lambda: front.listener.connections == 1)
        before = (len(asyncio.all_tasks()), descriptors())
        for place in range(0, len(wire), 7):
            client = await front.client()
            await client.send(wire[:place])
            await asyncio.sleep(0.001)
            client.abort()
        await settle(lambda: front.listener.connections == 1)
        await asyncio.sleep(0.05)
        assert before == (len(asyncio.all_tasks()), descriptors())
        assert front.listener.in_flight == front.guard._bodies.held == 0


# Other applications: the page and the control API


def _page():
    left = asyncio.Event()

    async def numbers(request: Request) -> StreamingResponse:
        async def count():
            try:
                for n in range(10_000):
                    yield f"{n}\n".encode()
                    await asyncio.sleep(0.005 if n else 0)
                    if request.query_params.get("last") == str(n):
                        return
            finally:
                left.set()

        return StreamingResponse(count())

    async def wait(request: Request) -> PlainTextResponse:
        await asyncio.sleep(PATIENCE_S)
        return PlainTextResponse("waited")

    async def echo(request: Request) -> PlainTextResponse:
        return PlainTextResponse(await request.body())

    async def ignore(request: Request) -> PlainTextResponse:
        return PlainTextResponse("ignored")

    app = Starlette(
        routes=[
            Route("/numbers", numbers),
            Route("/wait", wait),
            Route("/echo", echo, methods=["POST"]),
            Route("/ignore", ignore, methods=["POST"]),
        ]
    )
    return app, left


async def test_a_unix_socket_streams(listening, tmp_path):
    """Over a unix socket there are no address limits, bodies arrive, and a stream comes piece by piece."""
    app, _ = _page()
    limits = Limits(connections_per_address=1)
    async with listening(app, sock=bind_unix(tmp_path / "s"), limits=limits, allow=lambda _: False) as front:
        client, other = await front.client(), await front.client()
        assert (await other.ask(post(b"hello", path=b"/echo"))).body == b"hello"
        await client.send(b"GET /numbers?last=3 HTTP/1.1\r\nHost: gw\r\n\r\n")
        answer = await client.answer()
        assert (200, b"0\n1\n2\n3\n") == (answer.status, answer.body)
        assert (await client.ask(post(b"again", path=b"/echo"))).body == b"again"


async def test_the_same_head_may_come_again_for_every_kind_of_answer(listening):
    """A head that h11 has seen before is not shown to it again, unless it has to write the answer."""

    async def app(scope, receive, send):
        body = (await receive())["body"]
        headers = [] if body.startswith(b"f") else [(b"content-length", b"%d" % len(body))]
        scope["headers"].append((b"x-mine", b"1"))
        assert len(scope["headers"]) == 3
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async with listening(app) as front:
        client = await front.client()
        for body in (b"framed", b"framed", b"counts", b"framed", b"counts"):
            answer = await client.ask(post(body))
            assert (body, body == b"framed") == (answer.body, "transfer-encoding" in answer.headers)
        await client.send(post(b"framed") * 3 + post(b"counts") * 3)
        assert [b"framed"] * 3 + [b"counts"] * 3 == [(await client.answer()).body for _ in range(6)]
        for _ in range(2):
            old = await front.client()
            assert (await old.ask(post(b"framed", version=b"1.0"))).headers["connection"] == "close"
            assert await old.rest() == b""


def test_known_heads_do_not_fill_the_memory():
    """Heads that are all different, or long, or cannot be used twice, are not kept."""
    known = KnownHeads()
    head = Head(b"", None, [], 0, lasting=True, waits=False)
    for n in range(1000):
        known.add(b"%d" % n, head)
    known.add(b"x" * 3000, head)
    known.add(b"chunked", replace(head, length=None))
    known.add(b"waiting", replace(head, waits=True))
    assert known.get(b"999") is head
    assert not any(known.get(raw) for raw in (b"1", b"x" * 3000, b"chunked", b"waiting"))


def test_known_heads_of_many_headers_are_few():
    """In two kilobytes there is room for four hundred headers, and each is a hundred times as large when it is parsed."""
    known = KnownHeads()
    crowded = Head(b"", None, [(b"ab", b"")] * 400, 0, lasting=True, waits=False)
    for n in range(500):
        known.add(b"%d" % n, crowded)
    assert known.get(b"499") is crowded
    assert 10 >= sum(known.get(b"%d" % n) is not None for n in range(500))


async def test_a_stream_ends_when_its_reader_leaves(listening, tmp_path):
    """The application is told, and its generator is closed."""
    app, left = _page()
    async with listening(app, sock=bind_unix(tmp_path / "s")) as front:
        client = await front.client()
        await client.send(b"GET /numbers HTTP/1.1\r\nHost: gw\r\n\r\n")
        assert b"200 OK" in await client.reader.readuntil(b"5\n")
        await client.close()
        await asyncio.wait_for(left.wait(), PATIENCE_S)
        await settle(lambda: front.listener.connections == 0)


async def test_a_stream_is_not_disturbed_by_the_next_request(listening):
    """It waits for its turn."""
    app, _ = _page()
    async with listening(app) as front:
        client = await front.client()
        await client.send(b"GET /numbers?last=5 HTTP/1.1\r\nHost: gw\r\n\r\n" + post(b"next", path=b"/echo"))
        assert (await client.answer()).body.endswith(b"5\n")
        assert (await client.answer()).body == b"next"


@pytest.mark.parametrize("path", [b"/numbers", b"/wait"])
async def test_a_flood_behind_a_request_stays_with_its_sender(listening, path):
    """While one request is worked on, what follows is not read into memory."""
    app, _ = _page()
    async with listening(app, stop_after_s=0) as front:
        client = await front.client()
        await client.send(b"GET " + path + b" HTTP/1.1\r\nHost: gw\r\n\r\n")
        client.writer.write(b"x" * 20_000_000)
        await asyncio.sleep(0.5)
        assert client.writer.transport.get_write_buffer_size() > 5_000_000  # the kernel has the rest
        client.abort()


async def test_a_stream_for_http_1_0_ends_with_the_connection(listening):
    """Without chunks there is no other way to say where it ends."""
    app, _ = _page()
    async with listening(app) as front:
        client = await front.client()
        answer = await client.ask(b"GET /numbers?last=2 HTTP/1.0\r\n\r\n")
        assert ("close", b"0\n1\n2\n") == (answer.headers["connection"], answer.body)


async def test_a_body_that_the_application_ignores_is_passed_over(listening):
    """When it is all there the connection goes on; when it is not, the answer comes and the connection ends."""
    app, _ = _page()
    async with listening(app) as front:
        client = await front.client()
        await client.send(post(b"x" * 100, path=b"/ignore") + post(b"next", path=b"/echo"))
        assert [b"ignored", b"next"] == [(await client.answer()).body, (await client.answer()).body]
        await client.send(post(b"x" * 3_000_000, path=b"/ignore"))
        answer = await client.answer()
        assert (b"ignored", "close") == (answer.body, answer.headers["connection"])


@pytest.fixture(scope="module")
def tls():
    """A server's context that would take HTTP/2, and a client's that asks for it."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    for context in (server, client):
        context.set_alpn_protocols(["h2", "http/1.1"])
    return server, client


async def test_tls_is_served_and_plain_http_on_its_port_is_counted(guarded, tls):
    """The listener takes a context, speaks HTTP/1.1 only, and says when something else than TLS comes in."""
    server, trusting = tls
    async with guarded(tls=server, limits=Limits(header_deadline_s=1.0)) as front:
        client = await front.client(tls=trusting)
        for _ in range(3):
            assert (await client.ask(post(b"{" * 100_000))).status == 200
        assert front.seen[0].address == "127.0.0.1"
        plain = await front.client()
        await plain.send(post())
        assert not (await plain.rest()).startswith(b"HTTP/")
        silent = await front.client()
        assert await silent.rest() == b""
        assert [("127.0.0.1", "tls")] * 2 == front.told
        assert (await client.ask(post())).status == 200


async def test_a_last_answer_over_tls_arrives_whole(guarded, tls):
    """Closing does not cut off what a slow reader has not taken yet."""
    server, trusting = tls

    async def handler(request):
        return Response(200, b"x" * 3_000_000)

    async with guarded(handler, tls=server) as front:
        client = await front.client(tls=trusting)
        client.writer.transport.pause_reading()
        await client.send(post(extra=b"Connection: close\r\n"))
        await asyncio.sleep(0.1)
        client.writer.transport.resume_reading()
        assert len((await client.answer()).body) == 3_000_000
        assert await client.rest() == b""
        await settle(lambda: front.listener.connections == 0)


async def test_an_anyio_application_is_at_home(guarded):
    """Cancel scopes, task groups and threads of anyio work in a handler."""

    async def handler(request):
        with anyio.move_on_after(0.02):
            await anyio.sleep(5)
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 0)
        return Response(200, await anyio.to_thread.run_sync(lambda: b"thread"))

    async with guarded(handler) as front:
        client = await front.client()
        for _ in range(2):
            assert (await client.ask(post())).body == b"thread"


async def test_the_log_has_each_line_once_and_none_for_a_request(guarded, caplog):
    """Nothing is written for what goes well: no access log, no start line."""
    with caplog.at_level(logging.DEBUG):
        async with guarded() as front:
            assert (await (await front.client()).ask(post())).status == 200
    assert [] == [record for record in caplog.records if record.name != "asyncio"]
