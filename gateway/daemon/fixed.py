"""The settings that a running gateway cannot change."""

from gateway.config import Config


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
