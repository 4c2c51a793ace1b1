"""Camlytics for Windows on the LAN: its events by poll (`CamlyticsPoll`), or by webhook (`Camlytics`)."""

from gateway.sources.camlytics.instance import Instance, Rule
from gateway.sources.camlytics.poll import CamlyticsPoll
from gateway.sources.camlytics.webhooks import Camlytics

__all__ = ["Camlytics", "CamlyticsPoll", "Instance", "Rule"]
