"""The configuration file: is it in order, and is it the one that the gateway runs with."""

from collections.abc import Iterable

from gateway.config import Config, UnreadableConfigError, load
from gateway.doctor.box import Box, Check, hindered, well, wrong
from gateway.doctor.finding import Finding
from gateway.errors import ConfigError

NAME = "configuration"


def look(box: Box) -> Iterable[Finding]:
    """Check the file as `gateway check` does, and compare it with what runs."""
    if box.path is None:
        yield well(NAME, "There is no file: the defaults hold.")
        return
    try:
        written = load(box.path)
    except UnreadableConfigError:  # of the gateway's own user the check of the permissions says it
        yield hindered(NAME, f"This user may not read {box.path}: run the command with sudo.")
        return
    except ConfigError as error:
        used = "The last good configuration is in use. " if box.recalled or box.inside else ""
        code = "config_changed" if _is_only_written(box) else "config_rejected"
        remedy = ""
        if box.inside:
            remedy = "Correct the lines that `gateway check` names, then run: sudo gateway reload"
        elif box.told is None and not box.recalled:
            # Nothing runs, and nothing else is there to run with.
            remedy = "Correct the lines that `gateway check` names, then run: sudo systemctl restart gateway"
        yield wrong(NAME, code, f"{used}{error}", remedy=remedy)
        return
    if _is_other(written, box):
        yield wrong(
            NAME, "config_changed", f"{box.path} was changed, and the gateway does not run with it yet."
        )
    else:
        yield well(NAME, f"{box.path} is fine (hash {written.hash}).")


def _is_only_written(box: Box) -> bool:
    """Nobody has tried to use the file yet: the daemon says itself when it was given one with mistakes."""
    faults = (box.told or {}).get("faults")
    codes = [fault.get("code") for fault in faults] if isinstance(faults, list) else []
    return box.inside or (box.told is not None and "config_rejected" not in codes)


def _is_other(written: Config, box: Box) -> bool:
    if box.inside:
        return written.going_on_as(box.config.gateway.id) != box.config
    told = (box.told or {}).get("config_hash")
    return told is not None and told != written.hash


CHECK = Check(NAME, look, frozenset({"config_rejected", "config_changed"}), cheap=True)
