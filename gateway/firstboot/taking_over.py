"""The takeover, in an order that a power cut cannot break: files, configuration, record, and only then the card.

Until the configuration is replaced the box has the old one with its old files; from then on the new one with its new
files. A secret is blanked on the card only when the configuration that names its file is on the disk.
"""

import contextlib
import errno
import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gateway import clock
from gateway.config import Config, InvalidConfigError, Mistake, load, settings
from gateway.errors import ConfigError
from gateway.firstboot import card, telling
from gateway.firstboot.card import FRESH, CardFile
from gateway.firstboot.checking import check
from gateway.firstboot.plan import Plan
from gateway.firstboot.planning import NOTE, plan
from gateway.firstboot.record import Record, read_record, write_record
from gateway.firstboot.vault import Vault
from gateway.firstboot.writing import overwrite, rewrite, wipe

BEFORE = "config.toml.before-card"
_DISK = "The disk of the box refused it: is it full, or is its memory card worn out?"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it, in sentences for the log."""

    kind: Literal["nothing", "unchanged", "accepted", "rejected"]
    sentences: tuple[str, ...]


def provision(folders: tuple[Path, ...], config: Path, address: Callable[[], str | None]) -> Outcome:
    """Take over the first gateway.toml that there is, or say beside it why not."""
    config = config.absolute()  # the folder of secrets is named in what is checked
    record = replace(read_record(config.parent), rejected="", unwritten="")
    try:
        found = card.find(folders)
    except OSError as error:
        said = f"The card cannot be read: {error.strerror}."
        _note(config, replace(record, rejected=said))
        return Outcome("rejected", (said,))
    if found is None:
        _note(config, record)
        return Outcome("nothing", (f"There is no {card.NAME} in {' or '.join(map(str, folders))}.",))
    folder, names = found
    try:
        drawn = plan(card.read(folder, names), Vault.open(config))
        if _unchanged(drawn, record, config):
            return _again(drawn, record, config, address)
        if drawn.digest == record.accepted and not drawn.files:
            drawn.moved.clear()  # the very card that brought them; it is the configuration that is gone
        checked = check(drawn, address())
    except InvalidConfigError as error:
        return _rejected(folder, card.spoken(names[0]), error.mistakes, record, config)
    return _accept(drawn, checked, record, config, address)


def tell_address(folders: tuple[Path, ...], config: Path, address: Callable[[], str | None]) -> Outcome:
    """Bring the address in gateway-accepted.txt up to date, where the card is the one that was taken over."""
    config = config.absolute()
    record = read_record(config.parent)
    found = card.find(folders)
    if found is None or record.rejected or record.unwritten:
        return Outcome("nothing", ())
    try:
        drawn = plan(card.read(*found), Vault.open(config))
    except InvalidConfigError:
        return Outcome("nothing", ())
    return (
        _again(drawn, record, config, address)
        if _unchanged(drawn, record, config)
        else Outcome("nothing", ())
    )


def _unchanged(drawn: Plan, record: Record, config: Path) -> bool:
    """Say whether the card has nothing that the box does not have."""
    same = not drawn.files and not drawn.mistakes and drawn.digest == record.accepted
    return same and config.exists()


def _accept(
    drawn: Plan, checked: Config, record: Record, config: Path, address: Callable[[], str | None]
) -> Outcome:
    try:
        kept = _store(drawn, record, config)
    except OSError as error:
        mistake = Mistake(file=None, line=None, key=None, problem=f"{_DISK} ({error.strerror})")
        return _rejected(drawn.source.path.parent, drawn.source.path.name, [mistake], record, config)
    done = Record(
        accepted=drawn.digest,
        when=clock.now().isoformat(timespec="seconds"),
        sure=clock.standing() == clock.Standing.SYNCED,
        made=_sum(drawn.box_text().encode()),
        kept=kept,
    )
    trouble = _finish(drawn, checked, done, config, address)
    with contextlib.suppress(OSError):  # the next takeover tries again
        # The files of the configuration before stay once more: a start that recalls it must find them.
        drawn.vault.forget_but(drawn.vault.all_named() | set(drawn.names.values()))
    said = f"{drawn.source.path} was taken over into {config}."
    beside = (f"What stood there was not made by a card, and lies in {kept} now.",) if kept else ()
    return Outcome("accepted", (said, *beside, *trouble))


def _store(drawn: Plan, record: Record, config: Path) -> str:
    """Put it onto the box; give where that lies now which a person wrote there, if one did."""
    config.parent.mkdir(parents=True, exist_ok=True)
    drawn.vault.put(drawn.files)
    text = drawn.box_text().encode()
    old = config.read_bytes() if config.is_file() else None
    if old == text:
        return record.kept  # as after a power cut
    kept = ""
    if old is not None and _sum(old) != record.made:
        kept = str(_lay_aside(config, old))  # corrections and comments that are worth keeping
        _note(config, replace(record, kept=kept))
    settings.put(config, text)
    return kept


def _lay_aside(config: Path, content: bytes) -> Path:
    """Keep a configuration beside the new one, and over no other one that was kept."""
    for number in itertools.count(1):
        place = config.with_name(BEFORE if number == 1 else f"{BEFORE}-{number}")
        if not place.exists():
            settings.put(place, content)
            break
        if place.is_file() and place.read_bytes() == content:
            break
    return place


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _again(drawn: Plan, record: Record, config: Path, address: Callable[[], str | None]) -> Outcome:
    """Finish what a power cut or a locked card left over; mostly there is nothing."""
    try:
        checked = load(config)
    except ConfigError:  # somebody changed it by hand: the daemon says what is wrong with it
        checked = None
    trouble = _finish(drawn, checked, record, config, address)
    return Outcome("unchanged", (f"{drawn.source.path} is the one that was taken over before.", *trouble))


def _finish(
    drawn: Plan, checked: Config | None, record: Record, config: Path, address: Callable[[], str | None]
) -> tuple[str, ...]:
    """Blank the card and say beside the file that all is right."""
    _note(config, record)
    folder, trouble = drawn.source.path.parent, ""
    try:
        wipe(folder / FRESH)
        for key in sorted(drawn.keys):
            _replace(key, NOTE, NOTE)
        if drawn.bare:
            _blank(drawn)
        if checked is not None:
            telling.tell_accepted(folder, checked, record, address())
    except (OSError, MemoryError) as error:
        left = f"The passwords in {drawn.source.path.name} could not be blanked" if _still(drawn) else (
            "What became of the card's file could not be written beside it"
        )  # fmt: skip
        trouble = f"{left}: {_why(error)}."
        _note(config, replace(record, unwritten=trouble))
    return (trouble,) if trouble else ()


def _why(error: OSError | MemoryError) -> str:
    return getattr(error, "strerror", None) or "there is not enough memory"


def _note(config: Path, record: Record) -> None:
    """Keep the record; without it the next boot looks at everything again, and that is all."""
    with contextlib.suppress(OSError):
        write_record(config.parent, record)


def _blank(drawn: Plan) -> None:
    source = drawn.source
    short = source.encoded(drawn.scratched_text())
    _replace(source.path, source.encoded(drawn.blanked_text()), short)


def _replace(path: Path, content: bytes, short: bytes) -> None:
    """Write a file of the card anew, or over itself where there is no room for two."""
    fresh = path.with_name(FRESH)
    try:
        rewrite(path, fresh, content)
    except OSError as error:
        if error.errno == errno.EROFS:
            raise
        overwrite(path, short.ljust(path.stat().st_size, b"\n"))
        wipe(fresh)


def _still(drawn: Plan) -> bool:
    """Say whether a secret still stands on the card."""
    try:
        again = plan(CardFile(drawn.source.path, *_text(drawn)), drawn.vault)
    except (OSError, ConfigError):
        return True
    return again.bare


def _text(drawn: Plan) -> tuple[str, str, bytes]:
    known = card.read(drawn.source.path.parent, [drawn.source.path.name])
    return known.text, known.encoding, known.mark


def _rejected(folder: Path, name: str, mistakes: list[Mistake], record: Record, config: Path) -> Outcome:
    """Say beside the file what is wrong; the box stays as it is."""
    said = [telling.sentence(mistake) for mistake in mistakes]
    runs = (
        "The box runs on with the settings that it had."
        if config.exists()
        else "The box has no settings yet."
    )
    first = f"{name} on the card is not used: {said[0]}"
    more = f" There are {len(said) - 1} more mistakes." if len(said) > 1 else ""
    told = replace(record, rejected=f"{first}{more} {runs}")
    _note(config, told)
    try:
        wipe(folder / FRESH)
        telling.tell_problems(folder, telling.problems(name, mistakes, configured=config.exists()))
    except (OSError, MemoryError) as error:
        unwritten = f"What is wrong could not be written beside it: {_why(error)}."
        _note(config, replace(told, unwritten=unwritten))
        said.append(unwritten)
    return Outcome("rejected", (f"{folder / name} is not used. {runs}", *said))
