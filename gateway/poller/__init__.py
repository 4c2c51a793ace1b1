"""Asks other systems again and again, and puts what they answer on disk together with how far it has got.

Loops, connections, turns and trouble are here; what is asked and what an answer means is the poll's
(`source.Poll`), which does no I/O.
"""

from gateway.poller.poller import Poller
from gateway.poller.standing import Standing

__all__ = ["Poller", "Standing"]
