"""What is wrong right now, for people: a stable code, a subject, one sentence, one action.

The sentence says what is wrong and where, with the figures of this case; the action belongs to the code.
"""

from gateway.faults.actions import ACTIONS
from gateway.faults.ranking import weight
from gateway.faults.register import Fault, Faults

__all__ = ["ACTIONS", "Fault", "Faults", "weight"]
