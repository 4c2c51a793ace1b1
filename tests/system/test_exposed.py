"""What docs/security.md says of ports and files: nothing else listens, and no file is open to others."""

import os
import re
import socket
import stat
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from site_under_test import SMALL_SITE, Daemon

from gateway.simulate.ports import free_port

CONFIG = (
    SMALL_SITE
    + """
[gateway]
id = "gw-test"
[pictures]
keep = true
[sinks.home]
type = "mqtt"
endpoint = "mqtt://127.0.0.1:{closed}"
{callbacks}
"""
)
CALLBACKS = '[callbacks]\nenabled = true\nport = {port}\nsecret_file = "{directory}/header"\n'
FIXTURES = Path(__file__).parent.parent / "fixtures"
_LISTENS = "0A"  # of a line in /proc/net/tcp


@pytest.fixture(params=[False, True], ids=["devices only", "with callbacks"])
def exposed(tmp_path, request):
    """A daemon that has taken pushes and kept a letter, and the ports that it may have."""
    ports = {"devices": free_port()}
    callbacks = ""
    if request.param:
        ports["callbacks"] = free_port()
        header = tmp_path / "header"
        header.write_text("token 0123456789abcdef0123456789abcdef\n")
        header.chmod(0o600)
        callbacks = CALLBACKS.format(port=ports["callbacks"], directory=tmp_path)
    config = tmp_path / "gateway.toml"
    config.write_text(
        CONFIG.format(directory=tmp_path, port=ports["devices"], closed=free_port(), callbacks=callbacks)
    )
    daemon = Daemon(tmp_path, config, ports["devices"])
    daemon.start()
    bodies = [(FIXTURES / "people_counter/brickstream_v5/body").read_bytes(), b"no counter says this"]
    for body in bodies:
        pushed = urllib.request.Request(f"http://127.0.0.1:{ports['devices']}/", body, method="POST")
        urllib.request.urlopen(pushed, timeout=20).read()
    yield daemon, ports
    daemon.stop()


def listening(pid: int) -> set[tuple[str, int]]:
    """Give the address (as the kernel writes it) and port of each TCP socket of a process that listens."""
    inodes = _inodes(pid)
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENS and fields[9] in inodes:
                address, _, port = fields[1].rpartition(":")
                found.add((address, int(port, 16)))
    return found


def datagrams(pid: int) -> list[str]:
    """Give the UDP and raw sockets of a process."""
    inodes = _inodes(pid)
    tables = [Path(f"/proc/{pid}/net/{name}") for name in ("udp", "udp6", "raw", "raw6")]
    lines = [line for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return [line for line in lines if line.split()[9] in inodes]


def _inodes(pid: int) -> set[str]:
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = link.readlink()
        except OSError:  # closed in between
            continue
        if match := re.fullmatch(r"socket:\[([0-9]+)\]", str(target)):
            found.add(match[1])
    return found


def test_nothing_listens_beside_the_documented_ports(exposed):
    """One port for devices, one for callbacks on this box when it is switched on, and no other socket of the network."""
    daemon, ports = exposed
    expected = {("0100007F", port) for port in ports.values()}
    assert expected == listening(daemon.pid)
    assert [] == datagrams(daemon.pid)


def test_a_second_socket_would_be_seen():
    """The look into the kernel's tables finds a port that this very process opens, of TCP and of UDP."""
    with socket.create_server(("127.0.0.1", 0)) as extra, socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        assert ("0100007F", extra.getsockname()[1]) in listening(os.getpid())
        assert len(datagrams(os.getpid())) >= 1


def test_no_file_is_open_to_others(exposed):
    """Socket, store, letters, pictures and the remembered configuration are for owner and group at most."""
    daemon, _ = exposed
    folder = daemon.config.parent
    modes = {
        path.relative_to(folder).as_posix(): stat.S_IMODE(path.stat().st_mode)
        for root in (folder / "store", daemon.state)
        for path in (root, *root.rglob("*"))
    }
    assert {"store", "store/gateway.db", "store/gateway.lock"} <= modes.keys()
    assert {} == {name: oct(mode) for name, mode in modes.items() if mode & stat.S_IRWXO}
    assert {} == {name: oct(mode) for name, mode in modes.items() if mode & stat.S_IWGRP}
    assert 0o660 == stat.S_IMODE((folder / "control.sock").stat().st_mode)
    last_good = [mode for name, mode in modes.items() if "last-good" in name]
    assert [0o600] == last_good


def test_a_stranger_reads_nothing_on_the_ports(exposed):
    """Whatever is asked for, the port of the devices tells of no device and no count, that of callbacks of nothing."""
    _, ports = exposed
    for place in (
        "/",
        "/status",
        "/openapi.json",
        "/read/devices",
        "/read/letters",
        "/tail",
        "/../store/gateway.db",
    ):
        for port, expected in ((ports["devices"], {404}), (ports.get("callbacks"), {401})):
            if port is None:
                continue
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{place}", timeout=20)
            assert refused.value.code in expected
            said = refused.value.read()
            assert len(said) < 500
            assert b"counter-" not in said
