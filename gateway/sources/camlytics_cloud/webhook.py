"""The webhooks of the cloud: arrays of the records that a poll gives too, with the same identities."""

import re

from gateway.errors import Unreadable
from gateway.event import Event
from gateway.reading.json_body import read_json
from gateway.source import Notice, Post, Reading, Reply
from gateway.sources.camlytics_cloud.event_types import CROSSING
from gateway.sources.camlytics_cloud.records import FAMILY, SOURCE, Reader
from gateway.sources.camlytics_cloud.rules import Rules

_LOOK_BYTES = 4096
# An array whose first element is an object; what is in it is looked for behind this.
_ARRAY = re.compile(rb"(?:\xef\xbb\xbf)?[\s\0]*+\[[\s]*+\{")
_NAMES = (b'"record_id"', b'"event_type"', b'"trigger_id"')

_BY_NAME = Notice(
    "camlytics_cloud_trigger_by_name",
    "A webhook speaks of a trigger by its id, and the configuration knows triggers by name: what crossed there is "
    "kept, but not counted.",
    "Write the ids of the triggers in `triggers` of [camlytics_cloud.NAME], or let the account be polled too.",
)


class CamlyticsCloudWebhook:
    """Reads what the cloud pushes. ``polled``: a poll says what a trigger's name means soon after."""

    name = SOURCE
    family = FAMILY
    max_body_bytes = 2_000_000

    def __init__(
        self,
        rules: Rules | None = None,
        keep_personal: frozenset[str] = frozenset(),
        *,
        polled: bool = False,
    ) -> None:
        self._reader = Reader(rules or Rules(), keep_personal)
        self._needs_ids = bool(self._reader.rules.listed) and not polled

    def recognises(self, post: Post) -> bool:
        """Say whether it is an array of records."""
        start = post.body[:_LOOK_BYTES]
        return _ARRAY.match(start) is not None and all(name in start for name in _NAMES)

    def parse(self, post: Post) -> Reading:
        """Read every record of the array; one that nobody can read makes the whole a letter."""
        body, repaired = read_json(post.body)
        if not isinstance(body, list):
            raise Unreadable("the webhook is not an array")
        events: dict[str, Event] = {}
        for item in body:
            if not isinstance(item, dict):
                raise Unreadable("the array holds something that is no object")
            event = self._reader.event(item, repaired=repaired)
            events[event.id] = event
        nameless = self._needs_ids and any(self._nameless(event) for event in events.values())
        return Reading(tuple(events.values()), (_BY_NAME,) if nameless else ())

    def _nameless(self, event: Event) -> bool:
        """Say whether a line was crossed of which no rule speaks by its id."""
        trigger = event.data.get("trigger")
        ours = isinstance(trigger, str) and self._reader.rules.find(trigger, None) is not None
        return event.data.get("event_type") == CROSSING and not ours

    def accepted(self, post: Post) -> Reply:  # noqa: ARG002 - the answer is always the same
        """Answer 200: what the cloud makes of another answer is not documented."""
        return Reply(200, b"{}", "application/json")

    def refused(self, post: Post) -> Reply:  # noqa: ARG002 - the answer is always the same
        """Answer 503; the record can still be polled."""
        return Reply(503, b"{}", "application/json")
