"""The loops that drain the log into the sinks."""

from gateway.forwarder.draining import Pacing
from gateway.forwarder.loop import Forwarder
from gateway.forwarder.rendering import Rendering

__all__ = ["Forwarder", "Pacing", "Rendering"]
