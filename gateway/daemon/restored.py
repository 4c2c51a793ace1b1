"""Tell a person, and who takes the events, that this store came out of a backup and what is not in it."""

from gateway import clock
from gateway.faults import Faults
from gateway.outbox import Outbox, replacing, rfc3339
from gateway.outbox.epochs import Restored

CODE = "store_restored"
_STANDS_MS = 7 * 86_400_000


def look(outbox: Outbox, faults: Faults) -> None:
    """Have the fault stand for a week, and for as long as the replaced store lies there."""
    told = outbox.restored
    if told is None:
        return
    try:
        aside = [path.name for path in replacing.kept_aside(outbox.settings.directory)]
    except OSError:
        return  # the disk is away: what was told stands
    if not aside and not 0 <= clock.now_ms() - told.at < _STANDS_MS:
        faults.clear(CODE)
        return
    sentence = (
        f"The store was restored from a backup of {rfc3339(told.taken)}: what came after that is missing, not zero, unless"
        " its device sent it again; totals and lifetimes stand where they were then."
    )
    if aside:
        sentence += f" The replaced store lies in {', '.join(aside)}."
    faults.report(CODE, "", sentence, again=False)


def summary(told: Restored | None) -> dict[str, object] | None:
    """Say it in the status document."""
    if told is None:
        return None
    return {"at": rfc3339(told.at), "backup_of": rfc3339(told.taken), "received": told.received}
