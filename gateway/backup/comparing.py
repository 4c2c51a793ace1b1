"""Whether a backup may be put here: whose it is, and whether the store here has got further."""

from pathlib import Path

from gateway.backup.about import About, Figures
from gateway.errors import GatewayError
from gateway.outbox import rfc3339, schema


def check_schema(said: About) -> None:
    """Refuse the store of a newer gateway."""
    if said.schema > schema.VERSION:
        raise GatewayError(
            f"This backup is of a newer gateway ({said.version}, store version {said.schema}; this one knows"
            f" {schema.VERSION}): install the newer gateway first."
        )


def check_gateway(said: About, gateway: str | None, path: Path | None) -> None:
    """Refuse the backup of another gateway; one whose id is written nowhere takes the one of the backup."""
    if gateway not in (None, said.gateway):
        where = "The configuration in the backup" if path is None else str(path)
        raise GatewayError(
            f"This is a backup of the gateway {said.gateway}, and {where} is of {gateway}. Is it the right file? Then move"
            f' that configuration away, or write id = "{said.gateway}" in its section [gateway].'
        )


def check_way(said: About, here: Figures | None, directory: Path, *, backwards: bool) -> None:
    """Refuse to replace a store that has got further than the backup, or that is another one, unless that is wanted."""
    if here is None or not here.received or backwards:
        return
    there = f"The store in {directory} has {_got(here.received, here.newest)}"
    then = "To replace it all the same add --backwards; it will be kept aside."
    if here.lineage != said.lineage:
        raise GatewayError(
            f"{there}, and is not the store that this backup was taken of"
            f" ({_got(said.received, said.newest)}). {then}"
        )
    if here.received > said.received:
        raise GatewayError(
            f"This would go backwards. {there}; the backup of {rfc3339(said.taken)} has"
            f" {_got(said.received, said.newest)}: {here.received - said.received} fewer. {then}"
        )


def _got(received: int, newest: int | None) -> str:
    last = "" if newest is None else f", the last one of {rfc3339(newest)}"
    return f"{received} events{last}"
