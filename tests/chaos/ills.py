"""Thirteen things that go wrong at a site, each really done to a running one, and the words that name it to a person."""

import contextlib
import http.client
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme
from hostile import counted
from odd_broker import with_broker
from site_under_test import Site
from small_disk import SmallDisk

from gateway.simulate.ports import free_port
from gateway.simulate.receiver import Outcome

MIB = 1024 * 1024
SERIAL = "200000000000000042"


@dataclass(frozen=True)
class Ill:
    """What is done, before the daemon starts or to the running one; what `gateway status` must say of it."""

    words: tuple[str, ...]  # all of them are in the first fault that is told
    before: Callable[[Site, ExitStack], None] = lambda _site, _ending: None
    after: Callable[[Site, ExitStack], None] = lambda _site, _ending: None
    settings: Mapping[str, str] = field(default_factory=dict)  # of `Site`
    runs: bool = True  # the daemon can run like this


def push(site: Site, body: bytes, *, source: str = "127.0.0.1") -> int:
    link = http.client.HTTPConnection("127.0.0.1", site.daemon.port, timeout=20, source_address=(source, 0))
    with contextlib.closing(link):
        link.request("POST", "/", body)
        return link.getresponse().status


def change(site: Site, old: str, new: str) -> None:
    text = site.daemon.config.read_text()
    assert old in text
    site.daemon.config.write_text(text.replace(old, new))


def say(site: Site, _ending: ExitStack) -> None:
    """Have one camera push one minute, as it would at any site."""
    assert 200 == push(site, counted(SERIAL, minute=1, sent=int(time.time())))


def broker_is_off(site: Site, _ending: ExitStack) -> None:
    site.broker.stop()


def broker_wants_a_password(site: Site, _ending: ExitStack) -> None:
    with_broker(site, "allow_anonymous false")


def upstream_is_somebody_else(site: Site, _ending: ExitStack) -> None:
    other = site.directory / "other-ca.pem"
    trustme.CA().cert_pem.write_to_path(other)
    change(site, str(site.upstream.ca_file), str(other))


def upstream_has_no_address(site: Site, _ending: ExitStack) -> None:
    change(site, site.upstream.url, "https://events.nowhere.invalid/in")


def upstream_refuses_the_login(site: Site, _ending: ExitStack) -> None:
    site.upstream.decide = lambda _request: Outcome(status=401)


def small_disk(site: Site, ending: ExitStack) -> None:
    disk = SmallDisk(site.directory / "disk.img", site.directory / "store", size=24 * MIB)
    ending.callback(disk.close)
    ending.callback(lambda: site.daemon.running and site.daemon.kill())
    site.disk = disk


def disk_fills(site: Site, _ending: ExitStack) -> None:
    site.disk.fill()


def camera_says_nothing_any_more(site: Site, _ending: ExitStack) -> None:
    for minute in range(5):
        assert 200 == push(site, counted(SERIAL, minute=minute, sent=int(time.time())))


def camera_has_another_hour(site: Site, _ending: ExitStack) -> None:
    for minute in range(5):
        assert 200 == push(site, counted(SERIAL, minute=minute, sent=int(time.time()) - 3 * 3600 - 600))


def configuration_gets_a_mistake(site: Site, _ending: ExitStack) -> None:
    change(site, "[sinks.home]", "[sinks.home]\nwindoww = 7")
    site.daemon.command("reload")


def port_is_taken(site: Site, ending: ExitStack) -> None:
    other = ending.enter_context(socket.socket())
    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    other.bind(("127.0.0.1", site.daemon.port))
    other.listen()


def stranger_waits(site: Site, _ending: ExitStack) -> None:
    assert 200 == push(site, counted("200000000000000099", minute=1, sent=int(time.time())))


def camera_is_garbled(site: Site, _ending: ExitStack) -> None:
    push(site, b"<RTMetrics><cut in the middle")


def camlytics() -> str:
    return f'[camlytics.hall]\nendpoint = "http://127.0.0.1:{free_port()}"\nzone = "UTC"\n'


def ills() -> dict[str, Ill]:
    """Name each by what was done."""
    quick = f'[devices.door]\nid = "counter-{SERIAL}"\nname = "North door"\nsilent_after_s = 10\n'
    return {
        "the broker is off": Ill(
            ("home", "mqtt://127.0.0.1", "no broker listens"), before=broker_is_off, after=say
        ),
        "the broker wants a password": Ill(("home", "password"), before=broker_wants_a_password, after=say),
        "the upstream shows a certificate of nobody known": Ill(
            ("cloud", "certificate"), before=upstream_is_somebody_else, after=say
        ),
        "the upstream's name has no address": Ill(
            ("cloud", "events.nowhere.invalid", "name"), before=upstream_has_no_address, after=say
        ),
        "the upstream refuses the token": Ill(
            ("cloud", "401", "operator"), before=upstream_refuses_the_login, after=say
        ),
        "the disk is full": Ill(("disk", "Free space"), before=small_disk, after=disk_fills),
        "a camera has lost its power": Ill(
            ("North door", "power"), after=camera_says_nothing_any_more, settings={"more": quick}
        ),
        "a camera's clock is hours off": Ill(("clock", SERIAL), after=camera_has_another_hour),
        "the PC of Camlytics is off": Ill(("hall", "127.0.0.1"), settings={"more": camlytics()}),
        "the configuration has a typing mistake": Ill(
            ("windoww", "gateway check"), after=configuration_gets_a_mistake
        ),
        "another program has the port": Ill(
            ("not running", "Port", "taken by", "Stop that program"), before=port_is_taken, runs=False
        ),
        "a new camera waits to be adopted": Ill(
            ("gateway adopt",),
            after=stranger_waits,
            settings={"more": '[adoption]\nunknown_devices = "hold"\n'},
        ),
        "a camera sends what cannot be read": Ill(
            ("127.0.0.1", "gateway letters list"), after=camera_is_garbled
        ),
    }


def inflict(ill: Ill, site: Site, ending: ExitStack) -> None:
    """Do it to a site."""
    ill.before(site, ending)
    if ill.runs:
        site.daemon.start()
        ill.after(site, ending)
    else:
        site.daemon.launch()
        assert 0 != site.daemon.wait(30)


def told(site: Site) -> str:
    """Give what `gateway status` prints."""
    # The command finds the last good configuration where systemd has the state.
    with pytest.MonkeyPatch.context() as box:
        box.setenv("STATE_DIRECTORY", str(site.daemon.state))
        ran = site.daemon.command("status")
    return ran.stdout + ran.stderr


def wait_told(ill: Ill, site: Site, *, most_s: float = 60.0) -> str:
    """Wait until the first fault that is told names it."""
    deadline = time.monotonic() + most_s
    while True:
        said = told(site)
        # The first fault with its action; of a gateway that is down, what is told before it as well.
        first = "\n! ".join(said.split("\n! ")[: 1 if ill.runs else 2])
        if all(word in first for word in ill.words):
            return said
        assert time.monotonic() < deadline, f"not told as first: {ill.words}\n{said}"
        time.sleep(0.5)


def keep(folder: Path, name: str, said: str) -> None:
    """Put what was told where a person can read it."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.txt").write_text(said)
