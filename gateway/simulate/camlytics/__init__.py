"""Camlytics for Windows, made up: a PC with cameras, its REST interface and its webhooks."""

from gateway.simulate.camlytics.pc import Pc
from gateway.simulate.camlytics.server import Camlytics, Says
from gateway.simulate.camlytics.webhooks import Webhooks

__all__ = ["Camlytics", "Pc", "Says", "Webhooks"]
