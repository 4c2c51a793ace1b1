"""Events as CloudEvents 1.0: the bytes of a request and the id that stays with them over retries.

- The payload is JSON already and is spliced in unparsed.
- ``revision`` is a string, because a CloudEvents integer ends at 2**31 - 1 and a revision may not.
- ``sequence`` is the place in the log: it grows and has holes. Gaps are seen by the per-device number
  inside the data, not by this one.
- The log's numbers start anew with a new log, so the id of a batch also has a digest of the ids in it:
  a receiver that remembers request ids must never take a new batch for an old one.
"""

import hashlib
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii as quoted
from urllib.parse import quote

from gateway.sink import Outgoing

SINGLE = "application/cloudevents+json; charset=utf-8"
BATCH = "application/cloudevents-batch+json; charset=utf-8"


class Envelope:
    """Wraps the events of one gateway."""

    def __init__(self, gateway_id: str) -> None:
        self._gateway_id = gateway_id
        source = f"/gateway/{quote(gateway_id, safe='')}"
        self._head = f'"specversion":"1.0","source":{quoted(source)},"datacontenttype":"application/json",'

    def wrap(self, event: Outgoing) -> bytes:
        """Write one event as a structured CloudEvent."""
        head = (
            f'{{{self._head}"id":{quoted(f"{event.id}:{event.revision}")},'
            f'"type":{quoted(f"site-gateway.{event.kind}.v1")},"subject":{quoted(event.device)},'
            f'"time":{quoted(event.time)},"eventid":{quoted(event.id)},"revision":"{event.revision}",'
            f'"sequence":"{event.seq:016d}","data":'
        )
        return b"%b%b}" % (head.encode("ascii"), event.payload)

    def batch_id(self, events: Sequence[Outgoing]) -> str:
        """Name a batch by what is in it: the same after a crash, different for anything else."""
        names = "\n".join(f"{event.id}:{event.revision}" for event in events)
        digest = hashlib.blake2b(names.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
        span = f"{events[0].seq}-{events[-1].seq}-{len(events)}"
        return header_safe(f"batch-{self._gateway_id}-{span}-{digest}")


def single_id(event: Outgoing) -> str:
    """Name a request with one event: the CloudEvent's own id."""
    return header_safe(f"{event.id}:{event.revision}")


def header_safe(text: str) -> str:
    """Make an id fit for a header and for the signed text, where a full stop separates the parts."""
    return quote(text, safe=":", errors="surrogatepass").replace(".", "%2E")
