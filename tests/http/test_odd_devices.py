"""What devices send that no HTTP library would, byte by byte on a real socket."""

import asyncio
import re

import pytest
from rawclient import chunked, post, settle

from gateway.guard import Response

pytestmark = pytest.mark.anyio


async def test_the_reason_phrase_is_on_the_status_line(guarded):
    """Old clients look for a word behind the number, in every kind of answer."""

    async def handler(request):
        return Response(int(request.path[1:]))

    async with guarded(handler) as front:
        client = await front.client()
        assert (await client.ask(post(path=b"/200"))).status_line == b"HTTP/1.1 200 OK"
        assert (await client.ask(post(path=b"/204"))).status_line == b"HTTP/1.1 204 No Content"
        assert (await client.ask(post(path=b"/503"))).status_line == b"HTTP/1.1 503 Service Unavailable"
        assert (await client.ask(post(path=b"/299"))).status_line == b"HTTP/1.1 299 Unknown"
        assert (await client.ask(b"nonsense\r\n\r\n")).status_line == b"HTTP/1.1 400 Bad Request"


async def test_head_and_body_of_an_answer_come_in_one_segment(guarded):
    """A device that reads once gets the whole answer."""
    async with guarded() as front:
        client = await front.client()
        await client.send(post(b"{}"))
        once = await client.reader.read(65536)
        assert once.startswith(b"HTTP/1.1 200 OK\r\n") and once.endswith(b"\r\n\r\nseen")


async def test_header_names_are_written_as_everybody_writes_them(guarded):
    """Some devices look for Content-Length letter by letter."""
    async with guarded() as front:
        client = await front.client()
        await client.send(post(b"{}"))
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b"\r\nContent-Type: text/plain\r\nContent-Length: 4\r\nDate: " in head


async def test_the_answer_has_a_date_and_does_not_name_the_server(guarded):
    """The date is one that HTTP allows, and nothing tells which software this is."""
    async with guarded() as front:
        answer = await (await front.client()).ask(post())
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer.headers["date"])
        assert "server" not in answer.headers


async def test_an_upgrade_to_http2_is_ignored(guarded):
    """An h2c upgrade without a body gets an ordinary HTTP/1.1 answer, and the connection goes on."""
    async with guarded() as front:
        client = await front.client()
        head = b"GET / HTTP/1.1\r\nHost: gw\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        answer = await client.ask(head + b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
        assert answer.status_line == b"HTTP/1.1 200 OK"
        assert (await client.ask(post())).status == 200


async def test_a_websocket_upgrade_is_an_ordinary_request(guarded):
    """There is no WebSocket: the request is answered like any other GET."""
    async with guarded() as front:
        client = await front.client()
        head = b"GET / HTTP/1.1\r\nHost: gw\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        head += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        assert (await client.ask(head)).status == 200
        assert (await client.ask(post())).status == 200


async def test_the_http2_preface_is_refused(guarded):
    """Cleartext HTTP/2 gets 505 in HTTP/1.1 and no byte of HTTP/2."""
    async with guarded() as front:
        client = await front.client()
        await client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        assert (await client.answer()).status == 505
        assert await client.rest() == b""
        assert front.told == [("127.0.0.1", "http_version")]
        assert front.seen == []


async def test_connect_is_refused(guarded):
    """The gateway is no proxy."""
    async with guarded() as front:
        client = await front.client()
        assert (await client.ask(b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n")).status == 501


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/e", "/e", ""),
        (b"//e", "/e", ""),
        (b"/a//b///c", "/a/b/c", ""),
        (b"e", "/e", ""),
        (b"http://gw/e", "/e", ""),
        (b"HTTP://gw:8080/e?x=1", "/e", "x=1"),
        (b"http://gw//e", "/e", ""),
        (b"http://gw", "/", ""),
        (b"http://gw?x=1", "/", "x=1"),
        (b"/e?a=1&b=//", "/e", "a=1&b=//"),
        (b"/%E5%AE%A2%E6%B5%81", "/客流", ""),
        ("/客流".encode(), "/客流", ""),
        ("/客流".encode("gb18030"), "/\ufffd\ufffd\ufffd\ufffd", ""),
        (b"/%B2%E2", "/\ufffd\ufffd", ""),
        (b"/a%00%0d%0ab", "/a\ufffd\ufffd\ufffdb", ""),
        (b"/a%2Fb", "/a/b", ""),
        (b"/%", "/%", ""),
    ],
)
async def test_any_spelling_of_the_path_arrives_as_one_path(guarded, target, path, query):
    """What installers and devices make of the path ends as one printable path with one slash in front."""
    async with guarded() as front:
        client = await front.client()
        assert (await client.ask(post(path=target))).status == 200
        assert (await client.ask(post())).status == 200
        assert (path, query) == (front.seen[0].path, front.seen[0].query)


async def test_line_breaks_before_a_request_are_skipped(guarded):
    """A stray CRLF in front of the first request does no harm."""
    async with guarded() as front:
        client = await front.client()
        assert (await client.ask(b"\r\n\r\n" + post(b"{}"))).status == 200
        assert [b"{}"] == [request.body for request in front.seen]


@pytest.mark.parametrize("cut", ["none", "after the body", "inside the break", "after the break"])
async def test_a_line_break_after_a_body_does_not_cost_the_next_request(guarded, cut):
    """Old clients end a body with a CRLF that Content-Length does not count, in whatever segments."""
    first, second = post(b"<one/>"), post(b"<two/>")
    parts = {
        "none": [first + b"\r\n" + second],
        "after the body": [first, b"\r\n" + second],
        "inside the break": [first + b"\r", b"\n" + second],
        "after the break": [first + b"\r\n", second],
    }[cut]
    async with guarded() as front:
        client = await front.client()
        for part in parts:
            await client.send(part)
            await asyncio.sleep(0.02)
        assert [200, 200] == [(await client.answer()).status, (await client.answer()).status]
        assert [b"<one/>", b"<two/>"] == [request.body for request in front.seen]


async def test_a_line_break_after_a_chunked_body_does_not_cost_the_next_request(guarded):
    """The same for a chunked body."""
    async with guarded() as front:
        client = await front.client()
        await client.send(chunked(b"<one/>") + b"\r\n" + post(b"<two/>"))
        assert [200, 200] == [(await client.answer()).status, (await client.answer()).status]
        assert [b"<one/>", b"<two/>"] == [request.body for request in front.seen]


async def test_lines_may_end_in_a_bare_line_feed(guarded):
    """A device that forgets the carriage returns is understood."""
    async with guarded() as front:
        client = await front.client()
        assert (await client.ask(b"POST /e HTTP/1.1\nHost: gw\nContent-Length: 2\n\n{}")).status == 200
        assert (await client.ask(post(b"[]"))).status == 200
        assert [b"{}", b"[]"] == [request.body for request in front.seen]


async def test_http_1_0_with_a_length_is_served_and_closed(guarded):
    """An HTTP/1.0 device gets its answer, is told that the connection ends, and it ends."""
    async with guarded() as front:
        client = await front.client()
        answer = await client.ask(b"POST /e HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")
        assert (200, "close") == (answer.status, answer.headers["connection"])
        assert await client.rest() == b""


@pytest.mark.parametrize("rest", [b"", b"X-Host: other\r\n", b"Content-Type: text/xml\r\n"])
async def test_a_missing_host_is_forgiven(guarded, rest):
    """HTTP/1.1 without Host is served: there is only one host here."""
    async with guarded() as front:
        client = await front.client()
        for body in (b"{}", b"[]", b"<>"):
            head = b"POST /e HTTP/1.1\r\n" + rest + b"Content-Length: 2\r\n\r\n"
            assert (await client.ask(head + body)).status == 200
        assert [b"{}", b"[]", b"<>"] == [request.body for request in front.seen]


async def test_a_missing_host_in_bare_line_feeds_and_pieces_is_forgiven(guarded):
    """Mending works on a head that came in pieces, and the body behind it is not touched."""
    async with guarded() as front:
        client = await front.client()
        for piece in (b"PO", b"ST /\xe5\xae", b"\xa2 HTTP/1.1\nContent-Le", b"ngth: 7\n\nhost:", b"\n1"):
            await client.send(piece)
            await asyncio.sleep(0.01)
        assert (await client.answer()).status == 200
        assert ("/客", b"host:\n1") == (front.seen[0].path, front.seen[0].body)


async def test_two_hosts_are_refused(guarded):
    """Mending stops where it would have to choose."""
    async with guarded() as front:
        client = await front.client()
        assert (await client.ask(b"POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")).status == 400


async def test_pipelined_requests_are_answered_in_order(guarded):
    """Three requests in one segment get three answers in their order, even if the first takes longest."""

    async def handler(request):
        await asyncio.sleep(0.05 if request.path == "/1" else 0)
        return Response(200, request.path.encode())

    async with guarded(handler) as front:
        client = await front.client()
        await client.send(b"".join(post(b"{}", path=path) for path in (b"/1", b"/2", b"/3")))
        assert [b"/1", b"/2", b"/3"] == [(await client.answer()).body for _ in range(3)]


async def test_pipelined_chunked_and_counted_bodies_do_not_mix(guarded):
    """Each body ends where its own framing says."""
    async with guarded() as front:
        client = await front.client()
        await client.send(chunked(b"<a>", b"</a>") + post(b"{}") + chunked(b"[]") + post(b""))
        assert [200] * 4 == [(await client.answer()).status for _ in range(4)]
        assert [b"<a></a>", b"{}", b"[]", b""] == [request.body for request in front.seen]


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        b"Content-Length: 4\r\nContent-Length: 5\r\n",
        b"Content-Length: 4, 5\r\n",
        b"Content-Length: -4\r\n",
        b"Content-Length: +4\r\n",
        b"Content-Length: 0x4\r\n",
        b"Content-Length : 4\r\n",
        b"Content-Length: 4\r\n Transfer-Encoding: chunked\r\nX\r\n",
    ],
)
async def test_a_doubtful_length_is_refused_and_the_connection_ends(guarded, framing):
    """Two opinions about the end of a body never let its rest pass as a request of its own."""
    async with guarded() as front:
        client = await front.client()
        await client.send(
            b"POST /a HTTP/1.1\r\nHost: gw\r\n"
            + framing
            + b"\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: gw\r\n\r\n"
        )
        answer = await client.answer()
        assert (400, "close") == (answer.status, answer.headers["connection"])
        assert await client.rest() == b""
        assert front.seen == []
        assert front.told == [("127.0.0.1", "bad_request")]


async def test_an_unknown_transfer_encoding_is_refused(guarded):
    """Only chunked is understood."""
    async with guarded() as front:
        client = await front.client()
        answer = await client.ask(b"POST /a HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: gzip\r\n\r\n")
        assert answer.status == 501


async def test_equal_lengths_stated_twice_are_served(guarded):
    """The same length twice is one opinion."""
    async with guarded() as front:
        client = await front.client()
        head = b"POST /a HTTP/1.1\r\nHost: gw\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n"
        assert (await client.ask(head + b"{}")).status == 200
        assert [b"{}"] == [request.body for request in front.seen]


@pytest.mark.parametrize(
    "garbage", [b"G\x01T / HTTP/1.1\r\n\r\n", b"/push\r\n\r\n", b"POST / HTTP/9\r\n\r\n", b"\0\0"]
)
async def test_garbage_gets_400_and_the_listener_lives_on(guarded, garbage):
    """What is no request is refused with an answer."""
    async with guarded() as front:
        client = await front.client()
        assert (await client.ask(garbage)).status == 400
        assert await client.rest() == b""
        assert (await (await front.client()).ask(post())).status == 200


async def test_tls_on_a_plain_port_is_refused(guarded):
    """A device that was told https on the http port is closed at once, and it is counted."""
    async with guarded() as front:
        client = await front.client()
        await client.send(b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03" + bytes(range(200)))
        assert (await client.rest()).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert front.told == [("127.0.0.1", "tls_on_plain_port")]


async def test_a_chunked_body_in_small_pieces_with_extensions_and_trailers_arrives(guarded):
    """Chunk sizes, extensions and trailers may be cut anywhere."""
    wire = b"POST / HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire += b"3;name=x\r\n<a>\r\n4\r\n</a>\r\n0\r\nX-Sum: 1\r\n\r\n"
    async with guarded() as front:
        client = await front.client()
        for place in range(len(wire)):
            await client.send(wire[place : place + 1])
            if place % 8 == 0:
                await asyncio.sleep(0.001)
        assert (await client.answer()).status == 200
        assert [b"<a></a>"] == [request.body for request in front.seen]
        assert (await client.ask(post())).status == 200


async def test_a_broken_chunk_is_refused(guarded):
    """A chunk without a size gets 400 and no handler."""
    async with guarded() as front:
        client = await front.client()
        answer = await client.ask(
            b"POST / HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"
        )
        assert answer.status == 400
        assert front.seen == []


async def test_a_client_that_closes_its_side_after_the_request_gets_its_answer(guarded):
    """Half-closing is how some scripts say that they are done."""

    async def handler(request):
        await asyncio.sleep(0.02)
        return Response(200, b"late")

    async with guarded(handler) as front:
        client = await front.client()
        await client.send(post(b"{}"))
        client.writer.write_eof()
        assert (await client.answer()).body == b"late"
        assert await client.rest() == b""


async def test_header_values_may_hold_any_text(guarded):
    """GBK in a header value and a header that comes twice reach the handler as text."""
    async with guarded() as front:
        client = await front.client()
        extra = b"X-Name: " + "客流".encode("gbk") + b"\r\nX-Two: a\r\nx-two: b\r\n"
        assert (await client.ask(post(extra=extra))).status == 200
        assert "客流" == front.seen[0].headers["x-name"].encode("latin-1").decode("gbk")
        assert front.seen[0].headers["x-two"] == "a, b"


async def test_a_form_content_type_does_not_touch_the_body(guarded):
    """Some devices declare a form and send JSON."""
    async with guarded() as front:
        client = await front.client()
        extra = b"Content-Type: application/x-www-form-urlencoded\r\n"
        assert (await client.ask(post(b'{"a": "%41+b"}', extra=extra))).status == 200
        assert front.seen[0].body == b'{"a": "%41+b"}'


async def test_connection_close_is_honoured(guarded):
    """A client that asks for the end gets it, and the answer says so."""
    async with guarded() as front:
        client = await front.client()
        answer = await client.ask(post(extra=b"Connection: Close\r\n"))
        assert (200, "close") == (answer.status, answer.headers["connection"])
        assert await client.rest() == b""


async def test_a_request_behind_the_last_one_is_not_served(guarded):
    """What follows a request that asked for the end is thrown away, and the answer is still readable."""
    async with guarded() as front:
        client = await front.client()
        await client.send(post(b"{}", extra=b"Connection: close\r\n") + post(b"[]"))
        assert (await client.answer()).status == 200
        assert await client.rest() == b""
        assert len(front.seen) == 1


async def test_head_gets_the_headers_and_no_body(guarded):
    """HEAD is answered like GET without the body, and the connection stays in step."""
    async with guarded() as front:
        client = await front.client()
        await client.send(b"HEAD / HTTP/1.1\r\nHost: gw\r\n\r\n")
        assert (await client.answer(to_head=True)).headers["content-length"] == "4"
        assert (await client.ask(post())).body == b"seen"


async def test_expect_100_continue_is_answered_before_the_body(guarded):
    """A client that asks first is told to go on, and then served."""
    async with guarded() as front:
        client = await front.client()
        head = b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        await client.send(head)
        assert (await client.answer()).status_line == b"HTTP/1.1 100 Continue"
        assert (await client.ask(b"{}")).status == 200
        assert (await client.ask(head + b"[]")).status == 200  # it did not wait: nothing to go on with


async def test_a_mended_head_that_comes_again_gets_a_framed_answer(listening):
    """What h11 is shown late is the mended head, not the device's."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    async with listening(app) as front:
        client = await front.client()
        for _ in range(3):
            answer = await client.ask("POST /客流 HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}".encode())
            assert "/客流" == answer.body.decode()


async def test_counted_answers_are_the_same_as_those_of_h11(listening):
    """The short cut for answers of declared length says what h11 would have said."""

    async def app(scope, receive, send):
        headers = [(b"content-type", b"text/plain"), (b"x-one", b"1"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    async with listening(app) as front:
        client = await front.client()
        answer = await client.ask(post())
        assert (b"HTTP/1.1 200 OK", b"ok") == (answer.status_line, answer.body)
        assert ["content-type", "x-one", "content-length", "date"] == list(answer.headers)
        await settle(lambda: front.listener.in_flight == 0)
