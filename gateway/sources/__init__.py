"""The registry of sources: one line per device protocol that we understand."""

from collections.abc import Sequence

from gateway.source import Source
from gateway.sources.camio import Camio
from gateway.sources.camlytics import Camlytics, Instance
from gateway.sources.camlytics_cloud import CamlyticsCloudWebhook
from gateway.sources.face_terminal import FaceTerminal
from gateway.sources.people_counter import PeopleCounter


def registry(
    keep_personal: frozenset[str] = frozenset(),
    *,
    keep_pictures: bool = False,
    camlytics: Sequence[Instance] = (),
) -> tuple[Source, ...]:
    """Make every source, in the order in which they are asked whether a body is theirs.

    ``keep_personal`` names the personal fields that may enter an event; the others stay behind. Pictures
    are handed on, beside the events, only with ``keep_pictures``. ``camlytics`` are those that are configured.
    """
    return (
        PeopleCounter(keep_personal=keep_personal),
        FaceTerminal(keep_personal=keep_personal, keep_pictures=keep_pictures),
        Camlytics(camlytics),
    )


def callbacks(
    keep_personal: frozenset[str] = frozenset(), *, camlytics_cloud: CamlyticsCloudWebhook | None = None
) -> tuple[Source, ...]:
    """Make the sources of clouds that call back out of the internet; they have a port of their own."""
    webhook = camlytics_cloud or CamlyticsCloudWebhook(keep_personal=keep_personal)
    return (Camio(keep_personal=keep_personal), webhook)
