"""Camio's callbacks: incidents of cameras, events of doors without a camera, and news about cameras, zones and hooks.

They come out of the internet, so they have a port of their own (`gateway.callbacks`).
"""

from gateway.errors import Unreadable
from gateway.source import Post, Reading, Reply
from gateway.sources.camio import door_events, incidents
from gateway.sources.camio.envelope import FAMILY, SOURCE, is_ours, open_callback
from gateway.sources.camio.observations import observation

__all__ = ["Camio"]

# The vendor does not say what it takes for a success, nor whether it sends again after anything else.
_ACCEPTED = Reply(200, b'{"ok":true}\n', "application/json")
_REFUSED = Reply(503, b"The gateway cannot store this now; send it again.\n")


class Camio:
    """Reads Camio's callbacks. ``keep_personal`` names the personal fields that stay."""

    name = SOURCE
    family = FAMILY
    max_body_bytes = 2_000_000

    def __init__(self, keep_personal: frozenset[str] = frozenset()) -> None:
        self._keep_pacs = door_events.PERSONAL_NAME in keep_personal

    def recognises(self, post: Post) -> bool:
        return is_ours(post.body)

    def parse(self, post: Post) -> Reading:
        callback = open_callback(post.body)
        try:
            if callback.type == incidents.TYPE:
                return Reading(incidents.incident_events(post, callback))
            if callback.type == door_events.TYPE:
                return Reading(door_events.door_events(post, callback, keep_personal=self._keep_pacs))
            return Reading((observation(post, callback),))
        except RecursionError:
            raise Unreadable("the callback is nested too deeply") from None

    def accepted(self, post: Post) -> Reply:  # noqa: ARG002 - the contract of a source
        return _ACCEPTED

    def refused(self, post: Post) -> Reply:  # noqa: ARG002 - the contract of a source
        return _REFUSED
