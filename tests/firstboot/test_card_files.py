"""Certificates and keys that lie beside gateway.toml are taken over too, and a private key does not stay there."""

import pytest
import trustme
from card_box import mode

from gateway.firstboot.planning import NOTE

TEXT = """\
[sinks.broker]
type = "mqtt"
endpoint = "mqtts://broker.example"
ca_file = "ca.pem"
cert_file = "box.pem"
key_file = "box.key"
"""


@pytest.fixture
def files(box):
    """An authority, a certificate and its key, on the card under the names that the file says."""
    authority = trustme.CA()
    pair = authority.issue_cert("box.example")
    contents = {
        "ca.pem": authority.cert_pem.bytes(),
        "box.pem": pair.cert_chain_pems[0].bytes(),
        "box.key": pair.private_key_pem.bytes(),
    }
    for name, content in contents.items():
        box.write(content, name)
    box.write(TEXT)
    return contents


def test_files_beside_the_settings_are_taken_over(box, files):
    """The box has authority, certificate and key; on the card the key is a note, and the others stay."""
    sink = box.accepted().sinks["broker"]
    found = {"ca.pem": sink.ca_file, "box.pem": sink.cert_file, "box.key": sink.key_file}
    assert files == {name: file.path.read_bytes() for name, file in found.items()}
    assert [0o644, 0o644, 0o600] == [mode(found[name].path) for name in files]
    assert NOTE == (box.card / "box.key").read_bytes()
    assert files["ca.pem"] == (box.card / "ca.pem").read_bytes()
    assert TEXT == box.on_card()


def test_the_note_means_the_key_that_the_box_has(box, files):
    """A later edit with the note in the key's place keeps the key, and an unchanged card writes nothing."""
    box.accepted()
    before = box.snapshot()
    assert "unchanged" == box.start().kind
    assert before == box.snapshot()
    box.write(TEXT + "keepalive_s = 60\n")
    sink = box.accepted().sinks["broker"]
    assert (60, files["box.key"]) == (sink.keepalive_s, sink.key_file.path.read_bytes())


def test_files_may_be_taken_off_the_card(box, files):
    """Who removes certificate and key after the takeover can still change the settings."""
    box.accepted()
    for name in files:
        (box.card / name).unlink()
    box.write(TEXT + "keepalive_s = 60\n")
    sink = box.accepted().sinks["broker"]
    assert files["ca.pem"] == sink.ca_file.path.read_bytes()
    assert files["box.key"] == sink.key_file.path.read_bytes()


def test_a_renewed_certificate_is_taken_over_without_an_edit(box, files):
    """Another file of the same name beside an unchanged gateway.toml counts."""
    box.accepted()
    renewed = trustme.CA().cert_pem.bytes()
    box.write(renewed, "ca.pem")
    assert renewed == box.accepted().sinks["broker"].ca_file.path.read_bytes()


def test_a_file_that_is_missing_or_wrong_is_told(box, files):
    """No file of the name, no certificate in it, a passphrase on the key: each is told with its line, none is blanked."""
    (box.card / "ca.pem").unlink()
    box.write("hello", "box.pem")
    box.write(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nsecret\n", "box.key")
    said = box.rejected()
    assert "Line 4, sinks.broker.ca_file\r\n  What is wrong: there is no file of this name" in said
    assert "Line 5, sinks.broker.cert_file\r\n  What is wrong: the file holds no PEM block" in said
    assert "Line 6, sinks.broker.key_file\r\n  What is wrong: the file is encrypted" in said
    assert b"ENCRYPTED" in (box.card / "box.key").read_bytes()


def test_a_file_that_the_box_starts_from_is_never_blanked(box):
    """A password that is said to be in cmdline.txt is not read from there: without that file no Pi starts."""
    box.write("console=tty1 root=PARTUUID=1", "cmdline.txt")
    box.write('[sinks.b]\ntype = "mqtt"\nendpoint = "mqtt://b"\npassword_file = "cmdline.txt"\n')
    assert 'password = "..."' in box.rejected()
    assert "console=tty1 root=PARTUUID=1" == box.on_card("cmdline.txt")


def test_the_letters_of_a_name_may_be_large(box, files):
    """FAT knows no case, so CA.PEM on the card is the ca.pem of the file."""
    (box.card / "ca.pem").rename(box.card / "CA.PEM")
    assert files["ca.pem"] == box.accepted().sinks["broker"].ca_file.path.read_bytes()


def test_links_and_huge_files_are_not_taken(box, files, tmp_path):
    """A link may lead anywhere on the box, and what is larger than any certificate is none."""
    (tmp_path / "shadow").write_text("-----BEGIN CERTIFICATE-----\n")
    (box.card / "ca.pem").unlink()
    (box.card / "ca.pem").symlink_to(tmp_path / "shadow")
    box.write(b"-----BEGIN CERTIFICATE-----\n" + b"A" * 262_144, "box.pem")
    said = box.rejected()
    assert "sinks.broker.ca_file\r\n  What is wrong: there is no file of this name" in said
    assert "box.pem is larger than 262144 bytes" in said


def test_files_of_a_person_with_a_shell_are_left_to_them(box, files, tmp_path):
    """An absolute path and a name in the folder of secrets stay as they are in the configuration."""
    (box.etc / "credentials").mkdir(mode=0o700)
    (box.etc / "credentials" / "mine").write_text("swordfish")
    (box.etc / "credentials" / "mine").chmod(0o600)
    elsewhere = tmp_path / "authority.pem"
    elsewhere.write_bytes(files["ca.pem"])
    box.write(TEXT.replace('"ca.pem"', f'"{elsewhere}"') + 'password_file = "mine"\n')
    sink = box.accepted().sinks["broker"]
    assert (str(elsewhere), "mine", "swordfish") == (
        sink.ca_file.name,
        sink.password_file.name,
        sink.password_file.reveal(),
    )
    assert (box.etc / "credentials" / "mine").exists()
