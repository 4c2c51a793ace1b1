"""A stop that cannot drain, a second start, and a reload; stops under load are in tests/chaos."""

import asyncio
import json
import signal
import time

import pytest
from load import Load, few, mixed

from gateway.simulate.ledger import Ledger

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]


async def test_a_stop_with_a_black_hole_upstream_ends_in_time(site):
    """A stop while the upstream takes requests and never answers ends within the grace, and nothing is lost."""
    from gateway.simulate.receiver import Fault, Outcome

    ledger = Ledger()
    site.upstream.decide = lambda _request: Outcome(fault=Fault.HANG, take=False)
    site.daemon.start()
    async with Load(few(site.url, ledger)):
        await asyncio.sleep(1)
    started = time.monotonic()
    assert await asyncio.to_thread(site.daemon.stop) == 0
    assert time.monotonic() - started < 20
    site.upstream.decide = None
    site.daemon.start()
    await asyncio.to_thread(site.settle)
    site.judge(ledger)


async def test_a_second_gateway_on_the_same_store_says_so(site):
    """A second daemon with the same configuration ends at once and names the reason."""
    site.daemon.start()
    told = site.daemon.command("run")
    assert told.returncode == 1
    assert "another program already listens there" in told.stdout + told.stderr


async def test_reload_changes_a_sink_and_keeps_a_broken_configuration_out(site):
    """SIGHUP takes over a good file; a broken one is refused with its line, and receiving goes on."""
    ledger = Ledger()
    site.daemon.start()
    good = site.daemon.config.read_text()
    async with Load(mixed(site.url, ledger)):
        site.daemon.config.write_text(good + "\nnot toml at all [\n")
        site.daemon.signal(signal.SIGHUP)
        await asyncio.sleep(1)
        told = await asyncio.to_thread(site.daemon.command, "status")
        # The command reads the same broken file: it must say what is wrong with it.
        assert told.returncode == 2
        assert "config.toml" in told.stderr
        site.daemon.config.write_text(
            good.replace('base = "gateway"', "") + '\n[sinks.second]\ntype = "mqtt"\n'
            f'endpoint = "mqtt://127.0.0.1:{site.broker.port}"\nversion = "{site.broker.version}"\nbase = "other"\n'
        )
        site.daemon.signal(signal.SIGHUP)
        await asyncio.sleep(2)
    names = {account["name"] for account in site.accounts()}
    assert names == {"home", "cloud", "second"}
    site.daemon.config.write_text(good)
    site.daemon.signal(signal.SIGHUP)
    await asyncio.sleep(1)
    told = site.daemon.command("status", "--json")
    # The simulated devices live faster than we do, so that their clocks run ahead.
    assert {fault["code"] for fault in json.loads(told.stdout)["faults"]} <= {"clock_off"}
