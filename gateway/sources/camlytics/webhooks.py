"""The webhooks of Camlytics: one for each event, or sums of an hour or a day.

One way counts for each instance. What comes by another way is answered as taken, because a refusal loses it for
good, and is not counted, because it was counted already.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC

from gateway.errors import Unreadable
from gateway.event import Json, ZoneRule, slug
from gateway.reading.json_body import read_json
from gateway.source import Notice, Post, Reading, Reply
from gateway.sources.camlytics import events
from gateway.sources.camlytics.aggregates import Aggregate, aggregate_of
from gateway.sources.camlytics.instance import FAMILY, SOURCE, Instance
from gateway.sources.camlytics.meaning import unsaid
from gateway.sources.camlytics.notices import rules_wanted
from gateway.sources.camlytics.told import by_webhook
from gateway.sources.camlytics.walltime import nearest

_CHANNEL = re.compile(rb'"channel_id"\s*+:')
_OURS = re.compile(rb'"(?:event_type|event_type_aggregate|rule_id_aggregate)"\s*+:')
_TAKEN = Reply(200, b'{"result":"success"}', "application/json")
_SAID = {"webhook": "an immediate webhook", "hourly": "an hourly webhook", "daily": "a daily webhook"}


class Camlytics:
    """Reads webhooks, each for the instance that sent it."""

    name = SOURCE
    family = FAMILY
    max_body_bytes = 262_144

    def __init__(self, instances: Sequence[Instance] = ()) -> None:
        self._instances = tuple(instances)

    def recognises(self, post: Post) -> bool:
        """Say whether this is an object with a channel and either an event or sums; the cloud sends arrays."""
        body = post.body
        if not body[:64].removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n").startswith(b"{"):
            return False
        return _CHANNEL.search(body) is not None and _OURS.search(body) is not None

    def parse(self, post: Post) -> Reading:
        """Read the event, or the sums."""
        body, repaired = read_json(post.body)
        if not isinstance(body, Mapping):
            raise Unreadable("the webhook is not a JSON object")
        sums = "event_type_aggregate" in body or "rule_id_aggregate" in body
        aggregate = aggregate_of(body) if sums else None
        way = "webhook" if aggregate is None else aggregate.way
        known = self._instance(post)
        if known is not None and known.mode != way:
            return Reading((), (_two_ways(known, way),), _TAKEN)
        instance = known or _stranger(post)
        if aggregate is None:
            reading = _event(body, instance, post, repaired=repaired)
        else:
            reading = _sums(aggregate, instance, post, repaired=repaired)
        if known is not None:
            return replace(reading, configured=True)
        return replace(reading, notices=(_unknown(post),))

    def accepted(self, post: Post) -> Reply:  # noqa: ARG002 - the contract of a source
        """Answer as the vendor's own example does."""
        return _TAKEN

    def refused(self, post: Post) -> Reply:  # noqa: ARG002 - the contract of a source
        """Refuse: no retry is described, so this loses the webhook; Camlytics logs it."""
        return Reply(503, b'{"result":"error"}', "application/json")

    def _instance(self, post: Post) -> Instance | None:
        """Find the sender by the token in its URL, else by its address; where two share one, nobody knows."""
        here = [one for one in self._instances if post.token is not None and one.token == post.token]
        here = here or [one for one in self._instances if one.host == post.address]
        return here[0] if len(here) == 1 else None


def _event(body: Mapping[str, Json], instance: Instance, post: Post, *, repaired: bool) -> Reading:
    told = by_webhook(body)
    device = events.device(instance, told.channel, told.channel_name, post.address)
    rule = ZoneRule.SOURCE_ZONE if told.wall.tzinfo is None else ZoneRule.DEVICE_OFFSET
    at = nearest(told.wall, instance.zone, post.received_at)
    made = events.event(told, instance, device, at, rule=rule, repaired=repaired)
    wanted = (rules_wanted(instance.name, [told.rule_name]),) if unsaid(told, instance) else ()
    return Reading((made,), wanted)


def _sums(aggregate: Aggregate, instance: Instance, post: Post, *, repaired: bool) -> Reading:
    device = events.device(instance, aggregate.channel, aggregate.channel_name, post.address)
    made, unknown = aggregate.events(instance, device, post.received_at, repaired=repaired)
    return Reading(made, (rules_wanted(instance.name, unknown),) if unknown else ())


def _stranger(post: Post) -> Instance:
    """Stand in for an instance that nobody configured: what it sends is kept, and none of it is counted."""
    where = post.token or post.address.replace(".", "-").replace(":", "-")
    return Instance(name=f"at-{slug(where)}", mode="webhook", zone=post.zone or UTC)


def _two_ways(instance: Instance, way: str) -> Notice:
    return Notice(
        "camlytics_two_ways",
        f'Camlytics {instance.name} sends {_SAID[way]}, but mode = "{instance.mode}" is configured for it. '
        "It was answered and not counted, so that nobody counts twice.",
        f'Switch these webhooks off in Camlytics, or set mode = "{way}" in [camlytics.{instance.name}].',
    )


def _unknown(post: Post) -> Notice:
    return Notice(
        "camlytics_unknown",
        f"A Camlytics at {post.address} sends webhooks, and no section of the configuration has this address. "
        "What it sends is kept, but nobody is counted.",
        f'Add [camlytics.NAME] with endpoint = "http://{post.address}:48462" and mode = "webhook".',
    )
