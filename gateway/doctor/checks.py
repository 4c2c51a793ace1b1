"""The list of everything that is looked at, in the order in which a person reads it."""

from collections.abc import Sequence

from gateway.config import Config
from gateway.doctor import (
    card,
    configuration,
    devices,
    disk,
    far_ends,
    memory,
    network,
    permissions,
    ports,
    power,
    store,
    timekeeping,
    versions,
)
from gateway.doctor.box import Check

BOX_CHECKS: tuple[Check, ...] = (
    ports.DAEMON,
    versions.CHECK,
    configuration.CHECK,
    permissions.CHECK,
    timekeeping.CHECK,
    disk.ROOM,
    disk.CHECK,
    card.CHECK,
    card.SMART,
    card.KERNEL_LOG,
    memory.CHECK,
    power.CHECK,
    power.TEMPERATURE,
    network.CHECK,
    network.WAY_OUT,
    network.NAMES,
    ports.CHECK,
    store.CHECK,
    store.DAMAGED,
    store.WAITING,
    store.KEPT,
    devices.CHECK,
)


def all_checks(config: Config) -> Sequence[Check]:
    """Give the checks of this configuration: those of the box, then one for each far end."""
    return [*BOX_CHECKS, *far_ends.checks(config)]
