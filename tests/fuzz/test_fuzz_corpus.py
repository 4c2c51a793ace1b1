"""Reads the whole corpus of the fuzzer again, and every input that once broke a rule; the fuzzer itself is `make fuzz`."""

from dataclasses import replace
from pathlib import Path

import pytest
from campaign import TARGETS as IN_TURN
from fuzz_rules import Broken, check_reading
from fuzz_seeds import seeds
from fuzz_sources import post_of
from fuzz_targets import TARGETS

from gateway.source import Reading
from gateway.sources import registry

CORPUS = Path(__file__).parent / "corpus"
_MOST_BYTES = 2_000_000


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_breaks_no_rule(name):
    """Of every input that ever reached something new, only what may come out comes out, twice the same."""
    inputs = {f"seed {place}": data for place, data in enumerate(seeds(name))}
    inputs |= {path.name: path.read_bytes() for path in sorted((CORPUS / name).glob("*"))}
    assert len(inputs) >= 4
    for shown, data in inputs.items():
        try:
            TARGETS[name].run(data, twice=True)
        except Exception as fault:
            raise AssertionError(f"{shown}: {data[:200]!r}") from fault


def test_every_target_has_its_turn():
    """A campaign goes through every target that there is, and the corpus has a folder for no other."""
    assert set(IN_TURN) == set(TARGETS)
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)


def test_the_corpus_stays_small():
    """All inputs together are small enough for the repository."""
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < _MOST_BYTES


def test_the_rules_can_be_broken():
    """A reading whose event states an endless number, or a device with a wildcard in its id, is noticed."""
    body = (CORPUS.parent.parent / "fixtures/people_counter/brickstream_v5/body").read_bytes()
    (counter, *_) = registry()
    reading = counter.parse(post_of(body))
    check_reading(reading, len(body))
    event = reading.events[0]
    for wrong in (
        {"data": {"enters": float("nan")}},
        {"device": _changed(event.device, id="counter-+/#")},
        {"device": _changed(event.device, label="a\nb")},
        {"revision": 2**53},
        {"time": event.time.replace(tzinfo=None)},
    ):
        with pytest.raises((Broken, ValueError)):
            check_reading(Reading((_changed(event, **wrong),)), 4 * len(body))


def _changed(value, **fields):
    return replace(value, **fields)
