"""Who can write to the card fetches no secret out of the box with it, stops no start and leaves no password there."""

import os
import tracemalloc
from pathlib import Path

import pytest
import trustme
from card_box import SECRETS, TOML

from gateway.config import credentials
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
    "endpoint", ["mqtt://evil.example:1883", "mqtts://broker.example:1883", "mqtt://broker.example:1884"]
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


def test_a_stored_secret_is_not_fetched_by_a_name(box):
    """The name of its file in `password_file` does not bring it to another end either."""
    box.write(card(HERE, 'password = "broker-4711"'))
    box.accepted()
    box.write(card("mqtt://evil.example", 'password_file = "card-1.sinks.broker.password"'))
    assert "for another endpoint" in box.rejected()


@pytest.mark.parametrize("word", ["second-4712", "credentials/second-4712"])
@pytest.mark.parametrize("endpoint", [HERE, "mqtt://evil.example"])
def test_a_name_of_no_file_does_not_mean_the_kept_secret(box, word, endpoint):
    """A new password in `password_file` is asked for under its own word; the old one is not used, the new one not shown."""
    box.write(card(HERE, 'password = "broker-4711"'))
    box.accepted()
    box.write(card(endpoint, f'password_file = "{word}"'))
    said = box.rejected()
    assert "Line 7, sinks.broker.password" in said
    assert "not the name of a file that the gateway has" in said and 'password = "..."' in said
    assert "4712" not in said


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("mqtt://192.168.1.5", "mqtt://192.168.1.5:1883"),
        ("mqtts://Broker.example:8883", "mqtts://broker.example"),
    ],
)
def test_the_usual_port_is_the_same_end(box, before, after):
    """An endpoint with the port that its scheme has anyway is the one without it, and the other way round."""
    box.write(card(before, 'password = "broker-4711"'))
    box.accepted()
    box.write(card(after, f'password = "{KEPT}"'))
    assert "broker-4711" == box.accepted().sinks["broker"].password_file.reveal()


def test_a_secret_is_not_fetched_in_two_steps(box):
    """An end that comes first without a password does not get the kept one with the next card."""
    box.write(card(HERE, 'password = "broker-4711"'))
    box.accepted()
    box.write(card("mqtt://evil.example", ""))
    box.accepted()
    box.write(card("mqtt://evil.example", f'password = "{KEPT}"'))
    assert "rejected" == box.start().kind


@pytest.mark.parametrize("before", ["", 'ca_file = "ca.pem"\n'])
@pytest.mark.parametrize("text", ['ca_file = "ca.pem"\n', ""])
@pytest.mark.parametrize("config", [True, False])
def test_a_kept_secret_is_shown_to_no_other_authority(box, before, text, config):
    """With a new certificate of an authority, another one or none the secret is asked for anew; with the same it is kept."""
    secure = "mqtts://broker.example"
    box.write(trustme.CA().cert_pem.bytes(), "ca.pem")
    box.write(card(secure, f'{before}password = "broker-4711"'))
    box.accepted()
    if not before == text == "":
        box.write(trustme.CA().cert_pem.bytes(), "ca.pem")
        box.write(card(secure, f'password = "{KEPT}"\n{text}'))
        if not config and before == text:
            box.config.unlink()
        assert "sinks.broker.password\r\n" in box.rejected()
        box.write(card(secure, f'{text}password = "broker-4712"'))
        assert "broker-4712" == box.accepted().sinks["broker"].password_file.reveal()
    box.write(card(secure, f'{text}password = "{KEPT}"\nkeepalive_s = 60'))
    assert 60 == box.accepted().sinks["broker"].keepalive_s


def test_an_unchanged_card_with_another_authority_is_refused(box):
    """Who replaces ca.pem alone, beside the very gateway.toml that was taken over, gets no secret either."""
    box.write(trustme.CA().cert_pem.bytes(), "ca.pem")
    box.write(card("mqtts://broker.example", 'ca_file = "ca.pem"\npassword = "broker-4711"'))
    box.accepted()
    box.write(trustme.CA().cert_pem.bytes(), "ca.pem")
    assert "with this ca_file another far end would get the secret" in box.rejected()


@pytest.mark.parametrize(
    "word", ["x/ca.pem", "x/y/ca.pem", "x/../x/ca.pem", "x/../ca.pem", "./ca.pem", "x/key.pem"]
)
def test_an_authority_anywhere_on_the_card_is_brought(box, word):
    """Named by its whole path, it is copied as one beside gateway.toml is, so that nobody exchanges it on the card alone."""
    secure, file = "mqtts://broker.example", box.card / word
    file.parent.mkdir(parents=True, exist_ok=True)
    (box.card / "x").mkdir(exist_ok=True)
    file.write_bytes(first := trustme.CA().cert_pem.bytes())
    box.write(card(secure, f'ca_file = "{file}"\npassword = "broker-4711"'))
    kept = box.accepted().sinks["broker"].ca_file.path
    assert (box.etc / "certificates", first) == (kept.parent, kept.read_bytes())
    assert "unchanged" == box.start().kind
    file.write_bytes(trustme.CA().cert_pem.bytes())
    assert "with this ca_file another far end would get the secret" in box.rejected()
    assert first == box.loaded().sinks["broker"].ca_file.path.read_bytes()


def test_no_authority_on_the_card_is_named_where_it_lies(box):
    """Neither one that is not there yet, nor one that was named there by a gateway of before, which gets a copy now."""
    secure, file = "mqtts://broker.example", box.card / "x" / "ca.pem"
    file.parent.mkdir()
    box.write(card(secure, f'enabled = false\nca_file = "{file}"\npassword = "broker-4711"'))
    assert "there is no file of this name beside gateway.toml" in box.rejected()
    (box.card / "ca.pem").write_bytes(trustme.CA().cert_pem.bytes())
    box.write(card(secure, 'ca_file = "ca.pem"\npassword = "broker-4711"'))
    first = box.accepted().sinks["broker"].ca_file.path
    (box.card / "ca.pem").rename(file)
    box.config.write_text(box.config.read_text().replace(str(first), str(file)))
    box.write(card(secure, f'ca_file = "{file}"\npassword = "{KEPT}"'))
    assert box.etc / "certificates" == box.accepted().sinks["broker"].ca_file.path.parent


@pytest.mark.parametrize("word", ["", "../gateway.service/"])
def test_a_secret_that_systemd_has_handed_over_goes_to_no_other_end(box, monkeypatch, word):
    """Where a gateway runs already, its copy of a kept secret is as good as the secret itself."""
    folder = box.etc.parent / "run" / "gateway.service"
    folder.mkdir(parents=True)
    monkeypatch.setattr(credentials, "HANDED_OVER", folder)
    box.write(card(HERE, 'password = "broker-4711"'))
    box.accepted()
    name = "gateway_card-1.sinks.broker.password"
    (folder / name).write_text("broker-4711")
    (folder / name).chmod(0o600)
    box.write(card("mqtt://evil.example", f'password_file = "{folder}/{word}{name}"'))
    assert "for another endpoint" in box.rejected()
    box.write(card(HERE, f'password_file = "{folder}/{word}{name}"'))
    assert "broker-4711" == box.accepted().sinks["broker"].password_file.reveal()


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
