"""An edge gateway for people-counting cameras and face terminals."""

__version__ = "0.1.0"
