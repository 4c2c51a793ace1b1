"""Where a secret that the box keeps may go on to: only where it went, or a card would fetch it out."""

from dataclasses import replace
from urllib.parse import urlsplit

from gateway.config.advice import dotted
from gateway.config.lines import Place
from gateway.firstboot.inlets import Inlet
from gateway.firstboot.plan import Plan, base, table

_PORTS = {"mqtt": 1883, "mqtts": 8883, "http": 80, "https": 443}


def stay(drawn: Plan, one: Inlet, name: str) -> None:
    """Have a secret go only where it went: else a card would fetch it out of the box to an end of its own."""
    before = [*drawn.vault.named(one.table, "endpoint"), None][0]
    now = table(drawn.raw, one.table).get("endpoint")
    used = name in map(base, drawn.vault.named(one.table, one.option.name))
    if now is before is None:
        return
    problem = "the gateway keeps this secret for another endpoint, and takes it to no new one"
    if used and _far_end(now) == _far_end(before):
        if _authority(drawn, one.table) == _authority_before(drawn, one.table):
            return
        problem = "with this ca_file another far end would get the secret that the gateway keeps"
    said = drawn.mistake(one.place, problem, "Write the secret here anew, in quotes.")
    key = dotted((*one.table, one.option.name))
    drawn.moved.setdefault(key, replace(said, key=dotted((*one.table, one.option.word))))


def _authority(drawn: Plan, section: Place) -> bytes | None:
    """Give what the far end has to prove itself by: the content, because its name says nothing."""
    name = drawn.names.get((*section, "ca_file"))
    return None if name is None else drawn.content(name)


def _authority_before(drawn: Plan, section: Place) -> bytes | None:
    return next(map(drawn.vault.content, drawn.vault.named(section, "ca_file")), None)


def _far_end(endpoint: object) -> object:
    try:
        parts = urlsplit(str(endpoint))
        where = (parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme))
    except ValueError:
        return endpoint
    return where
