"""The support archive of `gateway doctor --bundle`: what somebody far away needs to see, and nothing that is secret."""

from gateway.doctor.bundle.archive import Packed, write

__all__ = ["Packed", "write"]
