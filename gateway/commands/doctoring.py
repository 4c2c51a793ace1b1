"""`gateway doctor`: look at everything, and say of each thing whether it is well, and else what to do."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from gateway import __version__
from gateway.commands.asking import CANNOT_TELL, FAULT, FINE, as_json, give_up, plain, show
from gateway.doctor.checks import all_checks
from gateway.doctor.examining import examine
from gateway.doctor.finding import Finding
from gateway.doctor.preparing import Prepared, prepare, standing
from gateway.errors import GatewayError

SCHEMA = 1  # of the JSON; it grows when a key changes its meaning or goes
_TOTAL_S = 8.0  # of the ten seconds; the rest is for the start of the program
_VERDICTS = {FINE: "well", FAULT: "fault", CANNOT_TELL: "cannot be told"}


@click.command()
@as_json
@click.option(
    "--bundle",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a support archive that is safe to mail, such as doctor.tar.gz.",
)
@click.pass_obj
def doctor(path: Path | None, *, as_json: bool, bundle: Path | None) -> None:
    """Look at the box, its configuration and all far ends, and say what is wrong and what to do.

    It works with the gateway down, too, takes less than ten seconds and needs no rights; with sudo it sees more.
    Each far end gets one event that is marked as a test.
    """
    if bundle is not None and bundle.exists():
        give_up(f"{bundle} is there already: choose another name, or remove it.")
    known = prepare(path)
    box = known.box
    found: list[Finding] = []
    shown = _all(known)
    if as_json:
        found.extend(shown)
        show(_document(known, found))
    else:
        width = max(len(check.name) for check in all_checks(box.config))
        for finding in shown:
            found.append(finding)
            _print(finding, width)
        _sum_up(found)
    if bundle is not None:
        _pack(bundle, known, found)
    sys.exit(status_of(found))


def _pack(file: Path, known: Prepared, found: list[Finding]) -> None:
    """Write the support archive, and say what it lacks; not to standard output, which may be JSON."""
    from gateway.doctor.bundle import write  # noqa: PLC0415 - mostly nobody wants one

    try:
        packed = write(file, known.box, _document(known, found), found)
    except GatewayError as error:
        give_up(str(error))
    click.echo(
        f"The support archive is {file} ({packed.bytes / 1024:.0f} KiB); README.txt says what is in it.",
        err=True,
    )
    for one in packed.lacking:
        click.echo(f"Not in it: {plain(one)}", err=True)


def _all(known: Prepared) -> Iterator[Finding]:
    """Give everything that is found, each fault once."""
    box, found = known.box, list(known.hung)
    yield from known.hung
    faults: set[tuple[str, str]] = set()
    for finding in examine(all_checks(box.config), box, _TOTAL_S - known.spent_s):
        key = (finding.code, finding.subject)
        if finding.code and key in faults:
            continue
        faults.add(key)
        found.append(finding)
        yield finding
    yield from standing(box, found)


def status_of(found: list[Finding]) -> int:
    """Give the exit status: a fault counts before what could not be looked at."""
    if any(one.code and not one.advice for one in found):
        return FAULT
    return CANNOT_TELL if any(one.hindered for one in found) else FINE


def _print(finding: Finding, width: int) -> None:
    mark = "ok" if finding.known else "--"
    if finding.code:
        mark = "i" if finding.advice else "!"
    elif finding.hindered:
        mark = "?"
    indent = f"{'':<{width + 4}}"
    first, *more = finding.sentence.splitlines() or [""]
    click.echo(f"{mark:<2} {finding.check:<{width}} {plain(first)}")
    for line in more:
        click.echo(f"{indent}{plain(line)}")
    if finding.action:
        click.echo(f"{indent}do: {plain(finding.action)}   [{finding.code}]")


def _sum_up(found: list[Finding]) -> None:
    faults, advice, hindered, _ = _counts(found)
    parts = [f"{faults} fault{'' if faults == 1 else 's'}" if faults else "No fault"]
    if advice:
        parts.append(f"{advice} thing{'' if advice == 1 else 's'} worth doing (i)")
    if hindered:
        parts.append(f"{hindered} could not be looked at (?)")
    click.echo(f"\n{', '.join(parts)}.")


def _counts(found: list[Finding]) -> tuple[int, int, int, int]:
    advice = sum(one.advice for one in found)
    faults = sum(bool(one.code) for one in found) - advice
    hindered = sum(one.hindered for one in found)
    return faults, advice, hindered, sum(not one.known for one in found) - hindered


def _document(known: Prepared, found: list[Finding]) -> dict[str, object]:
    faults, advice, hindered, untold = _counts(found)
    return {
        "schema": SCHEMA,
        "gateway": __version__,
        "time": known.time,
        "running": known.box.told is not None,
        "verdict": _VERDICTS[status_of(found)],
        "faults": faults,
        "advice": advice,
        "hindered": hindered,
        "untold": untold,
        "findings": [dict(one.as_json()) for one in found],
    }
