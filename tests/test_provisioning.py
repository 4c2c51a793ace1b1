"""What is said to a face terminal about its push setting, and what its answers are taken for."""

import asyncio
import contextlib
import socket
from functools import partial

import pytest

from gateway.errors import GatewayError
from gateway.provisioning import Subscription, Terminal, TerminalTrouble, own_address, port_answers, push_url
from gateway.simulate.terminal import Terminal as SimulatedTerminal
from gateway.simulate.terminal_api import Call, Manners, TerminalApi

pytestmark = pytest.mark.anyio
DEST = "http://127.0.0.1:9/Record"
SUBSCRIBE = "/v1/event/subscribe"


@contextlib.asynccontextmanager
async def terminal(**manners):
    api = TerminalApi(partial(SimulatedTerminal, serial="SPS-T1"), Manners(**manners))
    await api.start()
    try:
        yield api, Terminal(f"127.0.0.1:{api.port}", timeout_s=0.3 if api.manners.silent else 5)
    finally:
        await api.stop()


@contextlib.asynccontextmanager
async def answering(reply: bytes):
    """Something on a port that gives this reply to everything, and closes."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(OSError):
            writer.write(reply)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Terminal(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    finally:
        server.close()


def http(status: str, body: bytes, *more: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *more])
    return f"{head}\r\n\r\n".encode() + body


async def trouble(work) -> TerminalTrouble:
    with pytest.raises(TerminalTrouble) as caught:
        await work
    return caught.value


# The two calls


async def test_the_terminal_is_told_one_setting_and_nothing_else():
    """To subscribe is one POST of event_dest and enabled, to read it back is one GET; there is no third call."""
    async with terminal() as (api, device):
        await device.subscribe(DEST)
        assert Subscription(DEST, enabled=True) == await device.subscription()
        told = Call("POST", SUBSCRIBE, {"event_dest": DEST, "enabled": True})
        assert [told, Call("GET", SUBSCRIBE)] == api.calls
        assert (DEST, True) == (api.dest, api.enabled)


async def test_no_word_of_a_remote_authorisation_is_in_the_code():
    """The module that writes to terminals knows no setting that lets a server decide about a door."""
    import inspect

    from gateway.provisioning import route
    from gateway.provisioning import terminal as module

    text = inspect.getsource(module) + inspect.getsource(route)
    assert "remote_auth" not in text and "auth_mode" not in text
    assert 1 == text.count('"POST"')
    assert 2 == text.count('"GET"')


async def test_the_documented_empty_answer_says_nothing():
    """`data` null, as in the maker's own example, is neither the right address nor a wrong one."""
    async with terminal(tells=False) as (_, device):
        await device.subscribe(DEST)
        assert not (await device.subscription()).stated


async def test_the_sign_of_life_is_asked_for_by_itself():
    """A ping is one GET; firmware that has none says that there is no such thing."""
    async with terminal() as (api, device):
        await device.ping()
        assert [Call("GET", "/v2/datasync/ping")] == api.calls
        api.manners.pings = False
        assert "no_setting" == (await trouble(device.ping())).reason


@pytest.mark.parametrize(
    ("stated", "same"),
    [
        (Subscription("http://192.168.1.10:8088/Reocrd", enabled=True), True),  # any path is understood
        (Subscription("http://192.168.1.10:8088", enabled=None), True),
        (Subscription("http://192.168.1.10:8088/Record", enabled=False), False),
        (Subscription("http://192.168.1.11:8088/Record", enabled=True), False),
        (Subscription("https://192.168.1.10:8088/Record", enabled=True), False),
        (Subscription("http://192.168.1.10/Record", enabled=True), False),
        (Subscription("http://192.168.1.10:x/Record", enabled=True), False),
        (Subscription("", enabled=True), False),
    ],
)
def test_the_same_port_of_the_same_host_is_the_same_place(stated, same):
    """A terminal leads here by scheme, host and port; a push that is switched off leads nowhere."""
    assert same is stated.leads_to("http://192.168.1.10:8088/Record")


# What can be wrong


async def test_a_closed_port_a_login_a_refusal_and_silence_have_a_sentence_each():
    """Each way that a terminal does not take the setting is told apart, and nothing was written by it."""
    async with terminal(login=True) as (api, device):
        found = await trouble(device.subscribe(DEST))
        assert ("login", True) == (found.reason, "wants a login" in str(found))
        assert "" == api.dest
    assert "refused" == (await trouble(device.subscribe(DEST))).reason
    async with terminal(code=5001) as (_, device):
        found = await trouble(device.subscribe(DEST))
        assert ("answer", True) == (found.reason, "code 5001, failed" in str(found))
    async with terminal(silent=True) as (_, device):
        found = await trouble(device.subscribe(DEST))
        assert ("timeout", True) == (found.reason, "did not answer within 0.3 s" in str(found))


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"", "broken"),
        (b"220 mail.example ready\r\n", "broken"),
        (http("404 Not Found", b"nothing"), "no_setting"),
        (http("403 Forbidden", b""), "login"),
        (http("200 OK", b'{"code": 401, "msg": "token"}'), "login"),
        (http("200 OK", b"<html>a camera</html>"), "answer"),
        (http("200 OK", b"[]"), "answer"),
        (http("302 Found", b"", "Location: http://127.0.0.1:1/v1/event/subscribe"), "answer"),
        (http("500 Oops", b'{"code": 200}'), "answer"),
        (http("200 OK", b'{"code": 200, "data": ' + b" " * 200_000 + b"null}"), "answer"),
        (http("200 OK", b"[" * 60_000), "answer"),
        (http("200 OK", b'{"code": 200, "data": ' + b'{"a":' * 12_000), "answer"),
        (http("200 OK", b'{"code": 7, "msg": "\\u001b[2J\\r\\nforged line"}'), "answer"),
    ],
)
async def test_what_is_no_terminal_is_found_out(reply, reason):
    """Another server, a redirect, an answer without end and an escape sequence are no success and do no harm."""
    async with answering(reply) as device:
        found = await trouble(device.subscribe(DEST))
        assert reason == found.reason
        assert all(char.isprintable() for char in str(found))


@pytest.mark.parametrize(
    "address",
    ["", "ftp://h", "http://", "http://h:0", "http://h:99999", "http://u:p@h", "[20[::1]:80", "http://[::1"],
)
def test_what_is_no_address_of_a_terminal_is_refused(address):
    """A wrong address is said before anything is sent."""
    with pytest.raises(GatewayError, match="no address of a terminal"):
        Terminal(address)


# Where we are


def test_our_address_is_the_one_on_the_way_to_the_device():
    """The loopback is reached from the loopback, and a name that does not exist is said."""
    assert ("127.0.0.1", "127.0.0.1") == own_address("127.0.0.1", 80)
    with pytest.raises(GatewayError, match="no name that this box can resolve"):
        own_address("terminal.invalid", 80)


def test_an_address_without_a_route_has_a_sentence(monkeypatch):
    """A network that this box does not reach is said with what to check."""

    def connect(*_):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(
        GatewayError, match=r"no route to 192.0.2.7 .Network is unreachable.: check its cable"
    ):
        own_address("192.0.2.7")


def test_a_port_that_nobody_listens_on_is_said():
    """The address of the gateway is tried before a terminal is told of it."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        assert None is port_answers("127.0.0.1", port)
    assert "check listen.host" in port_answers("127.0.0.1", port)


def test_a_url_has_brackets_around_ipv6_only():
    """The URL that is told to a device is one that it can use."""
    assert "http://192.168.1.10:8088/Record" == push_url("192.168.1.10", 8088, "/Record")
    assert "http://[fd00::1]:8088/Record" == push_url("fd00::1", 8088, "/Record")
