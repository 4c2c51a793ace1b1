"""A real receiver, a sink that talks to it, and events to send."""

import json
import ssl

import pytest

from gateway.simulate.receiver import Receiver
from gateway.sink import Outgoing
from gateway.sinks.https import HttpsOptions, HttpsSink

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def secret():
    """Give the secret that receiver and sink share."""
    return SECRET


@pytest.fixture
def start_receiver(tmp_path):
    """Give a function that starts a receiver; all are stopped in the end."""
    started = []

    def start(**settings):
        directory = tmp_path / f"receiver-{len(started)}"
        directory.mkdir()
        settings.setdefault("secrets", (SECRET,))
        started.append(Receiver(directory, keep_data=True, **settings))
        return started[-1].start()

    yield start
    for receiver in started:
        receiver.stop()


@pytest.fixture
def receiver(start_receiver):
    """Give a receiver that takes everything that is in order."""
    return start_receiver()


@pytest.fixture
async def build_sink():
    """Give a function that builds a sink for a receiver; all are closed in the end."""
    built = []

    def build(receiver, **settings):
        settings = {"endpoint": receiver.url, "secrets": (SECRET,), "timeout_s": 5.0, **settings}
        if receiver.authority and "tls" not in settings:
            settings["tls"] = ssl.create_default_context(cafile=receiver.ca_file)
        built.append(HttpsSink(HttpsOptions(name="upstream", gateway_id="gw7", **settings)))
        return built[-1]

    yield build
    for sink in built:
        await sink.close()


@pytest.fixture
def make_events():
    """Give a function that makes events as the log would hand them out."""

    def make(count, *, first=1, filler=0, revision=1):
        return [_event(seq, filler, revision) for seq in range(first, first + count)]

    return make


def _event(seq, filler, revision):
    event_id = f"counter-d1:{1_700_000_000 + seq}:{seq:020x}"
    payload = {
        "id": event_id,
        "revision": revision,
        "late": False,
        "data": {"enters": seq, "name": "Tür 门", "filler": "x" * filler},
    }
    return Outgoing(
        seq=seq,
        id=event_id,
        revision=revision,
        kind="count",
        device="counter-d1",
        time="2026-03-04T05:06:07.000Z",
        payload=json.dumps(payload, ensure_ascii=False).encode(),
    )
