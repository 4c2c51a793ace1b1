"""The way to a far end, step by step: its name, a connection, TLS. What answers there is the matter of others.

It blocks, and nothing of it can hang for longer than its limit: a name is looked up in a thread that is left alone.
"""

import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass, field

from gateway import clock
from gateway.doctor import certificates
from gateway.doctor.certificates import Certificate

NAME_S, TCP_S, TLS_S = 2.5, 2.0, 2.5
_MOST_ADDRESSES = 4


@dataclass(slots=True)
class Walk:
    """How far it went."""

    addresses: list[str] = field(default_factory=list)
    name_s: float = 0.0
    connected: str = ""  # the address that took the connection
    connect_s: float = 0.0
    certificate: Certificate | None = None
    tls: str = ""  # version, when it stands
    failed: str = ""  # the step: "name", "TCP", "TLS"
    error: Exception | None = None


def walk(host: str, port: int, tls: ssl.SSLContext | None) -> Walk:
    """Go as far as it goes."""
    way = Walk()
    step = "name"
    try:
        began = clock.steady()
        way.addresses = resolve(host, port, NAME_S)
        way.name_s = clock.steady() - began
        step, began = "TCP", clock.steady()
        sock = _connected(way, port)
        way.connect_s = clock.steady() - began
        step = "TLS"
        with contextlib.closing(sock):
            if tls is not None:
                _secured(way, sock, host, tls)
    except (OSError, ValueError) as error:
        way.failed, way.error = step, error
        if step == "TLS" and isinstance(error, ssl.SSLCertVerificationError):
            way.certificate = _refused_certificate(way.connected, port, host)
    return way


def resolve(host: str, port: int, limit_s: float) -> list[str]:
    """Look a name up as every program of this box does; raises `OSError`, also when that takes too long."""
    found: list[str] = []
    wrong: list[Exception] = []

    def look() -> None:
        try:
            for *_, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                found.append(str(place[0]))
        except (OSError, UnicodeError) as error:
            wrong.append(error)

    looking = threading.Thread(target=look, name="doctor name", daemon=True)
    looking.start()
    looking.join(limit_s)
    if wrong:
        raise wrong[0]
    if looking.is_alive() or not found:
        raise socket.gaierror(socket.EAI_AGAIN, f"no answer within {limit_s:g} s")
    return list(dict.fromkeys(found))


def _connected(way: Walk, port: int) -> socket.socket:
    """Try one address after the other, as the sinks do; the limit is for all of them."""
    end, last = clock.steady() + TCP_S, OSError("no address")
    for address in way.addresses[:_MOST_ADDRESSES]:
        left = end - clock.steady()
        if left <= 0:
            raise TimeoutError("timed out") from last
        try:
            sock = socket.create_connection((address, port), left)
        except OSError as error:
            last = error
            continue
        way.connected = address
        return sock
    raise last


def _secured(way: Walk, sock: socket.socket, host: str, tls: ssl.SSLContext) -> None:
    sock.settimeout(TLS_S)
    with tls.wrap_socket(sock, server_hostname=host) as secure:
        way.tls = secure.version() or "TLS"
        way.certificate = certificates.read(secure.getpeercert(binary_form=True) or b"")


def _refused_certificate(address: str, port: int, host: str) -> Certificate | None:
    """Look at a certificate that was not trusted; nothing is sent to who shows it."""
    looking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    looking.check_hostname = False
    looking.verify_mode = ssl.CERT_NONE
    with contextlib.suppress(OSError, ValueError), socket.create_connection((address, port), TCP_S) as sock:
        sock.settimeout(TLS_S)
        with looking.wrap_socket(sock, server_hostname=host) as secure:
            return certificates.read(secure.getpeercert(binary_form=True) or b"")
    return None
