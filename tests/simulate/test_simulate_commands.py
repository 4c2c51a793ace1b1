"""`gateway simulate` as a person runs it, against a server that is no gateway."""

import asyncio
import json
import signal
import sys
from zoneinfo import ZoneInfo

import pytest
from collector import Collector, http

from gateway.simulate import fleet
from gateway.simulate.clock import Clock
from gateway.simulate.early import EarlyTerminal
from gateway.simulate.ledger import Ledger

pytestmark = pytest.mark.anyio


async def start(*words):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateway", "simulate", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def simulate(*words):
    process = await start(*words)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize(
    ("words", "mark"),
    [
        (("counter",), b"<RTMetrics"),
        (("counter", "--dialect", "brickstream-v5"), b"<Metrics"),
        (("counter", "--mode", "interval", "--interval-min", "2"), b"<Metrics"),
        (("terminal", "--picture-bytes", "300"), b'"recognitionType"'),
    ],
)
async def test_a_device_pushes_and_sums_up(words, mark):
    """Ten device minutes at full speed arrive whole, and the summary in JSON has what the server counted."""
    async with Collector() as server:
        status, out, err = await simulate(
            *words, "--to", server.url, "--speed", "0", "--minutes", "10", "--json"
        )
    assert 0 == status, err
    told = json.loads(out)
    assert len(server.requests) == told["made"] == told["acknowledged"] > 0
    assert 0 == told["kept"] == told["dropped"]
    assert any(mark in request.body for request in server.requests)


async def test_many_devices_have_serials_of_their_own(tmp_path):
    """--count makes devices whose serials count on, and the ledger that is written names each of them."""
    file = tmp_path / "ledger.jsonl"
    words = (
        "--count",
        "3",
        "--serial",
        "900099",
        "--speed",
        "0",
        "--minutes",
        "3",
        "--ledger",
        str(file),
        "--json",
    )
    async with Collector() as server:
        status, out, err = await simulate("counter", "--to", server.url, *words)
    assert 0 == status, err
    assert {"900099", "900100", "900101"} == {total["serial"] for total in json.loads(out)["totals"]}
    with file.open() as lines:
        ledger = Ledger.load(lines)
    assert {"900099", "900100", "900101"} == {str(key[1]) for key in ledger.obligations()}
    assert 3 == server.connections


async def test_lost_replies_make_doubles():
    """With --lose-replies the same bytes arrive more than once."""
    async with Collector() as server:
        words = ("--lose-replies", "0.3", "--speed", "0", "--minutes", "5", "--json")
        status, out, err = await simulate("terminal", "--to", server.url, *words)
    assert 0 == status, err
    assert len(server.requests) > len({request.body for request in server.requests})
    assert json.loads(out)["resent"] > 0


async def test_it_keeps_trying_and_says_so():
    """With nothing at the address it says so once, and delivers when something comes up there."""
    async with Collector() as server:
        port = server.port
    process = await start("counter", "--to", f"http://127.0.0.1:{port}/upload", "--minutes", "60")
    said = []
    while not said or "Nothing answers at" not in said[-1]:
        said.append((await asyncio.wait_for(process.stderr.readline(), 20)).decode())
    late = Collector()
    late.port = port
    async with late:
        said.append((await asyncio.wait_for(process.stderr.readline(), 20)).decode())
        assert "takes pushes now" in said[-1]
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), 20)
    assert late.requests
    assert f"127.0.0.1:{port}" in said[-2]
    assert b"pushes made" in out, err


async def test_it_pushes_to_the_gateway_of_its_configuration(tmp_path):
    """Without --to it goes where the configuration that was named says that the gateway listens."""
    async with Collector() as server:
        config = tmp_path / "config.toml"
        config.write_text(f"[listen]\nport = {server.port}\n")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "-c", config, "simulate", "counter", "--speed", "0"),
            *("--minutes", "5", "--json"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
    assert 0 == process.returncode, err
    assert len(server.requests) == json.loads(out)["acknowledged"] > 0


async def test_it_gives_up_where_nothing_ever_answered(monkeypatch):
    """A run that has an end does not wait for ever for a gateway that is not there, and says so."""
    async with Collector() as server:
        url = server.url
    monkeypatch.setattr(fleet, "_HOPELESS_S", 2.0)
    said, ledger = [], Ledger()
    device = EarlyTerminal(
        url, serial="SPSIM1", zone=ZoneInfo("UTC"), rate=60, seed=0, clock=Clock(), ledger=ledger
    )
    await asyncio.wait_for(fleet.Fleet(url, [device], ledger, said.append).run(3600.0), 60)
    assert f"Given up: nothing has answered at {url} in 2 s." == said[-1]
    assert device.waiting


async def test_a_refusal_is_told_with_its_status():
    """A server that answers 503 is named with it, and what it never took makes the status 1."""
    async with Collector(lambda _request: http(503)) as server:
        process = await start("terminal", "--to", server.url, "--picture-bytes", "0")
        said = ""
        while "answers 503" not in said:
            said = (await asyncio.wait_for(process.stderr.readline(), 20)).decode()
        process.send_signal(signal.SIGTERM)
        out, _ = await asyncio.wait_for(process.communicate(), 20)
    assert 1 == process.returncode
    assert b"0 taken" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--to", "ftp://127.0.0.1/"), "is no address to push to"),
        (("--to", "http://127.0.0.1:99999/"), "--to"),
        (("--speed", "0"), "--minutes N"),
        (("--zone", "Mars/Base"), "is no time zone"),
        (("--dialect", "brickstream-v1", "--mode", "real_time"), "has no real-time mode"),
        (("--ledger", "/no/such/place/file"), "/no/such/place/file"),
    ],
)
async def test_what_cannot_be_is_said_at_once(words, sentence):
    """A wish that makes no sense ends with status 2 and a sentence about it."""
    status, _, err = await simulate("counter", *words)
    assert 2 == status
    assert sentence in err
    assert "Traceback" not in err
