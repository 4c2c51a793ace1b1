"""What the doctor says of names: the servers that are asked, and addresses that cannot be meant."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from far_end_site import beside, codes, look, upstream

from gateway.config import Config
from gateway.doctor import names, way
from gateway.doctor.box import Box
from gateway.simulate.ports import free_port


@pytest.fixture
def box(tmp_path):
    """Give a function that makes a box with such files of the system."""

    def make(resolv: str | None = None, hosts: str = "127.0.0.1 localhost\n") -> Box:
        etc = tmp_path / "root" / "etc"
        etc.mkdir(parents=True, exist_ok=True)
        (etc / "hosts").write_text(hosts)
        if resolv is not None:
            (etc / "resolv.conf").write_text(resolv)
        return Box(Config(), root=etc.parent)

    return make


@contextmanager
def name_server() -> Iterator[tuple[int, list[bytes]]]:
    """A name server that says of every name that there is none; give its port and what it was asked."""
    asked: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)

        def serve() -> None:
            query, sender = sock.recvfrom(512)
            asked.append(query)
            sock.sendto(query[:2] + struct.pack("!5H", 0x8183, 1, 0, 0, 0) + query[12:], sender)

        with beside(serve):
            yield sock.getsockname()[1], asked


def test_a_server_that_answers_is_well(box):
    """A name server that answers anything is well, and it was asked for the name of the far end."""
    with name_server() as (port, asked):
        (finding,) = names.look(box("nameserver 127.0.0.1\n"), ["events.example"], port=port)
    assert finding.well
    assert finding.known
    assert b"\x06events\x07example\0" in asked[0]


def test_a_server_that_is_silent(box):
    """A name server that does not answer is resolver_silent, with its address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        found = list(names.look(box("nameserver 127.0.0.1\n"), ["a.example"], port=silent.getsockname()[1]))
    assert {"resolver_silent"} == codes(found)
    assert "127.0.0.1" in found[0].sentence


def test_a_server_that_does_not_run(box):
    """Where nothing listens the code is the same."""
    found = list(names.look(box("nameserver 127.0.0.1\n"), ["a.example"], port=free_port()))
    assert {"resolver_silent"} == codes(found)


def test_addresses_need_no_server(box):
    """Where every far end is an address nobody is asked, whoever is configured."""
    (finding,) = names.look(
        box("nameserver 127.0.0.1\n"), ["192.0.2.1", "::1", "localhost"], port=free_port()
    )
    assert finding.well


def test_a_file_that_cannot_be_read_is_said(box):
    """Without resolv.conf it cannot be told who is asked."""
    (finding,) = names.look(box(), ["a.example"])
    assert finding.well
    assert not finding.known


def test_a_name_in_the_file_of_hosts_needs_nobody(box):
    """A name that is written into the box is neither looked up at a server nor called filtered."""
    known = box("", "127.0.1.1 broker broker.lan\n")
    assert set() == codes(list(names.look(known, ["broker.lan"])))
    assert [] == list(names.judged(known, "sink b", "b", "broker.lan", ["127.0.1.1"]))


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "::", "::1"])
def test_a_name_that_a_filter_swallows(box, address):
    """A name that leads to the box itself is name_filtered."""
    assert "name_filtered" in codes(list(names.judged(box(), "sink u", "u", "events.example", [address])))


def test_ipv6_without_a_way(box):
    """Only IPv6 addresses to which there is no way are name_ipv6_only; with an IPv4 address beside them it is well."""
    nowhere = "fe80::1"  # without the name of a link there is no way to it on any box
    assert {"name_ipv6_only"} == codes(list(names.judged(box(), "sink u", "u", "events.example", [nowhere])))
    both = [nowhere, "192.0.2.1"]
    assert [] == list(names.judged(box(), "sink u", "u", "events.example", both))


def test_the_way_tells_of_a_filter(tmp_path, monkeypatch):
    """A far end whose name leads to this box is told of beside what becomes of the connection."""
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _host, *how, **more: real("127.0.0.1", *how, **more))
    findings = look(tmp_path, upstream(f"https://events.example:{free_port()}/"), box_root=Path("/nowhere"))
    assert {"name_filtered", "https_refused"} == codes(findings)


def test_a_name_server_that_hangs_costs_its_limit(tmp_path, monkeypatch):
    """A lookup that never comes back is given up, and is the fault of the name."""
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: over.wait(60) and [])
    findings = look(tmp_path, upstream("https://events.example/"), box_root=Path("/nowhere"), hurried=True)
    over.set()
    assert {"https_name"} == codes(findings)


def test_every_code_of_the_way_is_tried():
    """What the way itself can find is tried here and beside the brokers."""
    assert {"certificate_clock", "certificate_expires", "name_filtered", "name_ipv6_only"} == way.CODES
    assert {"resolver_silent"} == names.CODES
