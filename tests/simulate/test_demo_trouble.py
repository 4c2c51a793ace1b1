"""The cable that the demo pulls, and its plan of outages."""

import asyncio
import contextlib

import pytest

from gateway.simulate.demo.cable import Cable
from gateway.simulate.demo.trouble import acts

pytestmark = pytest.mark.anyio


async def echo(reader, writer):
    while chunk := await reader.read(1000):
        writer.write(chunk)
        await writer.drain()
    writer.close()


@pytest.fixture
async def cable():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    cable = Cable(server.sockets[0].getsockname()[1])
    await cable.plug()
    yield cable
    await cable.pull()
    server.close()


async def said_back(port, text):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answering = asyncio.create_task(reader.read())
    writer.write(text)
    writer.write_eof()
    answer = await asyncio.wait_for(answering, 5)
    writer.close()
    return answer


async def test_it_carries_both_ways(cable):
    """What goes in at one end comes out at the other, a megabyte of it, and the end is carried too."""
    text = b"x" * 1_000_000
    assert text == await said_back(cable.port, text)


async def test_pulled_it_breaks_what_runs_and_refuses_what_comes(cable):
    """Pulling ends open connections at once; new ones are refused until it is plugged in on the same port."""
    port = cable.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello")
    assert b"hello" == await asyncio.wait_for(reader.readexactly(5), 5)
    await cable.pull()
    with contextlib.suppress(ConnectionError):
        assert b"" == await asyncio.wait_for(reader.read(), 5)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    await cable.plug()
    assert port == cable.port
    assert b"again" == await said_back(port, b"again")


async def test_without_the_other_side_it_hangs_up(cable):
    """With nobody behind it a connection is taken and ended, and the cable stays usable."""
    lonely = Cable(1)
    await lonely.plug()
    reader, writer = await asyncio.open_connection("127.0.0.1", lonely.port)
    with contextlib.suppress(ConnectionError):
        assert b"" == await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await lonely.pull()


@pytest.mark.parametrize("length_s", [None, 5.0, 30.0, 80.0, 600.0])
async def test_outages_leave_time_to_recover(length_s):
    """Each far end fails once, one after the other, and the last fifth of a demo is without trouble."""
    planned = list(acts(length_s))
    assert ["broker", "upstream"] == [act.who for act in planned]
    assert planned[0].start_s + planned[0].length_s < planned[1].start_s
    assert planned[1].start_s + planned[1].length_s <= 0.8 * (length_s or 80.0)
    assert 15.0 >= max(act.length_s for act in planned)
