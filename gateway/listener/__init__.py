"""The HTTP front: bound sockets, and a listener around hypercorn's HTTP/1.1. Nothing else may import hypercorn."""

from gateway.listener.bind import CannotListen, bind, bind_unix
from gateway.listener.limits import Limits
from gateway.listener.listener import Listener

__all__ = ["CannotListen", "Limits", "Listener", "bind", "bind_unix"]
