"""What people's programs and cards do to a file: names, marks, ends of line, encodings, damage."""

import errno
import os

import pytest
from card_box import PASSWORD, SECRETS, SIGNING, TOML

from gateway import durable
from gateway.firstboot import writing
from gateway.firstboot.inlets import KEPT


@pytest.mark.parametrize("name", ["gateway.toml", "GATEWAY.TOML", "gateway.toml.txt", "Gateway.toml.TXT"])
def test_the_names_that_windows_makes_are_read(box, name):
    """Capitals, and the second end that Notepad adds and the Explorer hides, are the same file."""
    box.write(TOML, name)
    assert "shop-1" == box.accepted().gateway.id
    assert KEPT in box.on_card(name)
    assert [] == [secret for secret in SECRETS if secret in box.everything_but_secrets()]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_encodings_of_notepad_are_read_and_written_back(box, encoding):
    """A file with a mark in front keeps its encoding and its ends of line when it is blanked."""
    text = TOML.replace("\n", "\r\n")
    box.write(text.encode(encoding))
    assert PASSWORD == box.accepted().sinks["broker"].password_file.reveal()
    blanked = (box.card / "gateway.toml").read_bytes()
    assert text.encode(encoding)[:3] == blanked[:3]
    assert text.count("\r\n") == blanked.decode(encoding).count("\r\n")
    assert KEPT in blanked.decode(encoding)
    assert [] == [secret for secret in SECRETS if secret.encode("utf-16-le") in blanked]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"\0" * 4096, "it is empty"),
        (b" \r\n\r\n", "it is empty"),
        (b"# a template\n#[site]\n", "no option is set in it"),
        (b"[site]\n", "no option is set in it"),
        (b'[site]\nname = "caf\xe9"\n', "Line 2\r\n  What is wrong: there are characters in it that are not UTF-8"),
        (b'[site]\nname = "x"\n' + b"\0" * 512, "bytes in it that are no text"),
        ('[site]\nname = "x"\n'.encode("utf-16-le"), "bytes in it that are no text"),
        (b"#" * 1_000_001, "larger than 1000000 bytes"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_text_is_refused_and_nothing_is_changed(box, content, said):
    """Empty, cut off, in another encoding or huge: the person reads which, and the box keeps what it has."""
    box.write(TOML)
    box.accepted()
    before = box.config.read_bytes()
    box.write(content)
    assert said in box.rejected()
    assert before == box.config.read_bytes()
    assert content == (box.card / "gateway.toml").read_bytes()
    assert not (box.card / "gateway-accepted.txt").exists()


def test_two_files_are_not_chosen_between(box):
    """With gateway.toml and gateway.toml.txt the person is asked which, by name."""
    box.write(TOML)
    box.write(TOML, "gateway.toml.txt")
    assert "there are 2 files: gateway.toml, gateway.toml.txt" in box.rejected()


@pytest.mark.parametrize(
    "name",
    [
        *("gateway (1).toml", "gateway.txt", "gateway.toml.toml", "gateway.toml.rtf", "gateway.docx"),
        *("gateway.toml.download", "gatway.toml", "getaway.toml.txt"),
    ],
)
def test_a_file_of_nearly_the_name_is_told(box, name):
    """A copy that a browser or Windows numbered is not read, and the person learns why nothing happens."""
    box.write(TOML, name)
    said = box.rejected()
    assert name in said
    assert "Call it gateway.toml." in said


@pytest.mark.parametrize(
    "name", ["gateway-example.toml", "config.txt", "cmdline.txt", "my-gateway.toml", "._gateway.toml"]
)
def test_other_files_of_a_card_mean_nothing(box, name):
    """An example and the files of the firmware are no settings, and nothing is written on such a card."""
    box.write(TOML, name)
    before = box.snapshot()
    assert "nothing" == box.start().kind
    assert before == box.snapshot()


def test_a_folder_or_a_link_of_that_name_is_told(box, tmp_path):
    """What has the name and is no file is refused; through a link nothing is read."""
    (box.card / "gateway.toml").mkdir()
    assert "it is a folder, and not a file" in box.rejected()
    (box.card / "gateway.toml").rmdir()
    (tmp_path / "elsewhere").write_text(TOML)
    (box.card / "gateway.toml").symlink_to(tmp_path / "elsewhere")
    assert "it is a link to another file" in box.rejected()
    assert TOML == (tmp_path / "elsewhere").read_text()


def test_a_result_file_that_is_a_link_or_a_folder_hurts_nobody(box, tmp_path):
    """A link in the place of a result file is replaced and never followed; a folder there is a card that fails."""
    (tmp_path / "elsewhere").write_text("mine")
    (box.card / "gateway-accepted.txt").symlink_to(tmp_path / "elsewhere")
    box.write(TOML)
    box.accepted()
    assert "mine" == (tmp_path / "elsewhere").read_text()
    (box.card / "gateway-problems.txt").mkdir()
    box.write("[sinks")
    assert "rejected" == box.start().kind
    assert "could not be written beside it" in box.record.unwritten


def refuse(monkeypatch, number):
    """The card does not let itself be written: nothing opens, goes or is renamed there."""
    real = {name: getattr(os, name) for name in ("open", "unlink", "rename", "replace")}

    def refusing(name):
        def call(path, *rest, **more):
            writes = name != "open" or rest[0] & (os.O_WRONLY | os.O_RDWR)
            if "/card/" in os.fspath(path) and writes and (number == errno.EROFS or rest[0] & os.O_CREAT):
                raise OSError(number, os.strerror(number), path)
            return real[name](path, *rest, **more)

        return call

    for name in real if number == errno.EROFS else ("open",):
        monkeypatch.setattr(os, name, refusing(name))


def test_a_locked_card_is_taken_over_and_told(box, monkeypatch):
    """The settings hold; that the passwords still stand on the card is a fault until the card can be written."""
    box.write(TOML)
    with monkeypatch.context() as patch:
        refuse(patch, errno.EROFS)
        assert PASSWORD == box.accepted().sinks["broker"].password_file.reveal()
        assert TOML == box.on_card()
        assert "could not be blanked" in box.record.unwritten
        assert "unchanged" == box.start().kind
        assert "could not be blanked" in box.record.unwritten
    assert "unchanged" == box.start().kind
    assert "" == box.record.unwritten
    assert [] == [secret for secret in SECRETS if secret in box.everything_but_secrets()]


def test_a_locked_card_with_a_mistake_is_told_by_the_box(box, monkeypatch):
    """Where the problems cannot be written beside the file, the box says the first, and that it could not."""
    box.write("[site]\nzone = 'Lisbon'\n")
    refuse(monkeypatch, errno.EROFS)
    assert "rejected" == box.start().kind
    assert "line 2, site.zone" in box.record.rejected
    assert "could not be written" in box.record.unwritten


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_full_card_is_blanked_in_its_own_place(box, monkeypatch, encoding):
    """Without room for a second file the secrets are overwritten where they stand, and mean the kept ones then."""
    box.write(TOML.encode(encoding))
    size = (box.card / "gateway.toml").stat().st_size
    with monkeypatch.context() as patch:
        refuse(patch, errno.ENOSPC)
        box.accepted()
    content = (box.card / "gateway.toml").read_bytes()
    assert (size, 3) == (len(content), content.decode(encoding).count('""'))
    assert [] == [secret for secret in SECRETS if secret.encode(encoding)[2:] in content]
    before = box.config.read_bytes()
    assert "unchanged" == box.start().kind
    box.write(content.decode(encoding).replace("Old town", "New town").encode(encoding))
    config = box.accepted()
    assert ("New town", SIGNING) == (config.gateway.name, config.sinks["upstream"].secret_file[0].reveal())
    assert b"".join(before.replace(b"Old", b"New").split()) == b"".join(box.config.read_bytes().split())


def test_a_box_that_is_full_keeps_what_it_has(box, monkeypatch):
    """When the box cannot write, the card is not blanked, the person reads it, and the old settings stay."""
    box.write(TOML)
    box.accepted()
    before = box.config.read_bytes()
    changed = TOML.replace("ask Maria", "ask").replace("bearer-4711", "bearer-9999")
    box.write(changed)

    def full(descriptor, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(durable, "write_all", full)
        assert "rejected" == box.start().kind
    assert (before, changed) == (box.config.read_bytes(), box.on_card())
    assert "bearer-9999-0815" == box.accepted().sinks["upstream"].bearer_file.reveal()


def test_what_a_cut_left_is_wiped(box):
    """A half of an exchange that a power cut left on the card goes at the next start, and is overwritten before."""
    box.write(TOML)
    box.accepted()
    box.write(TOML, "gateway.toml.new")
    with (box.card / "gateway.toml.new").open("rb") as left:
        assert "unchanged" == box.start().kind
        assert not (box.card / "gateway.toml.new").exists()
        assert b"" == left.read().strip()


def test_the_bytes_of_the_old_file_are_overwritten(box, monkeypatch):
    """Whoever still has the old file open reads nothing in it, also where files cannot be exchanged."""
    for able in (True, False):
        if not able:
            monkeypatch.setattr(writing, "exchange", lambda one, other: False)
        box.write(TOML)
        with (box.card / "gateway.toml").open("rb") as old:
            box.start()
            assert b"" == old.read().strip()
        assert KEPT in box.on_card()
        assert not (box.card / "gateway.toml.new").exists()


def test_the_first_folder_that_has_a_file_counts(box):
    """Of two folders with gateway.toml the first is read, and the second is left alone."""
    from gateway.firstboot import provision

    other = box.card.parent / "other"
    other.mkdir()
    (other / "gateway.toml").write_text(TOML)
    box.write(TOML.replace("shop-1", "shop-2"))
    assert "accepted" == provision((box.card, other), box.config, lambda: None).kind
    assert ("shop-2", TOML) == (box.loaded().gateway.id, (other / "gateway.toml").read_text())
