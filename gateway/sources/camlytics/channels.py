"""Reads the list of channels: ids and names.

The same list holds logins, passwords and the addresses of streams in the clear. Nothing else is taken out of it,
and nothing of it is ever said in a reason.
"""

from collections.abc import Iterable, Mapping

from gateway.event import Json
from gateway.sources.camlytics.values import name_of, text

_MOST = 500


def labels_in(items: Iterable[Json]) -> dict[str, Json]:
    """Give the names of channels by their ids."""
    labels: dict[str, Json] = {}
    for item in items:
        if isinstance(item, Mapping) and (channel := name_of(item.get("channel_id"))) and len(labels) < _MOST:
            labels[channel] = text(item.get("name"))
    return labels
