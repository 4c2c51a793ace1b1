"""What people are told about silence: with the figures of the case, and with what to do where nobody can tell."""

from gateway.outbox import Sign, rfc3339

_HINTS = {
    "people_counter": (
        "It counts in real time and has no heartbeat address, so nobody can tell an empty shop from a broken counter: "
        "type http://GATEWAY:PORT/heartbeat into its heartbeat URL, or choose interval upload."
    ),
    "face_terminal": (
        "A face terminal sends nothing by itself, so nobody can tell a quiet door from a broken terminal: set "
        "silent_after_s in its [devices.NAME] section to the longest time that its door is ever unused."
    ),
    "camio": (
        "Camio sends only what happens. Set silent_after_s in the [devices.NAME] section of this camera if it is "
        "known how long it is quiet at most."
    ),
    "camlytics": (
        "Its webhooks come only when something happens: have the gateway poll this Camlytics, or set silent_after_s "
        "in the [devices.NAME] section of this channel."
    ),
}
_ANY = (
    "It sends only what happens. Set silent_after_s in its [devices.NAME] section if it is known how long it is quiet "
    "at most."
)


_ACTIONS = {
    "face_terminal": (
        "Check the terminal's power, its cable and its network, and the gateway's address in its push setting; it may "
        "also be that nobody used its door for longer than silent_after_s."
    ),
    "camio": "Look at the camera in Camio, and whether its callbacks still reach this gateway.",
    "camlytics": (
        "Check that the camera works in Camlytics, that its computer is on, and that the gateway still polls it or gets "
        "its webhooks."
    ),
    "camlytics_cloud": (
        "Look at the channel in the portal, and whether the gateway still polls this account or gets its webhooks."
    ),
}
_BY_ITSELF = ("people_counter",)  # of the others only our own asking, or what happens, is heard


def action(source: str) -> str | None:
    """Say what to do about a device of this source that is silent; None for what is done about any."""
    return _ACTIONS.get(source)


def hint(source: str) -> str:
    """Say what an installer can do about a device of which nobody can tell whether it lives."""
    return _HINTS.get(source, _HINTS["camlytics"] if source.startswith("camlytics") else _ANY)


def silent(sign: Sign, quiet_s: float) -> str:
    """Say that a device is silent."""
    if sign.heard is None:
        return (
            f"{sign.device} is silent, since before the gateway was started; it was last seen {_seen(sign)}."
        )
    return (
        f"{sign.device} has been silent for {spell(quiet_s)}{_rhythm(sign)}; it was last seen {_seen(sign)}."
    )


def gone(sign: Sign, quiet_s: float) -> str:
    """Say that a device has been silent for very long."""
    return f"{sign.device} is gone: nothing was heard of it for {spell(quiet_s)}. It was last seen {_seen(sign)}."


def back(sign: Sign) -> str:
    """Say that a device is heard again."""
    return f"{sign.device} is heard again{_rhythm(sign)}."


def cannot_tell(sign: Sign) -> str:
    """Say that nobody can tell, and why."""
    return f"{sign.device}: {hint(sign.source)}"


def everybody(count: int, quiet_s: float) -> str:
    """Say that nothing comes from anybody."""
    return (
        f"Nothing has come from any device for {spell(quiet_s)}, and {count} that speak by themselves are silent: "
        "it is the network or the address of this gateway, and not the devices."
    )


def spell(seconds: float) -> str:
    """Write a length of time as people say it."""
    for unit, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= 2 * unit:
            return f"{seconds // unit:.0f} {name}s"
    return f"{seconds:.0f} seconds"


def _rhythm(sign: Sign) -> str:
    if sign.rhythm_s is None or sign.source not in _BY_ITSELF:
        return ""
    return f"; it speaks every {spell(sign.rhythm_s)}"


def _seen(sign: Sign) -> str:
    return rfc3339(sign.last_seen)[:19] + "Z"
