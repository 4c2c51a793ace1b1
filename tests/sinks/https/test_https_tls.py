"""Who may be trusted with the events, and what is said when somebody may not."""

import asyncio
import os
import socket
import ssl
from tempfile import NamedTemporaryFile

import anyio
import anyio.to_thread
import pytest

from gateway.errors import SinkUnavailable

pytestmark = pytest.mark.anyio


async def fault_of(sink, events):
    with pytest.raises(SinkUnavailable) as caught:
        await sink.send(events)
    assert 0 == caught.value.delivered
    return caught.value


def client_context(authority, *, certificate: bool) -> ssl.SSLContext:
    """Give a client's side: trust in this CA, and a certificate of it when asked for."""
    context = ssl.create_default_context()
    authority.ca.configure_trust(context)
    if certificate:
        with NamedTemporaryFile(suffix=".pem") as file:
            authority.ca.issue_cert("gateway.test").private_key_and_cert_chain_pem.write_to_path(file.name)
            context.load_cert_chain(file.name)
    return context


async def test_an_own_ca_is_trusted(receiver, build_sink, make_events):
    """With the receiver's CA file the events arrive."""
    assert {} == await build_sink(receiver).send(make_events(1))
    assert 1 == receiver.ledger.unique


@pytest.mark.parametrize("tls", [None, ssl.create_default_context()])
async def test_an_unknown_ca_is_not_trusted(receiver, build_sink, make_events, tls):
    """With the system's CAs alone a receiver with its own CA gets nothing, and the sentence says why."""
    error = await fault_of(build_sink(receiver, tls=tls), make_events(1))
    assert "https_tls" == error.fault
    assert "an authority (CA) that this box does not know" in str(error)
    assert "ask its operator for the CA file, and set `ca_file`" in str(error)
    assert 0 == receiver.requests


async def test_an_expired_certificate_is_not_trusted(start_receiver, build_sink, make_events):
    """An expired certificate is named as such, with the clock as the other suspect."""
    receiver = start_receiver(expired=True)
    error = await fault_of(build_sink(receiver), make_events(1))
    assert "https_tls" == error.fault
    assert "expired" in str(error)
    assert "clock" in str(error)
    assert 0 == receiver.requests


@pytest.mark.parametrize(
    ("host", "words"), [("127.0.0.1", "another address"), ("localhost", "another host name")]
)
async def test_a_certificate_for_another_host_is_not_trusted(
    start_receiver, build_sink, make_events, host, words
):
    """A good certificate of somebody else is no good."""
    receiver = start_receiver(names=("upstream.example",))
    endpoint = f"https://{host}:{receiver.port}/events"
    error = await fault_of(build_sink(receiver, endpoint=endpoint), make_events(1))
    assert "https_tls" == error.fault
    assert words in str(error)
    assert 0 == receiver.requests


async def test_a_client_certificate_opens_the_door(start_receiver, build_sink, make_events):
    """Mutual TLS works with a certificate that the receiver's CA issued."""
    receiver = start_receiver(ask_client=True)
    sink = build_sink(receiver, tls=client_context(receiver.authority, certificate=True))
    assert {} == await sink.send(make_events(1))
    assert 1 == receiver.ledger.unique


@pytest.mark.parametrize("foreign", [True, False])
@pytest.mark.parametrize(
    ("version", "faults"),
    [
        (ssl.TLSVersion.TLSv1_2, {"https_tls"}),
        # In 1.3 the receiver objects after the handshake; its alert may be lost when it resets the connection.
        (ssl.TLSVersion.TLSv1_3, {"https_tls", "https_broken"}),
    ],
)
async def test_a_missing_or_foreign_client_certificate_is_named(
    start_receiver, build_sink, make_events, version, faults, foreign
):
    """A receiver that does not know our certificate, or misses one, gets nothing, and the sentence says so."""
    receiver, other = start_receiver(ask_client=True), start_receiver()
    context = client_context(other.authority, certificate=foreign)
    context.load_verify_locations(receiver.ca_file)
    context.minimum_version = context.maximum_version = version
    error = await fault_of(build_sink(receiver, tls=context), make_events(1))
    assert error.fault in faults
    assert "client certificate" in str(error)
    assert 0 == receiver.requests


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_an_alert_about_our_certificate_is_understood(start_receiver, build_sink, make_events, version):
    """A server that says why it objects is quoted, also when it does so after the handshake."""
    authority = start_receiver().authority
    server = authority.server_context(("127.0.0.1",), expired=False, ask_client=True)

    def object_and_stay(listener):
        connection, _ = listener.accept()
        with server.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as secure:
            with pytest.raises(ssl.SSLError):
                secure.do_handshake()
            while os.read(secure.fileno(), 65536):
                pass  # until the client closes: a reset could overtake the alert

    context = client_context(authority, certificate=False)
    context.minimum_version = context.maximum_version = version
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sink = build_sink(
            start_receiver(), tls=context, endpoint=f"https://127.0.0.1:{listener.getsockname()[1]}/"
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, object_and_stay, listener)
            error = await fault_of(sink, make_events(1))
    assert "https_tls" == error.fault
    assert "does not accept our client certificate, or wants one" in str(error)


async def test_a_port_without_tls_is_named(receiver, build_sink, make_events):
    """https to a plain HTTP server is told apart from a bad certificate."""

    async def answer(reader, writer):
        await reader.read(1000)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as plain:
        port = plain.sockets[0].getsockname()[1]
        sink = build_sink(receiver, endpoint=f"https://127.0.0.1:{port}/events")
        error = await fault_of(sink, make_events(1))
    assert "https_tls" == error.fault
    assert "does not speak TLS" in str(error)


async def test_plain_http_to_a_tls_port_waits(receiver, build_sink, make_events):
    """http to a TLS server is a fault, and nothing is refused."""
    sink = build_sink(receiver, endpoint=f"http://127.0.0.1:{receiver.port}/events")
    assert "https_broken" == (await fault_of(sink, make_events(1))).fault
