"""The settings that a running gateway cannot change."""

import structlog

from gateway.config import Config
from gateway.faults import Faults

log = structlog.get_logger()


def tell(old: Config, new: Config, faults: Faults) -> list[str]:
    """Tell a person, and give, which settings were changed and wait for a restart."""
    waiting = changed(old, new)
    if waiting:
        faults.report("config_restart", "", f"Changed, but not yet in effect: {', '.join(waiting)}.")
        log.warning("config_needs_restart", settings=waiting)
    else:
        faults.clear("config_restart")
    return waiting


def changed(old: Config, new: Config) -> list[str]:
    """Name those that differ, as they are written in the configuration."""
    differs = {
        "listen": old.listen != new.listen,
        "store.path": old.store.path != new.store.path,
        "store.max_bytes": old.store.max_bytes != new.store.max_bytes,
        "store.commit_queue": old.store.commit_queue != new.store.commit_queue,
        "runtime": old.runtime != new.runtime,
        "site.zone": old.site.zone != new.site.zone,
    }
    return [name for name, is_so in differs.items() if is_so]
