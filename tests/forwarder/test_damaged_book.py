"""One damaged value in the book of devices costs that value: nothing stops, and a person is told."""

import asyncio
import json
import sqlite3
from datetime import UTC

import pytest
from brokers import FakeBroker
from keeping import NOON, alter, count, counter, fill, opened, rows
from scripted import Line

from gateway.control.views import device_states
from gateway.daemon.book import watch_book
from gateway.daemon.states import show_states
from gateway.errors import StoreUnavailable
from gateway.faults import Faults
from gateway.outbox import polls, reading
from gateway.projection import Projection
from gateway.sinks.mqtt import MqttOptions, MqttSink

pytestmark = pytest.mark.anyio
DAMAGES = {
    "half": "newest_data = replace(newest_data, '\"view\"', '\"view')",
    "no object": "newest_data = '[1]'",
    "not to be written": "newest_data = replace(newest_data, 'total', '\\ud800')",
    "beyond all years": "last_seen = 1 << 60",
    "before all years": "newest = -(1 << 60)",
}


@pytest.fixture(params=DAMAGES)
async def outbox(request, tmp_path):
    """Give a store with two devices, of which the disk has damaged the page of one."""
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(0, 2, device=counter("counter-dead")), count(0, 3)])
    alter(tmp_path, f"UPDATE devices SET {DAMAGES[request.param]} WHERE id = 'counter-dead'")
    async with opened(tmp_path) as outbox:
        yield outbox


def mqtt(broker, states, status=lambda: b'{"state":"online"}'):
    options = MqttOptions(
        name="out", host="127.0.0.1", port=broker.port, gateway_id="gw", connect_timeout_s=5.0
    )
    return MqttSink(options, states, status)


async def test_events_go_out_over_mqtt(outbox):
    """The sink opens and forwards everything, and shows the states of the other devices."""
    projection = Projection(outbox.path, "gw", UTC)
    async with FakeBroker().listening() as broker:
        line = Line(outbox, mqtt(broker, projection.states))
        await fill(outbox, [count(m) for m in range(1, 6)])
        await line.drained()
        assert 7 == len(broker.events())
        assert 1 == len(broker.connects)
        await line.stop()
    projection.close()


async def test_the_states_of_all_others_are_read(outbox):
    """The other device's state is whole; of the damaged one nothing is shown that is not so."""
    projection = Projection(outbox.path, "gw", UTC)
    states = {state.device: json.loads(state.payload) for state in await projection.states()}
    projection.close()
    assert 3 == states["counter-a"]["last_enters"]
    dead = states.get("counter-dead", {"enters_total": 2})
    assert 2 == dead["enters_total"]
    assert dead.get("last_enters") in {None, 2}


async def test_a_person_is_told_until_it_is_written_anew(outbox, tmp_path, monkeypatch):
    """A fault names the device, and goes with the next event of it; the others have none."""
    monkeypatch.setattr("gateway.daemon.book._ROUND_S", 0.01)
    faults = Faults()
    watch = asyncio.create_task(watch_book(outbox, faults))
    if "ud800" in str(rows(tmp_path, "SELECT newest_data FROM devices WHERE id = 'counter-dead'")):
        watch.cancel()
        return  # it can be read
    async with asyncio.timeout(10):
        while not len(faults):
            await asyncio.sleep(0.01)
    assert [("book_damaged", "counter-dead")] == [(fault.code, fault.subject) for fault in faults]
    await outbox.append([count(1, device=counter("counter-dead"))], NOON)
    async with asyncio.timeout(10):
        while len(faults):
            await asyncio.sleep(0.01)
    watch.cancel()


async def test_people_can_look_at_their_devices(outbox):
    """The list of devices has both, the damaged one without what cannot be read."""
    with reading.looking(outbox.settings.directory) as conn:
        found = {str(state["device"]): state for state in device_states(conn, UTC)}
    assert {"counter-a", "counter-dead"} == set(found)


async def test_a_poll_that_takes_over_begins(outbox):
    """What webhooks have told is still known by its instants; the damaged fact says nothing."""
    with reading.looking(outbox.settings.directory) as conn:
        told = polls.told_until(conn, "people_counter")
    assert {"counter-a", "counter-dead"} >= set(told)
    assert 3 == told["counter-a"][1]["enters"]


# Where reading fails altogether


async def test_a_disk_that_cannot_be_read_stops_no_event(tmp_path, monkeypatch):
    """States that an I/O error keeps from being read are left out, in the sink and in the task that shows them."""
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(m) for m in range(5)])
        projection = Projection(outbox.path, "gw", UTC)
        failing = [True]

        def devices(*wanted):
            if failing[0]:
                raise sqlite3.OperationalError("disk I/O error")
            return reading.devices(*wanted)

        monkeypatch.setattr("gateway.projection.devices", devices)
        with pytest.raises(StoreUnavailable):
            await projection.states()
        async with FakeBroker().listening() as broker:
            line = Line(outbox, mqtt(broker, projection.states))
            await line.drained()
            assert 5 == len(broker.events())
            shown = []

            class Board:
                async def publish_states(self, states):
                    shown.extend(states)

                async def publish_status(self, status):
                    pass

            task = asyncio.create_task(show_states(outbox, projection, lambda: [Board()], dict))
            await asyncio.sleep(0)
            await outbox.append([count(9)], NOON)
            await asyncio.sleep(1.5)
            assert not task.done()
            failing[0] = False
            async with asyncio.timeout(20):  # what could not be read is read again, without another event
                while not shown:
                    await asyncio.sleep(0.05)
            task.cancel()
            await line.stop()
        projection.close()


async def test_a_status_that_cannot_be_told_keeps_no_sink_from_opening(tmp_path):
    """A bad disk under what the status looks at: the sink says that it is online, and forwards."""

    def status():
        raise OSError(5, "Input/output error")

    async def states():
        return ()

    async with opened(tmp_path) as outbox, FakeBroker().listening() as broker:
        await fill(outbox, [count(m) for m in range(5)])
        line = Line(outbox, mqtt(broker, states, status))
        await line.drained()
        assert 5 == len(broker.events())
        await line.stop()
