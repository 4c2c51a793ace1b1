"""A box without a shell is told what to do by a file on its card: `gateway.toml`, taken over before the daemon starts.

Checked like every configuration; the secrets move to files of root and are blanked on the card; what is wrong is
written beside the file. The box never goes on with half of it.
"""

from gateway.firstboot.record import RECORD, Record, read_record
from gateway.firstboot.taking_over import Outcome, provision, tell_address

__all__ = ["RECORD", "Outcome", "Record", "provision", "read_record", "tell_address"]
