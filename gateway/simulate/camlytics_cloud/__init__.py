"""A stand-in for the Camlytics cloud: the seven methods over a real socket, its rules enforced, and its webhooks."""

from gateway.simulate.camlytics_cloud.gate import Gate
from gateway.simulate.camlytics_cloud.server import Cloud, Says
from gateway.simulate.camlytics_cloud.webhooks import Webhooks
from gateway.simulate.camlytics_cloud.world import Place, World

__all__ = ["Cloud", "Gate", "Place", "Says", "Webhooks", "World"]
