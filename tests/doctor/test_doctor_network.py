"""What `gateway doctor` finds about cable, address, way out, name server and port, each in a network of its own."""

import os
import socket
import subprocess
import sys

import pytest
from box_under_test import a_box, code_in_network, files, in_network, look, quiet, the
from keeping import settings

from gateway.doctor import network, ports
from gateway.doctor.sockets import listening, local_addresses
from gateway.outbox import Outbox
from gateway.simulate.ports import free_port

PAIR = "ip link add eth8 type veth peer name far8\nip addr add {} dev eth8\nip link set eth8 up\n"
# The kernel tells of the cable a moment later.
SEEN = "timeout 5 sh -c \"until ip -o link show eth8 | grep -q 'state UP'; do sleep 0.05; done\"\n"
BOTH = PAIR + "ip link set far8 up\n" + SEEN
UPSTREAM = '[sinks.up]\ntype = "https"\nendpoint = "https://{}/events"\n'
HOME = '[listen]\nhost = "127.0.0.1"\n'


def codes(rows):
    return [row["code"] for row in rows if row["code"]]


def test_a_box_without_an_address_is_found():
    """With nothing but itself no device can reach it."""
    assert "no cable" not in code_in_network("no_address", "", "address")["sentence"]
    up = "ip link add eth8 type veth peer name far8\nip link set eth8 up\nip link set far8 up\n" + SEEN
    assert "though a cable is connected" in code_in_network("no_address", up, "address")["sentence"]
    down = "ip link add eth8 type veth peer name far8\n"
    assert "no cable or radio" in code_in_network("no_address", down, "address")["sentence"]


def test_a_box_that_serves_only_itself_needs_no_address():
    """With listen.host on the box itself and no far end outside, no address is no fault."""
    assert [] == codes(in_network("", "address", HOME))
    code_in_network("no_address", "", "address", HOME + UPSTREAM.format("events.example"))


def test_an_address_that_stands_for_itself_is_well():
    """A fixed address on a connected cable is named, and nothing is said against it."""
    (row,) = in_network(BOTH.format("192.0.2.9/24"), "address")
    assert row["well"] and "192.0.2.9 (eth8)" in row["sentence"]


def test_a_pulled_cable_is_found():
    """An address on a link that nothing is connected to receives nothing."""
    assert "eth8" == code_in_network("link_down", PAIR.format("192.0.2.9/24"), "address")["subject"]


def test_a_link_beside_may_be_empty():
    """A second socket without a cable is no fault while the one with the way out has one."""
    other = BOTH.format("192.0.2.10/24").replace("8", "9")
    way = "ip route add default via 192.0.2.1 dev {}\n"
    both = PAIR.format("198.51.100.9/24") + other
    assert [] == codes(in_network(both, "address"))
    assert [] == codes(in_network(both + way.format("eth9"), "address"))


def test_an_address_from_dhcp_is_advice_and_no_fault():
    """An address that ends after a time was lent; it works today, so it is worth doing and not broken."""
    leased = BOTH.format("192.0.2.9/24 valid_lft 3600 preferred_lft 3600")
    row = code_in_network("address_dhcp", leased, "address")
    assert "192.0.2.9 (eth8)" in row["sentence"]
    assert row["advice"] and not row["well"]


def test_a_missing_way_out_is_found_where_one_is_needed():
    """A closed site needs no router, an upstream on the internet does."""
    closed = BOTH.format("192.0.2.9/24")
    for host in ("8.8.8.8", "events.vendor.com"):
        assert host in code_in_network("no_route", closed, "route", UPSTREAM.format(host))["sentence"]
    for host in ("192.168.1.9", "broker.lan", "127.0.0.1"):
        assert [] == codes(in_network(closed, "route", UPSTREAM.format(host)))
    out = closed + "ip route add default via 192.0.2.1\n"
    (row,) = in_network(out, "route", UPSTREAM.format("8.8.8.8"))
    assert row["well"] and "over eth8" in row["sentence"]


def test_a_missing_name_server_is_found_where_names_are_used(tmp_path):
    """Without a name server a far end that is written as a name cannot be found; an address can."""
    root = files(tmp_path / "root", {"etc/resolv.conf": "# nobody\nsearch lan\n"})
    named = UPSTREAM.format("events.vendor.com")
    found = the("resolver_missing", network.NAMES, a_box(tmp_path, named, root=root))
    assert "events.vendor.com" in found.sentence
    quiet(network.NAMES, a_box(tmp_path, UPSTREAM.format("192.168.1.9"), root=root))
    files(root, {"etc/resolv.conf": "nameserver 192.0.2.1\n"})
    assert "192.0.2.1" in quiet(network.NAMES, a_box(tmp_path, named, root=root))[0].sentence


def test_systemds_own_name_server_is_looked_behind(tmp_path):
    """The stub of systemd-resolved answers always; whom it asks is what counts."""
    stub = {"etc/resolv.conf": "nameserver 127.0.0.53\n", "run/systemd/resolve/resolv.conf": ""}
    root = files(tmp_path / "root", stub)
    the("resolver_missing", network.NAMES, a_box(tmp_path, UPSTREAM.format("events.vendor.com"), root=root))


# The port and the gateway itself


def a_box_on(port, folder):
    return a_box(folder, f"[listen]\nport = {port}\n")


def test_a_gateway_that_does_not_run_is_found(tmp_path):
    """Nobody has the store: it does not run, and its port is free for it."""
    box = a_box(tmp_path, f"[listen]\nport = {free_port()}\n")
    the("gateway_down", ports.DAEMON, box)
    (found,) = quiet(ports.CHECK, box)
    assert "free for the gateway" in found.sentence


@pytest.mark.anyio
async def test_a_gateway_that_hangs_is_found(tmp_path):
    """Somebody has the store and does not answer: it hangs. Who may not ask is told so instead."""
    outbox = await Outbox.open(settings(tmp_path / "store"))
    try:
        found = the("gateway_hangs", ports.DAEMON, a_box(tmp_path))
        assert str(os.getpid()) in found.sentence
        (found,) = look(ports.DAEMON, a_box(tmp_path, refused="Use sudo."))
        assert found.hindered and "Use sudo." in found.sentence
        (found,) = quiet(ports.DAEMON, a_box(tmp_path, told={"uptime_s": 3.0}))
        assert "up 3.0 s" in found.sentence
    finally:
        outbox.release()


def test_another_program_on_the_port_is_named(tmp_path):
    """Who has the port is said by name and number, so that it can be stopped."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    script = (
        "import socket, sys; port = socket.create_server(('0.0.0.0', int(sys.argv[1])));"
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        try:
            found = the("port_taken", ports.CHECK, a_box_on(port, tmp_path))
            assert f"(process {other.pid})" in found.sentence
        finally:
            other.communicate()


def inherited(folder, port, holders):
    """An invented /proc: the processes that hold the one socket on the port, each as a number and a name."""
    heads = "sl local_address rem_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode\n"
    row = f"   0: 00000000:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n"
    root = files(folder / "root", {"proc/self/net/tcp": heads + row})
    for number, name in holders.items():
        files(root, {f"proc/{number}/comm": f"{name}\n"})
        (root / f"proc/{number}/fd").mkdir()
        (root / f"proc/{number}/fd/3").symlink_to("socket:[4711]")
    return a_box(folder, f"[listen]\nport = {port}", root=root)


@pytest.mark.parametrize("name", ["gateway", "(gateway)"])
def test_a_gateway_that_starts_has_the_socket_of_systemd(tmp_path, name):
    """In a restart loop both hold it, and nobody took the gateway's port away."""
    (found,) = quiet(ports.CHECK, inherited(tmp_path, 8088, {1: "systemd", 4335: name}))
    assert "systemd has opened port 8088" in found.sentence


def test_another_program_with_a_socket_of_systemd_is_named(tmp_path):
    """What systemd opened for somebody else, as for a login by ssh, is not the gateway's port."""
    found = the("port_taken", ports.CHECK, inherited(tmp_path, 22, {1: "systemd", 512: "sshd"}))
    assert "sshd (process 512)" in found.sentence
    assert "systemctl edit gateway.socket" in found.action


@pytest.mark.anyio
async def test_a_gateway_without_its_port_is_found(tmp_path):
    """The gateway runs and nothing listens where the devices call."""
    outbox = await Outbox.open(settings(tmp_path / "store"))
    try:
        the("port_unreachable", ports.CHECK, a_box_on(free_port(), tmp_path))
    finally:
        outbox.release()


@pytest.mark.anyio
async def test_a_port_that_answers_at_the_address_is_well(tmp_path):
    """Our own listener on all addresses is called at the address that devices use; on loopback that is said."""
    outbox = await Outbox.open(settings(tmp_path / "store"))
    try:
        with socket.create_server(("0.0.0.0", 0)) as ours:
            (found,) = quiet(ports.CHECK, a_box_on(ours.getsockname()[1], tmp_path))
            assert "is open" in found.sentence
        with socket.create_server(("127.0.0.1", 0)) as ours:
            (found,) = quiet(ports.CHECK, a_box_on(ours.getsockname()[1], tmp_path))
            assert "only programs on this box" in found.sentence
    finally:
        outbox.release()


def test_listeners_are_read_from_the_kernels_table(tmp_path):
    """Addresses of both families are read as they are."""
    box = a_box(tmp_path)
    with (
        socket.create_server(("127.0.0.1", 0)) as four,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
    ):
        assert ["127.0.0.1"] == [ear.address for ear in listening(box, four.getsockname()[1])]
        assert ["::1"] == [ear.address for ear in listening(box, six.getsockname()[1])]


def test_the_addresses_of_the_box_leave_out_its_own(tmp_path):
    """Loopback and link-local addresses are of no use to a device."""
    trie = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 192.0.2.255\n        /32 link BROADCAST\n"
    for address in ("127.0.0.1", "192.0.2.9", "169.254.3.4"):
        trie += f"     |-- {address}\n        /32 host LOCAL\n"
    six = (
        "00000000000000000000000000000001 01 80 10 80 lo\n"
        "fe80000000000000000000fffe000001 02 40 20 80 eth0\n"
        "20010db8000000000000000000000002 02 40 00 80 eth0\n"
    )
    root = files(tmp_path / "root", {"proc/self/net/fib_trie": trie, "proc/self/net/if_inet6": six})
    assert ["192.0.2.9", "2001:db8::2"] == local_addresses(a_box(tmp_path, root=root))
