"""The loops that drain the log into the sinks."""

from gateway.forwarder.loop import Forwarder, Pacing
from gateway.forwarder.rendering import Rendering

__all__ = ["Forwarder", "Pacing", "Rendering"]
