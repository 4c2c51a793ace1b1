"""An upstream HTTPS receiver to send to: it checks what it gets and remembers what it took.

It shares no code with the sink, so that a mistake on one side cannot hide behind the same mistake here.
"""

from gateway.simulate.receiver.arrivals import Arrivals, Delivery
from gateway.simulate.receiver.behaviour import Fault, Outcome, Request
from gateway.simulate.receiver.server import Receiver

__all__ = ["Arrivals", "Delivery", "Fault", "Outcome", "Receiver", "Request"]
