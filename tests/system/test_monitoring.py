"""The monitoring port of the running daemon: true figures, honest answers, and nothing for those who mean no good."""

import asyncio
import contextlib
import http.client
import json
import signal
import socket
import sqlite3
import time

import pytest
from documented_site import FIXTURES
from load import Load, counter, terminal
from monitored import answer, figures, told
from promtool import promtool

from gateway.faults import ACTIONS
from gateway.monitoring.families import FAMILIES
from gateway.simulate.ledger import Ledger
from gateway.simulate.ports import free_port
from gateway.simulate.receiver import Outcome

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]
SECTION = "[monitoring]\nenabled = true\nport = {port}\nstuck_after_s = 10\n{more}"


@pytest.fixture
def port(site):
    """The port at which the site's daemon is watched."""
    number = free_port()
    with site.daemon.config.open("a") as config:
        config.write(SECTION.format(port=number, more=""))
    site.daemon.start()
    return number


def until(holds, what, *, wait_s=40.0):
    deadline = time.monotonic() + wait_s
    while not (value := holds()):
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
    return value


async def some_events(site, seconds=1.5):
    ledger = Ledger()
    async with Load([counter(site.url, 0, ledger), terminal(site.url, 1, ledger, seed=1, rate=600.0)]):
        await asyncio.sleep(seconds)
    await asyncio.to_thread(site.settle)


async def test_figures_are_those_of_the_accounts(site, port):
    """What Prometheus reads is what `gateway sinks` says, and promtool finds nothing to complain about."""
    await some_events(site)
    accounts = {account["name"]: account for account in site.accounts()}
    await asyncio.sleep(1.1)  # a page is a second old at most
    seen = figures(port)
    checked = promtool("check", "metrics", feed=seen.text)
    assert (0, "", "") == (checked.returncode, checked.stdout, checked.stderr)
    for name, account in accounts.items():
        assert account["received"] == seen.of("gateway_sink_received_events_total", sink=name) > 0
        assert account["delivered"] == seen.of("gateway_sink_delivered_events_total", sink=name)
        for rest in ("waiting_events", "oldest_waiting_age_seconds", "lettered_events", "lost_events_total"):
            assert 0 == seen.of(f"gateway_sink_{rest}", sink=name)
        assert 1 == seen.of("gateway_sink_connected", sink=name)
    received = accounts["home"]["received"]
    arrived = sum(value for (name, _), value in seen.series.items() if name == "gateway_events_total")
    assert received == arrived
    assert seen.has("gateway_events_total", source="people_counter", kind="count")
    assert seen.has("gateway_events_total", source="face_terminal", kind="access")
    assert 60 > seen.of("gateway_source_last_event_age_seconds", source="people_counter")
    assert (1, 1, 1) == (seen["gateway_healthy"], seen["gateway_ready"], seen["gateway_store_readable"])
    assert {code for (name, labels) in seen.series for _, code in labels if name == "gateway_faults"} == set(
        ACTIONS
    )
    assert time.time() - 120 < seen["process_start_time_seconds"] < time.time()
    assert (site.directory / "store/gateway.db").stat().st_size == seen["gateway_store_size_bytes"]
    assert 1 < seen["process_open_fds"] < seen["process_max_fds"]
    assert 20e6 < seen["process_resident_memory_bytes"] < 1e9


def push_of_each(port, number):
    """Push once in the name of so many devices, on one connection."""
    body = (FIXTURES / "people_counter/vendor_interval/body").read_text()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for serial in range(number):
        text = body.replace("201000002209190025", f"2010000099{serial:08d}")
        connection.request("POST", "/push", text.encode(), {"Content-Type": "text/xml"})
        answer = connection.getresponse()
        answer.read()
        assert 200 == answer.status, serial
    connection.close()


@pytest.mark.slow
@pytest.mark.site_with(more="[adoption]\nmax_devices = 10000\nper_address = 10000\n")
async def test_the_series_do_not_grow_with_the_site(site, port):
    """Five hundred devices make exactly the series that two make, and no label holds a device, a person or an address."""
    await some_events(site)
    before = figures(port)
    await asyncio.to_thread(push_of_each, site.daemon.port, 500)
    await asyncio.sleep(1.1)
    seen = figures(port)
    known = sum(value for (name, _), value in seen.series.items() if name == "gateway_devices")
    assert known >= 500
    assert set() == before.series.keys() - seen.series.keys()
    more = seen.series.keys() - before.series.keys()
    assert {"gateway_refused_requests_total"} >= {name for name, _ in more}
    labels = {label for family in FAMILIES for label in family.labels}
    assert {
        *("gateway", "site", "version", "config_hash", "code", "port", "source", "kind"),
        *("reason", "state", "sink", "stage"),
    } == labels
    assert "127.0.0.1" not in seen.text
    assert len(seen.series) < 300


@pytest.mark.slow
def test_health_follows_the_delivery(site, port):
    """While an upstream refuses, the box is healthy until that lasts too long; then 503 says which sink, and it heals."""
    status, health = told(port, "/healthz")
    assert (200, {"healthy": True, "receiving": True, "delivering": True, "problems": []}) == (status, health)
    site.upstream.decide = lambda _request: Outcome(status=503)
    asyncio.run(_push(site))
    assert 200 == told(port, "/healthz")[0]
    until(lambda: told(port, "/healthz")[0] == 503, "the stuck sink is not told")
    _, health = told(port, "/healthz")
    assert (True, False) == (health["receiving"], health["delivering"])
    (problem,) = health["problems"]
    assert ("delivering", "cloud", "https_error") == (problem["part"], problem["subject"], problem["code"])
    assert "Nothing has gone to sink cloud for" in problem["sentence"]
    assert ACTIONS["https_error"] == problem["action"]
    assert 200 == told(port, "/readyz")[0]  # it is there, and takes what devices send
    assert 0 == until(lambda: figures(port), "")["gateway_healthy"]
    site.upstream.decide = None
    until(lambda: told(port, "/healthz")[0] == 200, "it does not heal")


async def _push(site):
    ledger = Ledger()
    devices = [counter(site.url, 0, ledger)]
    async with Load(devices):
        while devices[0].figures.acknowledged < 3:
            await asyncio.sleep(0.05)


@pytest.mark.slow
def test_the_watchdog_goes_on_while_the_answer_is_no(site, port):
    """A 503 is for people: the daemon that gives it goes on, with the same process id, and receives."""
    site.upstream.decide = lambda _request: Outcome(status=503)
    asyncio.run(_push(site))
    until(lambda: told(port, "/healthz")[0] == 503, "the stuck sink is not told")
    pid = site.daemon.pid
    asyncio.run(_push(site))
    assert site.daemon.running
    assert pid == site.daemon.pid
    assert "watchdog_not_fed" not in site.daemon.log.read_text()


def test_what_cannot_be_read_is_missing_and_not_zero(site, port):
    """With the store's file out of reach no figure of a sink is told, a word says so, and the rest is still there."""
    asyncio.run(some_events(site))
    store = site.directory / "store" / "gateway.db"
    away = store.with_name("elsewhere.db")
    store.rename(away)
    try:
        time.sleep(1.1)
        seen = figures(port)
    finally:
        away.rename(store)
    assert 0 == seen["gateway_store_readable"]
    for name in (
        "waiting_events",
        "delivered_events_total",
        "oldest_waiting_age_seconds",
        "lost_events_total",
    ):
        assert not seen.has(f"gateway_sink_{name}")
    assert not seen.has("gateway_letters")
    assert not seen.has("gateway_store_size_bytes")
    assert seen["gateway_commits_total"] > 0
    assert seen.has("gateway_events_total")
    checked = promtool("check", "metrics", feed=seen.text)
    assert (0, "") == (checked.returncode, checked.stderr)


def test_a_store_that_cannot_be_written_is_unhealthy(site, port):
    """A disk below its reserve is told by /healthz as not receiving, with the code of the fault."""
    text = site.daemon.config.read_text().replace(
        "[runtime]", "min_free_bytes = 9_000_000_000_000\n[runtime]", 1
    )
    site.daemon.config.write_text(text)
    site.daemon.signal(signal.SIGHUP)
    until(lambda: told(port, "/healthz")[0] == 503, "the short disk is not told")
    _, health = told(port, "/healthz")
    assert (False, ["disk_full"]) == (health["receiving"], [one["code"] for one in health["problems"]])


def test_only_looking_is_possible(site, port):
    """Every method but GET and HEAD is refused, every path but three is unknown, and a body is not read."""
    for path in ("/metrics", "/healthz", "/readyz"):
        status, headers, body = answer(port, path, method="HEAD")
        assert (200, "") == (status, body)
        assert int(headers["Content-Length"]) > 10
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PURGE"):
            status, headers, _ = answer(port, path, method=method)
            assert (405, "GET, HEAD") == (status, headers["Allow"])
    for path in (
        "/",
        "/metrics/",
        "/status",
        "/sinks/home/try",
        "/../metrics",
        "/push",
        "/metrics%2f",
        "//metrics",
    ):
        status, headers, body = answer(port, path)
        assert (404, False) == (status, "Location" in headers), path
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire:
        wire.sendall(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
        assert b"HTTP/1.1 405" == wire.recv(12)
    assert b"" == _all_of(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000)[100_000:]


def _all_of(port, request):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire:
        wire.sendall(request)
        wire.shutdown(socket.SHUT_WR)
        got = b""
        while piece := wire.recv(65_536):
            got += piece
        return got


def test_another_name_changes_nothing(site, port):
    """A page in a browser that calls the port by its own name gets no word of that name back, no cookie and no licence."""
    for name in ("evil.example", "127.0.0.1:9188", "[::1]", "a" * 250):
        status, headers, body = answer(port, "/healthz", headers={"Host": name, "Origin": f"http://{name}"})
        assert 200 == status
        assert {"healthy": True} == {key: json.loads(body)[key] for key in ("healthy",)}
        allowed = {
            "Content-Length",
            "Content-Type",
            "Cache-Control",
            "X-Content-Type-Options",
            "Date",
            "Connection",
        }
        assert allowed >= set(headers)
        assert name not in json.dumps(headers)
        assert name not in body


def test_slow_and_many_clients_hold_up_nobody(site, port):
    """Connections that say nothing or dawdle are bounded and cut off; devices push and a watcher is answered after them."""
    held = []
    try:
        for _ in range(40):
            wire = socket.create_connection(("127.0.0.1", port), timeout=20)
            wire.sendall(b"GET /metrics HT")
            held.append(wire)
        asyncio.run(_push(site))  # the device port does not feel it
        until(lambda: _answers(port), "the watcher is shut out for ever", wait_s=30)
    finally:
        for wire in held:
            wire.close()


def test_one_address_does_not_shut_the_port_for_others(site, port):
    """However often one address comes with half a head, another one is answered while it does so."""
    with contextlib.ExitStack() as held:

        def crowd():
            for _ in range(24):
                wire = socket.create_connection(("127.0.0.1", port), 20, source_address=("127.0.0.2", 0))
                held.enter_context(wire)
                with contextlib.suppress(OSError):  # it was closed on us already
                    wire.sendall(b"GET /metrics HT")

        for _ in range(5):
            crowd()
            assert 200 == told(port, "/readyz")[0]


def _answers(port):
    try:
        return told(port, "/readyz")[0] == 200
    except OSError:
        return False


def test_a_taken_port_is_a_fault_and_stops_nothing(site):
    """While another program has the port the gateway runs and says so; when it is free the port opens by itself."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with site.daemon.config.open("a") as config:
            config.write(SECTION.format(port=number, more=""))
        site.daemon.start()
        asyncio.run(_push(site))
        fault = until(lambda: _faults(site).get("monitoring_closed"), "the taken port is not told")
        assert "another program already listens there" in fault["sentence"]
        assert ACTIONS["monitoring_closed"] == fault["action"]
    until(lambda: _answers(number), "it does not open by itself")
    assert "monitoring_closed" not in _faults(site)


def _faults(site):
    told = json.loads(site.daemon.asked("status", "--json").stdout)
    return {fault["code"]: fault for fault in told["faults"]}


def test_a_reload_moves_and_closes_the_port(site, port):
    """Another port is taken over by a reload, and switched off nothing listens any more; receiving goes on."""
    other = free_port()
    text = site.daemon.config.read_text()
    site.daemon.config.write_text(text.replace(f"port = {port}\n", f"port = {other}\n"))
    site.daemon.signal(signal.SIGHUP)
    until(lambda: _answers(other), "the new port is not open")
    until(lambda: not _answers(port), "the old port is still open")
    site.daemon.config.write_text(
        text.replace("[monitoring]\nenabled = true", "[monitoring]\nenabled = false")
    )
    site.daemon.signal(signal.SIGHUP)
    until(lambda: not _answers(other), "the port is still open")
    asyncio.run(_push(site))


def test_off_nothing_listens(site):
    """By default there is no such port."""
    site.daemon.start()
    assert "monitoring_ready" not in site.daemon.log.read_text()
    with sqlite3.connect(site.directory / "store" / "gateway.db") as conn:
        assert [(0,)] == conn.execute("SELECT count(*) FROM events").fetchall()
