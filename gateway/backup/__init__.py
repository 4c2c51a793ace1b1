"""Backups: everything that a box needs to go on where another one stopped, in one file."""

from gateway.backup.about import About, NotABackup
from gateway.backup.restoring import Wish, restore
from gateway.backup.taking import Taken, take, take_to
from gateway.backup.telling import Restored

__all__ = ["About", "NotABackup", "Restored", "Taken", "Wish", "restore", "take", "take_to"]
