"""Takes the pushes of devices, keeps what they mean, and answers in their dialects."""

from gateway.receiver.receiver import Receiver
from gateway.receiver.reception import Counters, Reception, Watched
from gateway.receiver.visits import ALIVE_PATH

__all__ = ["ALIVE_PATH", "Counters", "Receiver", "Reception", "Watched"]
