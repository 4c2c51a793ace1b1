"""`gateway devices --pins`: sections of the configuration that pin each device to the address it pushes from."""

from collections.abc import Iterator, Sequence
from ipaddress import ip_address

import click

from gateway.commands.asking import plain
from gateway.commands.pinned import pinned_to
from gateway.config import Config

_PUSHED = ("counter-", "terminal-")  # the others are asked by us, or come with a secret of their own
_HEAD = """\
# Devices pinned to the addresses that they pushed from last. Before you copy this: compare each address with the
# device's own menu, because what stands here may be somebody else's; and reserve it in the router."""


def print_pins(config: Config, rows: Sequence[dict[str, object]]) -> None:
    """Print a section for each device that has none, and the line to add where there is one."""
    click.echo(_HEAD)
    sections = {device.id: (name, device) for name, device in config.devices.items() if device.id}
    taken = set(config.devices)
    for device, address in _pushing(rows):
        name, section = sections.get(device, (None, None))
        if section is None:
            name = _free(device[:48], taken)
            click.echo(f'\n[devices.{name}]\nid = "{device}"\naddress = "{address}"')
        elif section.address is None:
            click.echo(f'\n# In your section [devices.{name}] add:\n#address = "{address}"')
        else:
            click.echo(f"\n# {device} is pinned already, to {pinned_to(section)}, in [devices.{name}].")


def _pushing(rows: Sequence[dict[str, object]]) -> Iterator[tuple[str, str]]:
    for row in rows:
        device, address = plain(row["device"]), str(row.get("address") or "")
        if device.startswith(_PUSHED) and len(device) <= 48 and _is_address(address):
            yield device, address


def _free(name: str, taken: set[str]) -> str:
    number, free = 2, name
    while free in taken:
        free = f"{name[:44]}-{number}"
        number += 1
    taken.add(free)
    return free


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
