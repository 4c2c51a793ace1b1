"""Which fault is told first."""

# What is told first: where events are kept, then where they go; what a clock shows waits best.
_WEIGHT = (("store_", "disk_", "port_"), ("no_sink", "sink_", "mqtt_", "https_"))
_LIGHT = ("clock_", "zone_disagrees", "gateway_id_")


def weight(code: str) -> int:
    """Say how heavy a fault is: the less, the sooner a person is told."""
    heavy = next((place for place, begins in enumerate(_WEIGHT) if code.startswith(begins)), len(_WEIGHT))
    return len(_WEIGHT) + 1 if code.startswith(_LIGHT) else heavy
