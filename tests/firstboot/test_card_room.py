"""A card that is taken over never stops the gateway: its secrets fit into what systemd hands over, its store lasts."""

import pytest
import trustme
from card_box import mode
from click.testing import CliRunner

from gateway import commands
from gateway.config import credentials, lasting
from gateway.firstboot.vault import Vault

SINK = """\
[sinks.up{number}]
type = "https"
endpoint = "https://up{number}.example/in"
"""
PEM = trustme.CA().cert_pem.bytes()
BUNDLE = PEM + b"# " + b"A" * 219_000 + b"\n"


def test_a_bundle_that_five_sinks_share_is_kept_once(box):
    """Five sinks with one large bundle cost one public file, now and after the bundle was renewed, and no secret."""
    box.write("".join(f'{SINK.format(number=number)}ca_file = "ca.pem"\n' for number in range(5)))
    for more in (b"", b"# renewed\n"):
        box.write(BUNDLE + more, "ca.pem")
        paths = {sink.ca_file.path for sink in box.accepted().sinks.values()}
        assert [BUNDLE + more] == [path.read_bytes() for path in paths]
        assert {0o644} == {mode(path) for path in (box.etc / "certificates").iterdir()}
    assert 0o755 == mode(box.etc / "certificates")
    assert not (box.etc / "credentials").exists()


def test_a_shared_bundle_may_be_taken_off_the_card(box):
    """Who removes the bundle after the takeover can still change the settings of both sinks."""
    text = "".join(f'{SINK.format(number=number)}ca_file = "ca.pem"\n' for number in range(2))
    box.write(text)
    box.write(PEM, "ca.pem")
    box.accepted()
    (box.card / "ca.pem").unlink()
    box.write(text + "timeout_s = 7\n")
    assert [PEM, PEM] == [sink.ca_file.path.read_bytes() for sink in box.accepted().sinks.values()]


def test_more_secrets_than_systemd_hands_over_are_refused(box):
    """With five large keys the box keeps what it had, and the person reads why."""
    pair = trustme.CA().issue_cert("box.example")
    text = ""
    for number in range(5):
        box.write(pair.private_key_pem.bytes() + b"# " + b"A" * 219_000 + b"\n", f"box{number}.key")
        text += f'{SINK.format(number=number)}key_file = "box{number}.key"\ncert_file = "box.pem"\n'
    box.write(pair.cert_chain_pems[0].bytes(), "box.pem")
    box.write(text)
    said = box.rejected()
    assert f"bytes together, and systemd hands over {credentials.MOST_BYTES}" in said
    assert not box.config.exists()


def test_what_a_person_laid_there_counts_and_what_goes_does_not(tmp_path):
    """The room for secrets is what stays: files of a person and those that are still named."""
    vault = Vault(tmp_path)
    vault.put({"card-1.old": b"1", "card-2.new": b"22"})
    (tmp_path / "credentials" / "mine").write_text("333")
    assert {"card-2.new": 2, "mine": 3} == vault.sizes({"card-2.new"})
    assert credentials.too_large({"a": credentials.MOST_BYTES_OF_ONE}) is None
    assert "a has" in str(credentials.too_large({"a": credentials.MOST_BYTES_OF_ONE + 1}))
    assert "together" in str(credentials.too_large(dict.fromkeys("ab", credentials.MOST_BYTES // 2)))


def test_places_with_long_or_odd_names_have_files_of_their_own(tmp_path):
    """Two devices whose long names begin alike do not share a secret, and no name is too long for a backup."""
    names = ["front-door-of-the-main-building-ground-floor-" + end for end in ("a", "b")]
    clear = [
        Vault(tmp_path).clear_name(("devices", name), "path_secret", None) for name in (*names, "x.y", "x_y")
    ]
    assert 4 == len(set(clear))
    assert 64 >= max(len(f"card-999999999.{name}") for name in clear)
    assert all(name.endswith(".path_secret") for name in clear)
    assert "sinks.broker.password" == Vault(tmp_path).clear_name(("sinks", "broker"), "password", None)


@pytest.mark.parametrize("place", ["/tmp/g", "/var/tmp/gateway", "/var/lib/../tmp/g", "/run/g", "/home/pi/g"])
def test_a_store_that_does_not_last_is_refused(box, place):
    """A store in a folder that the unit empties, that is in memory or that it does not see is no place for one."""
    box.write(f'[store]\npath = "{place}"\n')
    assert "Line 2, store.path\r\n  What is wrong: the gateway cannot use this place: " in box.rejected()
    assert lasting.fleeting(box.etc.__class__("/var/lib/gateway")) is None


def test_the_check_of_the_box_refuses_it_too(tmp_path, monkeypatch):
    """`gateway check` of the box's own file says it; a file elsewhere may name any place."""
    file = tmp_path / "config.toml"
    file.write_text('[store]\npath = "/var/tmp/gateway"\n')
    elsewhere = CliRunner().invoke(commands.main, ["check", str(file)])
    assert 0 == elsewhere.exit_code, elsewhere.output
    monkeypatch.setattr(commands, "DEFAULT_PATH", file)
    refused = CliRunner().invoke(commands.main, ["check", str(file)])
    assert 1 == refused.exit_code
    assert "store.path" in refused.output and "emptied whenever the gateway ends" in refused.output


def test_many_mistakes_are_told_in_time(box):
    """400 sinks with a mistake each are told at once, as many as a person reads."""
    wrong = 'token = "bearer-{number}-0815"\ntimout = 5\n'
    box.write(
        "".join((SINK.replace("/in", "/key-abcdefgh") + wrong).format(number=one) for one in range(400))
    )
    said = box.rejected()
    assert 100 == said.count("What is wrong")
    assert "bearer-" not in said
