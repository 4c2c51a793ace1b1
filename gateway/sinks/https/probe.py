"""Try an upstream for a person who looks: one marked test event, written, signed and judged as real ones are.

Its id begins with a word that no device's id begins with, its kind is `test`, and it has no place in the log: a
consumer that goes by kind or id counts nothing.
"""

import json

from gateway.errors import SinkUnavailable
from gateway.sink import Outgoing
from gateway.sinks.https.envelope import BATCH, SINGLE, Envelope, single_id
from gateway.sinks.https.options import HttpsOptions
from gateway.sinks.https.upstream import Upstream
from gateway.sinks.https.verdict import Verdict, unavailable


async def probe(options: HttpsOptions, *, test_id: str, time: str) -> str:
    """Post the test event and give the words of the answer, or raise `SinkUnavailable` as the sink itself would."""
    single = options.batch == 1
    upstream = Upstream(options, SINGLE if single else BATCH)
    event, envelope = _event(options.gateway_id, test_id, time), Envelope(options.gateway_id)
    wrapped = envelope.wrap(event)
    try:
        if single:
            answer = await upstream.post(single_id(event), wrapped)
        else:
            answer = await upstream.post(envelope.batch_id([event]), b"[%b]" % wrapped)
    finally:
        await upstream.close()
    if answer.verdict is Verdict.TAKEN:
        return answer.said()
    if answer.verdict is Verdict.LATER:
        raise unavailable(answer, options)
    raise SinkUnavailable(
        f"{options.place} refused the test event: {answer.said()}", fault="https_test_refused"
    )


def _event(gateway_id: str, test_id: str, time: str) -> Outgoing:
    said = {
        "id": test_id,
        "revision": 0,
        "kind": "test",
        "test": True,
        "device": "doctor",
        "device_seq": 0,
        "seq": 0,
    }
    said |= {
        "gateway": gateway_id,
        "time": time,
        "received_at": time,
        "late": False,
        "source": "gateway",
        "data": {},
    }
    return Outgoing(
        seq=0,
        id=test_id,
        revision=0,
        kind="test",
        device="doctor",
        time=time,
        payload=json.dumps(said).encode(),
    )
