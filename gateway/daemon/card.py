"""Shows what `gateway provision` could not do at this start, until it is mended."""

from pathlib import Path

from gateway.faults import Faults
from gateway.firstboot import read_record


def look(home: Path | None, faults: Faults) -> None:
    """Have the faults stand that the record beside the configuration tells of."""
    if home is None:
        return
    record = read_record(home)
    for code, said in (
        ("config_card_rejected", record.rejected),
        ("config_card_unwritten", record.unwritten),
    ):
        if said:
            faults.report(code, "", said, again=False)
        else:
            faults.clear(code)
