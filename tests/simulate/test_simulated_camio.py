"""The simulated Camio: what it sends, by seed and rate, and what its ledger says of it."""

import asyncio
import json
import sys
from datetime import UTC, datetime

import pytest
from collector import Collector, http

from gateway.simulate.camio import Camio
from gateway.simulate.camio_json import TYPES, Domain
from gateway.simulate.clock import Clock
from gateway.simulate.device import Line
from gateway.simulate.facts import key_of, said_of
from gateway.source import Post
from gateway.sources import callbacks

pytestmark = pytest.mark.anyio

START = 1_795_000_000.0
SECRET = {"Authorization": "token of a simulated cloud"}


async def run(url: str, *, minutes: float = 20, seed: int = 1, line: Line | None = None, **how) -> Camio:
    camio = Camio(
        url, headers=SECRET, seed=seed, rate=20.0, clock=Clock(start=START, speed=0), line=line, **how
    )
    await camio.run(duration_s=minutes * 60, linger_s=5)
    return camio


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_all_types_come_with_the_header(method):
    """In a while each of the eleven types was called back, every time with the header, by the chosen method."""
    async with Collector() as server:
        camio = await run(server.url, minutes=60, method=method)
    assert set(TYPES) == {json.loads(request.body)["type"] for request in server.requests}
    assert {SECRET["Authorization"]} == {request.headers["authorization"] for request in server.requests}
    assert {method} == {request.method for request in server.requests}
    assert camio.figures.acknowledged == len(server.requests) > 100


async def test_one_seed_says_the_same():
    """Two runs of one seed send the same bytes, those of another seed others."""
    told = []
    for seed in (1, 1, 2):
        async with Collector() as server:
            await run(server.url, seed=seed)
        told.append([request.body for request in server.requests])
    assert told[0] == told[1]
    assert told[0] != told[2]


async def test_what_is_not_taken_is_sent_again():
    """A refusal, a lost reply and a 401 make it send the same callback once more; every one is taken in the end."""
    answers = iter([503, 401, 200, 500])

    def answer(_request):
        return http(next(answers, 204))

    async with Collector(answer) as server:
        camio = await run(server.url, minutes=3, line=Line(retry_s=0.01, resend=0.2))
    ids = [json.loads(request.body)["id"] for request in server.requests]
    assert camio.figures.refused + camio.figures.resent >= 3
    assert 0 == camio.waiting
    assert len(set(ids)) == camio.figures.acknowledged < len(ids)


@pytest.mark.parametrize("comma", [False, True])
async def test_the_source_reads_what_the_ledger_says(comma):
    """Each fact in the ledger is one event of the source with the same content, and there is no other event."""
    async with Collector() as server:
        camio = await run(server.url, domain=Domain(trailing_comma=comma))
    seen = {}
    for request in server.requests:
        post = Post(method="PUT", path="/", body=request.body, address="", received_at=datetime.now(UTC))
        for event in callbacks()[0].parse(post).events:
            told = {
                "source": "camio",
                "kind": str(event.kind),
                "data": event.data,
                "time": event.time.isoformat(),
            }
            assert key_of(told) not in seen
            seen[key_of(told)] = said_of(told)
    owed = camio.ledger.obligations()
    assert owed.keys() == seen.keys()
    for key, statement in owed.items():
        assert statement.truth.items() <= seen[key].items()


async def test_the_command_calls_back(tmp_path):
    """`gateway simulate camio` takes the secret from a file, sends, and writes its ledger."""
    secret = tmp_path / "header"
    secret.write_text(SECRET["Authorization"] + "\n")
    async with Collector() as server:
        words = ("--to", server.url, "--secret-file", str(secret), "--method", "PUT", "--rate", "60")
        more = ("--speed", "0", "--minutes", "3", "--json", "--ledger", str(tmp_path / "ledger"))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "simulate", "camio", *words, *more),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
    assert 0 == process.returncode, err
    assert len(server.requests) == json.loads(out)["acknowledged"] > 0
    assert {SECRET["Authorization"]} == {request.headers["authorization"] for request in server.requests}
    assert (tmp_path / "ledger").read_text().count("\n") == json.loads(out)["facts"]
