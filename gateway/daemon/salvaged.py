"""Tell a person of a store that was damaged, over restarts, as long as the damaged file lies beside the new one."""

import contextlib
from pathlib import Path

import structlog

from gateway.doctor.store import NOTE, left_behind
from gateway.faults import Faults
from gateway.outbox.salvage import Salvaged

log = structlog.get_logger()

CODE = "store_salvaged"


def tell(directory: Path, saved: Salvaged | None, faults: Faults) -> None:
    """Say at the start what became of a damaged store, and write it down for the starts to come."""
    if saved is not None:
        lost = None if saved.untold else saved.lost
        told = {"events": saved.events, "lost": lost, "altered": list(saved.altered)}
        log.error(CODE, problem=saved.problem, **told)
        with contextlib.suppress(OSError):  # the file itself is seen again
            (directory / NOTE).write_text(sentence(saved), "utf-8")
        faults.report(CODE, "", sentence(saved))
    look(directory, faults)


def look(directory: Path, faults: Faults) -> None:
    """Have the fault stand as long as a damaged file lies there: whoever takes it away has read it."""
    found = left_behind(directory)
    if not found.known:
        return  # the disk is away: what was told stands
    if not found.well:
        faults.report(CODE, "", found.sentence, again=False)
    elif faults.clear(CODE):
        with contextlib.suppress(OSError):
            (directory / NOTE).unlink(missing_ok=True)


def sentence(saved: Salvaged) -> str:
    """Say what was saved, and what was lost as far as anybody can know."""
    said = f"The store was damaged ({saved.problem}) and was moved to {saved.kept_as.name}; {saved.events} events were saved"
    if saved.untold:
        said += ". How many were lost cannot be told: what counted them could not be read whole."
    else:
        said += f", {saved.lost} that a sink had not had yet were lost."
    if saved.places_lost:
        said += " How far the sinks had got is lost too: what was saved goes to them once more, under the same ids."
    if saved.book_lost:
        said += " The book of devices could not be read whole: what is missing was made anew of the log."
    if saved.altered:
        said += f" Left out, because not as it was written: {', '.join(saved.altered)}."
    return said
