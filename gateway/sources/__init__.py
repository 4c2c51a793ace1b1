"""The registry of sources: one line per device protocol that we understand."""

from gateway.source import Source
from gateway.sources.face_terminal import FaceTerminal
from gateway.sources.people_counter import PeopleCounter


def registry(keep_personal: frozenset[str] = frozenset()) -> tuple[Source, ...]:
    """Make every source, in the order in which they are asked whether a body is theirs.

    ``keep_personal`` names the personal fields that may enter an event; the others stay behind.
    """
    return (PeopleCounter(keep_personal=keep_personal), FaceTerminal(keep_personal=keep_personal))
