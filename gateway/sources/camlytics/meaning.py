"""The fourteen event types of Camlytics, and what each is for us.

An alarm is what somebody should look at now. Most have no type that says they are over, so they are raised
and never cleared. A type that is not here is an observation.
"""

from collections.abc import Mapping

from gateway.event import Json, Kind
from gateway.sources.camlytics.instance import Instance, Rule
from gateway.sources.camlytics.told import Told
from gateway.sources.camlytics.values import word_of

CROSSING = "TripwireCrossed"
JOIN, LEAVE = "RegionJoin", "RegionLeave"

ALARMS: Mapping[str, tuple[str, str]] = {
    "Sabotage": ("camera_obstructed", "raised"),
    "CameraDisconnected": ("camera_disconnected", "raised"),
    "Tailgating": ("tailgating", "raised"),
    "AbandonedObject": ("abandoned_object", "raised"),
    "Loitering": ("loitering", "raised"),
    "CrowdOn": ("crowd", "raised"),
    "CrowdOff": ("crowd", "cleared"),
}
OBSERVATIONS = ("MotionInRegionOn", "MotionInRegionOff", "ObjectAppear", "ObjectDisappear")
TYPES = (CROSSING, JOIN, LEAVE, *ALARMS, *OBSERVATIONS)


def meaning(told: Told, instance: Instance) -> tuple[Kind, dict[str, Json]]:
    """Say which kind of event it is, and what is particular to that kind."""
    if told.type in ALARMS:
        alarm, state = ALARMS[told.type]
        trace = "/".join(part for part in (told.channel, told.rule, alarm) if part)
        return Kind.ALARM, {"alarm": alarm, "code": None, "state": state, "trace_id": trace}
    entering = entered(told, instance)
    if entering is None:
        return Kind.OBSERVATION, {"observation": word_of(told.type)}
    return Kind.COUNT, {
        "count": "increment",
        "view": "total",
        "object": told.rule,
        "name": told.rule_name,
        "enters": int(entering),
        "exits": int(not entering),
        "complete": True,
    }


def entered(told: Told, instance: Instance) -> bool | None:
    """Say whether somebody came in or went out by it; None when it counts nobody."""
    rule = instance.rule(told.rule_name)
    if rule is None or rule.direction == "ignore" or told.origin.lower() not in instance.origins:
        return None
    if told.type == CROSSING:
        return None if rule.direction is None else rule.direction == "in"
    if told.type in (JOIN, LEAVE) and rule.zone is not None:
        return (told.type == JOIN) is not (rule.direction == "out")
    return None


def unsaid(told: Told, instance: Instance) -> bool:
    """Say whether people pass a rule of which the owner has said nothing that could be counted."""
    if told.type not in (CROSSING, JOIN, LEAVE) or told.origin.lower() not in instance.origins:
        return False
    rule = instance.rule(told.rule_name)
    if told.type == CROSSING:
        return rule is None or rule.direction is None
    return rule is None and bool(told.rule_name)


def zone_of(told: Told, rule: Rule | None) -> dict[str, Json]:
    """Give the zone of ours that a rule belongs to."""
    return {"zone": rule.zone} if rule is not None and rule.zone and told.rule else {}
