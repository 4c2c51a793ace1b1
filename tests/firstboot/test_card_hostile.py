"""Who can write to the card fetches no secret out of the box with it, stops no start and leaves no password there."""

import os
import tracemalloc
from pathlib import Path

import pytest
from card_box import SECRETS, TOML

from gateway.firstboot import provision

KEPT = "(kept in the gateway)"
BROKER = """\
[gateway]
id = "shop-1"
[sinks.broker]
type = "mqtt"
endpoint = "{endpoint}"
username = "shop"
{secret}
"""
HERE = "mqtt://broker.example:1883"


def card(endpoint: str, secret: str) -> str:
    return BROKER.format(endpoint=endpoint, secret=secret)


@pytest.mark.parametrize(
    "endpoint", ["mqtt://evil.example:1883", "mqtts://broker.example:1883", "mqtt://broker.example"]
)
def test_a_kept_secret_goes_to_no_other_end(box, endpoint):
    """With another scheme, host or port the secret is asked for anew, and the box keeps what it had."""
    box.write(card(HERE, 'password = "broker-4711"'))
    box.accepted()
    before = box.config.read_bytes()
    box.write(card(endpoint, f'password = "{KEPT}"'))
    said = box.rejected()
    assert (
        "Line 7, sinks.broker.password\r\n  What is wrong: the gateway keeps this secret for another endpoint"
        in said
    )
    assert before == box.config.read_bytes()
    box.write(card(endpoint, 'password = "for-that-end"'))
    assert "for-that-end" == box.accepted().sinks["broker"].password_file.reveal()


@pytest.mark.parametrize("word", ["anything", "card-1.sinks.broker.password"])
def test_a_stored_secret_is_not_fetched_by_a_name(box, word):
    """The name of its file, or any name, in `password_file` does not bring it to another end either."""
    box.write(card(HERE, 'password = "broker-4711"'))
    box.accepted()
    box.write(card("mqtt://evil.example", f'password_file = "{word}"'))
    assert "for another endpoint" in box.rejected()


def test_a_secret_is_not_fetched_in_two_steps(box):
    """An end that comes first without a password does not get the kept one with the next card."""
    box.write(card(HERE, 'password = "broker-4711"'))
    box.accepted()
    box.write(card("mqtt://evil.example", ""))
    box.accepted()
    box.write(card("mqtt://evil.example", f'password = "{KEPT}"'))
    assert "rejected" == box.start().kind


def test_a_kept_secret_stays_with_its_end(box):
    """With the same scheme, host and port all else may change."""
    box.write(card(HERE, 'password = "broker-4711"'))
    box.accepted()
    box.write(card(HERE, f'password = "{KEPT}"\nkeepalive_s = 60'))
    sink = box.accepted().sinks["broker"]
    assert (60, "broker-4711") == (sink.keepalive_s, sink.password_file.reveal())


@pytest.mark.parametrize("name", ["gateway.toml.new", "gateway-accepted.txt", "gateway-problems.txt"])
def test_a_huge_file_beside_it_costs_no_memory(box, name):
    """What somebody laid there under a name of ours is gone or written anew, piece by piece, and no password is left."""
    box.write(TOML)
    with (box.card / name).open("wb") as huge:
        huge.truncate(200_000_000)
    tracemalloc.start()
    try:
        box.accepted()
        assert 20_000_000 > tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not any(secret in box.on_card() for secret in SECRETS)
    assert "" == box.record.unwritten


def test_without_memory_it_is_noted(box, monkeypatch):
    """Where the card could not be blanked for want of memory the record says so."""

    def no_memory(*_given):
        raise MemoryError

    monkeypatch.setattr("gateway.firstboot.taking_over.rewrite", no_memory)
    box.write(TOML)
    box.start()
    assert "could not be blanked: there is not enough memory." in box.record.unwritten


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["gateway.toml.new", "gateway-accepted.txt", "gateway-problems.txt"])
@pytest.mark.parametrize("good", [True, False])
def test_a_pipe_of_our_name_does_not_hang_the_start(box, name, good):
    """A pipe is replaced or removed, and not read."""
    os.mkfifo(box.card / name)
    box.write(TOML if good else "[sinks.broker]\ntype = 5\n")
    assert ("accepted" if good else "rejected") == box.start().kind
    assert "" == box.record.unwritten
    assert not (box.card / name).exists() or (box.card / name).is_file()


def test_a_name_that_is_no_text_is_told(box):
    """A file name with bytes that are not UTF-8 is told with those bytes escaped, on the card and in the record."""
    box.write(TOML, os.fsdecode(b"gateway\xff.toml"))
    outcome = box.start()
    assert "rejected" == outcome.kind
    assert "gateway\\xff.toml" in box.on_card("gateway-problems.txt")
    assert "gateway\\xff.toml" in box.record.rejected
    assert all(said.encode() for said in outcome.sentences)


def test_an_address_is_told_without_its_key(box):
    """Of an endpoint with a mistake neither path and query nor user and password are told, on the card or elsewhere."""
    where = "https://maria:s3cr3t-user@host.example/s3cr3t-in-path/x?key=s3cr3t-in-url bad"
    box.write(
        f'[sinks.a]\ntype = "https"\nendpoint = "{where}"\n[terminals.t]\nendpoint = "http://t/s3cr3t t"\n'
    )
    outcome = box.start()
    said = "\n".join(
        [box.on_card("gateway-problems.txt"), (box.etc / "card.json").read_text(), *outcome.sentences]
    )
    assert "rejected" == outcome.kind
    assert "sinks.a.endpoint" in said
    assert "s3cr3t" not in said


def test_a_relative_configuration_keeps_its_secrets(box, monkeypatch):
    """With `-c etc/config.toml` the second card with a kept secret is taken over like the first."""
    monkeypatch.chdir(box.etc.parent)
    box.config = Path("etc/config.toml")
    box.write(card(HERE, 'password = "broker-4711"'))
    box.accepted()
    box.write(card(HERE, f'password = "{KEPT}"\nkeepalive_s = 60'))
    outcome = provision((box.card,), box.config, lambda: None)
    assert "accepted" == outcome.kind, outcome.sentences
