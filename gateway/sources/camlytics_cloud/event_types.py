"""The event types of Camlytics, and what each is for us; a type that is not here is an observation."""

import re

CROSSING = "TripwireCrossed"
JOIN, LEAVE = "RegionJoin", "RegionLeave"

# What becomes an alarm: its word, and whether it begins or ends. Most have no type that ends them.
ALARMS = {
    "Sabotage": ("camera_obstructed", "raised"),
    "CameraDisconnected": ("camera_disconnected", "raised"),
    "Tailgating": ("tailgating", "raised"),
    "AbandonedObject": ("abandoned_object", "raised"),
    "Loitering": ("loitering", "raised"),
    "CrowdOn": ("crowd", "raised"),
    "CrowdOff": ("crowd", "cleared"),
}

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def word_of(event_type: str) -> str:
    """Write RegionJoin as region_join."""
    return _HUMP.sub("_", event_type).lower() or "unknown"
