"""Says which devices are online, silent or gone, by each one's own rhythm; and of whom nobody can tell."""

from gateway.liveness.judging import CANNOT_TELL, GONE, ONLINE, SILENT, Limits
from gateway.liveness.loop import Liveness
from gateway.liveness.sentences import hint

__all__ = ["CANNOT_TELL", "GONE", "ONLINE", "SILENT", "Limits", "Liveness", "hint"]
