"""The composition root: builds everything from the configuration, starts it, stops it in order."""

from gateway.daemon.running import run

__all__ = ["run"]
