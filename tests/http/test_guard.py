"""Bodies: their limits, their deadline, and that a refusal can be read and leaves nothing behind."""

import asyncio
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rawclient import chunked, descriptors, post, settle

from gateway.guard import BodyLimits, Response, _path

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("start", "limit"),
    [
        (b"<", 10),
        (b"  \r\n\t<", 10),
        (b"\xef\xbb\xbf<", 10),
        ("\ufeff<".encode("utf-16-le"), 10),
        ("\ufeff<".encode("utf-16-be"), 10),
        ("<".encode("utf-16-be"), 10),
        (b"\0\0<", 10),
        (b"{", 20),
        (b"[", 20),
        (b"\xef\xbb\xbf {", 20),
        (b"--boundary", 5),
        (b"a=b", 5),
        (b"", 5),
        (b" \0 ", 5),
        (b'"{', 5),
    ],
)
def test_the_kind_shows_in_the_first_byte(start, limit):
    """Byte order marks, white space and the NULs of UTF-16 do not hide it."""
    assert limit == BodyLimits(xml_bytes=10, json_bytes=20, other_bytes=5).max_bytes(start)


@given(st.binary(max_size=80))
def test_every_path_becomes_printable_with_one_slash_in_front(raw):
    """Whatever is in the request line, the path can be logged and compared."""
    path = _path(raw)
    assert path.startswith("/") and "//" not in path and path.isprintable()


@pytest.mark.parametrize(
    ("start", "limit"), [(b"<", 262_144), (b"{", 2_000_000), (b"PIN\t", 65_536)], ids=["xml", "json", "other"]
)
@pytest.mark.parametrize("framing", ["counted", "chunked"])
async def test_each_kind_has_its_own_limit(guarded, start, limit, framing):
    """A body of exactly the limit is served, one byte more is refused with a readable 413."""
    async with guarded() as front:
        for extra in (0, 1):
            body = start + b"x" * (limit - len(start) + extra)
            client = await front.client()
            pieces = [body[place : place + 50_000] for place in range(0, len(body), 50_000)]
            await client.send(post(body) if framing == "counted" else chunked(*pieces))
            answer = await client.answer()
            if extra:
                assert (413, "close") == (answer.status, answer.headers["connection"])
                assert str(limit) in answer.body.decode()
            else:
                assert 200 == answer.status
        assert [limit] == [len(request.body) for request in front.seen]
        assert front.refused == [("127.0.0.1", "too_large")]
        assert front.guard._bodies.held == 0


async def test_white_space_in_front_does_not_decide_the_kind(guarded):
    """A body that begins with a packet of blanks is still XML."""
    body = b" \r\n" + b"<" * 100_000
    async with guarded() as front:
        client = await front.client()
        await client.send(post(body)[:-100_000])
        await settle(lambda: front.guard._bodies.held == 3)
        assert (await client.ask(body[3:])).status == 200


@pytest.mark.parametrize("framing", ["counted", "chunked"])
async def test_a_client_that_writes_everything_first_can_read_the_413(guarded, framing):
    """Five megabytes are read and thrown away, so that the answer is not lost in a reset."""
    body = b"{" * 5_000_000
    async with guarded() as front:
        client = await front.client()
        await client.send(post(body) if framing == "counted" else chunked(body[:2_600_000], body[2_600_000:]))
        assert (await client.answer()).status == 413
        await client.close()
        await settle(lambda: front.listener.connections == 0)
        assert front.seen == []


async def test_a_declared_length_above_every_limit_is_refused_before_the_body(guarded):
    """The answer comes without a byte of the body, and without 100 Continue."""
    async with guarded() as front:
        client = await front.client()
        head = b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n"
        assert (await client.ask(head)).status == 413


async def test_a_declared_length_above_the_limit_of_its_kind_is_refused_at_its_first_byte(guarded):
    """One byte of XML is enough to know that a megabyte of it will not be taken."""
    async with guarded() as front:
        client = await front.client()
        assert (
            await client.ask(b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 1000000\r\n\r\n <")
        ).status == 413


async def test_early_refusals_leave_nothing_behind(guarded):
    """Forty uploads of four megabytes, refused while they are sent: tasks, descriptors, connections as before."""

    async def upload(front):
        client = await front.client()
        try:
            await client.send(post(b"<" * 4_000_000))
            assert (await client.answer()).status == 413
        finally:
            client.abort()

    async with guarded() as front:
        assert (await (await front.client()).ask(post())).status == 200
        before = (len(asyncio.all_tasks()), descriptors(), front.listener.connections)
        for _ in range(4):
            await asyncio.gather(*(upload(front) for _ in range(10)))
            # A refused upload lingers for a moment, and one address may have 32 connections.
            await settle(lambda: front.listener.connections == 1)
        await asyncio.sleep(0.02)
        assert before == (len(asyncio.all_tasks()), descriptors(), front.listener.connections)
        assert {"too_large": 40} == {"too_large": len(front.refused)}
        assert front.guard._bodies.held == 0


@pytest.mark.parametrize(
    "wire", [post(b"<" * 4_000_000), chunked(b"<" * 4_000_000)], ids=["counted", "chunked"]
)
async def test_clients_that_leave_in_the_middle_of_a_refusal_leave_nothing_behind(guarded, wire):
    """The drain ends with the client."""
    async with guarded() as front:
        before = (len(asyncio.all_tasks()), descriptors())
        for _ in range(10):
            client = await front.client()
            client.writer.write(wire[:600_000])
            await asyncio.sleep(0.005)
            client.abort()
        await settle(lambda: front.listener.connections == 0)
        await asyncio.sleep(0.02)
        assert before == (len(asyncio.all_tasks()), descriptors())


@pytest.mark.parametrize("drip", [True, False])
@pytest.mark.parametrize("framing", ["counted", "chunked"])
async def test_a_slow_body_gets_408_after_the_deadline(guarded, drip, framing):
    """The deadline is for the whole body: a byte now and then does not prolong it."""
    start = post(b"<" * 9000)[:-8000] if framing == "counted" else chunked(b"<" * 9000)[:-8000]
    async with guarded(body=BodyLimits(body_deadline_s=0.2)) as front:
        client = await front.client()
        answer = asyncio.ensure_future(client.ask(start))
        while drip and not answer.done():
            client.writer.write(b"x")
            await asyncio.sleep(0.01)
        assert (408, "close") == ((await answer).status, (await answer).headers["connection"])
        assert front.refused == [("127.0.0.1", "slow_body")]
        assert (front.seen, front.guard._bodies.held) == ([], 0)


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH", b"post"])
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_body_without_a_length_gets_411_and_is_not_taken_for_a_request(guarded, method, version):
    """What follows the head is thrown away with the connection."""
    async with guarded() as front:
        client = await front.client()
        head = method + b" /a HTTP/" + version + b"\r\nHost: gw\r\n\r\n"
        await client.send(head + b"GET /b HTTP/1.1\r\nHost: gw\r\n\r\n")
        answer = await client.answer()
        assert (411, "close") == (answer.status, answer.headers["connection"])
        assert await client.rest() == b""
        assert (front.seen, front.refused) == ([], [("127.0.0.1", "no_length")])


@pytest.mark.parametrize("method", [b"GET", b"DELETE", b"OPTIONS"])
async def test_methods_without_a_body_need_no_length(guarded, method):
    """They reach the handler with an empty body."""
    async with guarded() as front:
        client = await front.client()
        for _ in range(2):
            assert (await client.ask(method + b" /a HTTP/1.1\r\nHost: gw\r\n\r\n")).status == 200
        assert [method.decode()] * 2 == [request.method for request in front.seen]
        assert [b""] * 2 == [request.body for request in front.seen]


async def test_a_get_with_a_body_stays_in_step(guarded):
    """The body of a GET is read like any other."""
    async with guarded() as front:
        client = await front.client()
        await client.send(b"GET /a HTTP/1.1\r\nHost: gw\r\nContent-Length: 2\r\n\r\n{}" + post(b"[]"))
        assert [200, 200] == [(await client.answer()).status, (await client.answer()).status]
        assert [b"{}", b"[]"] == [request.body for request in front.seen]


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"GZIP", b"identity, gzip"])
async def test_an_encoded_body_is_refused_unread(guarded, encoding):
    """Nothing is inflated; the text says what to do."""
    async with guarded() as front:
        client = await front.client()
        extra = b"Content-Encoding: " + encoding + b"\r\n"
        answer = await client.ask(post(gzip.compress(b"<a/>"), extra=extra))
        assert (415, "close") == (answer.status, answer.headers["connection"])
        assert "Content-Encoding" in answer.body.decode()
        assert front.refused == [("127.0.0.1", "encoding")]


async def test_identity_is_no_encoding(guarded):
    """A body that says that it is not encoded is read."""
    async with guarded() as front:
        client = await front.client()
        assert (await client.ask(post(b"{}", extra=b"Content-Encoding: identity\r\n"))).status == 200


async def test_a_long_path_gets_414(guarded):
    """Nothing behind the guard ever sees a path of more than 2,048 bytes."""
    async with guarded() as front:
        assert (await (await front.client()).ask(post(path=b"/" + b"a" * 2047))).status == 200
        assert (await (await front.client()).ask(post(path=b"/" + b"a" * 2048))).status == 414
        assert [2048] == [len(request.path) for request in front.seen]


async def test_bodies_of_all_connections_together_are_bounded(guarded):
    """What would be too much is refused, XML with 503 and JSON with silence; when the others are done there is room."""
    release = asyncio.Event()

    async def handler(request):
        await release.wait()
        return Response(200)

    async with guarded(handler, body=BodyLimits(max_bodies_bytes=250_000)) as front:
        first = await front.client()
        second = await front.client()
        await first.send(post(b"{" * 100_000))  # in the handler
        await second.send(post(b"{" * 120_000)[:-20_000])  # still coming in
        await settle(lambda: front.guard._bodies.held == 200_000)
        silent = await front.client()
        await silent.send(post(b"{" * 100_000))
        assert b"" == await silent.rest()  # a terminal keeps its record then, and of a 503 nobody knows
        third = await front.client()
        answer = await third.ask(post(b"<" * 100_000))
        assert (503, "close") == (answer.status, answer.headers["connection"])
        assert int(answer.headers["retry-after"]) > 0
        assert front.refused == [("127.0.0.1", "bodies_full")] * 2
        await second.send(b"{" * 20_000)
        release.set()
        assert [200, 200] == [(await first.answer()).status, (await second.answer()).status]
        assert (await (await front.client()).ask(post(b"{" * 200_000))).status == 200
        assert front.guard._bodies.held == 0


async def test_half_bodies_of_some_addresses_do_not_lock_out_the_others(guarded):
    """Each address has a share; when all the room is taken, small bodies still come in, whole, in pieces and chunked."""
    limits = BodyLimits(max_bodies_bytes=1_600_000, json_bytes=200_000, xml_bytes=100_000)
    async with guarded(body=limits) as front:
        for number in range(9):
            for _ in range(2):
                client = await front.client(source=f"127.0.0.{20 + number}")
                await client.send(post(b"{" * 200_000)[:-100_000])
        await settle(lambda: front.guard._bodies.held >= 1_600_000)
        assert front.refused
        device = await front.client()
        assert (await device.ask(post(b"<" + b"x" * 2_000))).status == 200
        assert (await device.ask(chunked(b"<" + b"x" * 1_000, b"y" * 1_000))).status == 200
        wire = post(b"{" + b"x" * 30_000)
        await device.send(wire[:10_000])
        await asyncio.sleep(0.05)
        await device.send(wire[10_000:])
        assert (await device.answer()).status == 200
    async with guarded(body=limits) as front:
        for _ in range(2):
            await (await front.client(source="127.0.0.20")).send(post(b"{" * 200_000)[:-100_000])
        await settle(lambda: front.guard._bodies.held == 200_000)
        greedy = await front.client(source="127.0.0.20")
        await greedy.send(post(b"{" * 200_000)[:-100_000])
        assert b"" == await greedy.rest()
        assert front.refused == [("127.0.0.20", "bodies_full")]
        assert (await (await front.client()).ask(post(b"{" * 200_000))).status == 200
    assert (0, 0) == (front.guard._bodies.held, front.guard._bodies.addresses)


async def test_a_body_of_very_many_chunks_gets_400(guarded):
    """4,096 chunks are read; with one more the body is refused, counted, and the connection closed."""
    async with guarded() as front:
        assert (await (await front.client()).ask(chunked(*[b"x"] * 4_096))).status == 200
        client = await front.client()
        answer = await client.ask(chunked(*[b"x"] * 4_097))
        assert (400, "close") == (answer.status, answer.headers["connection"])
        assert await client.rest() == b""
        assert front.told == [("127.0.0.1", "bad_request")]
        assert len(front.seen) == 1


async def test_none_from_the_handler_closes_without_an_answer(guarded):
    """Not one byte goes back: the terminal's only documented refusal."""

    async def handler(request):
        return None if request.body == b"{}" else Response(200)

    async with guarded(handler) as front:
        client = await front.client()
        assert (await client.ask(post(b"[]"))).status == 200
        await client.send(post(b"{}") + post(b"[]"))
        assert await client.rest() == b""
        assert (await (await front.client()).ask(chunked(b"[]"))).status == 200


async def test_a_failing_handler_gives_its_memory_back(guarded, caplog):
    """What was held for the body is free again after an exception."""

    async def handler(request):
        raise LookupError("no shelf")

    async with guarded(handler) as front:
        assert (await (await front.client()).ask(post(b"{" * 1000))).status == 500
        assert front.guard._bodies.held == 0


async def test_a_client_that_leaves_during_its_body_never_reaches_the_handler(guarded):
    """Half a body is no push, however the connection ends."""
    async with guarded() as front:
        for wire in (post(b"<a/>" * 100)[:-1], chunked(b"<a/>" * 100)[:-1]):
            for leave in ("close", "half", "abort"):
                client = await front.client()
                await client.send(wire)
                await asyncio.sleep(0.01)
                if leave == "abort":
                    client.abort()
                elif leave == "half":
                    client.writer.write_eof()
                    assert await client.rest() == b""
                else:
                    await client.close()
        await settle(lambda: front.listener.connections == 0)
        assert (front.seen, front.refused, front.guard._bodies.held) == ([], [], 0)


async def test_a_client_that_leaves_during_the_handler_does_not_stop_it(guarded):
    """What is being stored is stored, even if nobody waits for the answer."""
    done = asyncio.Event()

    async def handler(request):
        await asyncio.sleep(0.05)
        done.set()
        return Response(200)

    async with guarded(handler) as front:
        client = await front.client()
        await client.send(post(b"{}"))
        await settle(lambda: front.listener.in_flight == 1)
        client.abort()
        await asyncio.wait_for(done.wait(), 5)
        await settle(lambda: front.listener.connections == 0)


async def test_the_answer_of_the_handler_goes_out_as_it_is(guarded):
    """Status, body, type and headers are the handler's; 204 has neither type nor length."""

    async def handler(request):
        if request.path == "/none":
            return Response(204)
        return Response(202, "наружу".encode(), "application/json", {"x-name": "väl"})

    async with guarded(handler) as front:
        client = await front.client()
        answer = await client.ask(post())
        assert (202, "наружу") == (answer.status, answer.body.decode())
        assert ("application/json", "väl") == (answer.headers["content-type"], answer.headers["x-name"])
        answer = await client.ask(post(path=b"/none"))
        assert (204, {"date"}) == (answer.status, set(answer.headers))
        assert (await client.ask(post())).status == 202


async def test_the_request_has_everything_that_a_source_may_use(guarded):
    """Method, path, query, headers, body and address arrive as the device sent them."""
    async with guarded() as front:
        client = await front.client()
        await client.send(
            b"PUT /up%20load?a=1%20b HTTP/1.1\r\nHost: gw\r\nContent-Type: text/xml\r\nContent-Length: 4\r\n\r\n<a/>"
        )
        assert (await client.answer()).status == 200
        seen = front.seen[0]
        assert ("PUT", "/up load", "a=1%20b", b"<a/>", "127.0.0.1") == (
            seen.method,
            seen.path,
            seen.query,
            seen.body,
            seen.address,
        )
        assert {"host": "gw", "content-type": "text/xml", "content-length": "4"} == seen.headers
