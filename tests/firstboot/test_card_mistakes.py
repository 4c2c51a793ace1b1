"""Mistakes are written beside the file for a person who has only the card, and never hold a secret."""

import pytest
from card_box import SIGNING, TOML

from gateway.firstboot import startable
from gateway.firstboot.inlets import KEPT

WORD = "correct-horse-battery"


def test_every_mistake_is_told_with_its_line_and_a_cure(box):
    """Several mistakes at once are in the order of the file, each with line, option, what is wrong and what to do."""
    box.write('[site]\r\nzone = "Lisbon"\r\n[listen]\r\nport = "8088"\r\n[sink.broker]\r\ntype = "mqtt"\r\n')
    said = box.rejected()
    assert said.count("\n") == said.count("\r\n")
    lines = said.splitlines()
    assert ["Line 2, site.zone", "Line 4, listen.port", "Line 5, sink"] == [
        line for line in lines if line.startswith("Line ")
    ]
    assert 'What to do: Did you mean "Europe/Lisbon"?' in said
    assert "What to do: Write port = 8088." in said
    assert "It has no settings yet" in said


def test_the_box_runs_on_with_the_last_good_one(box):
    """A mistake changes neither the configuration nor the secrets, and says so; the next good card mends all."""
    box.write(TOML)
    box.accepted()
    before = box.config.read_bytes()
    box.write(box.on_card().replace("mqtts://", "mqt://"))
    assert "It runs on with the settings that it had." in box.rejected()
    assert before == box.config.read_bytes()
    assert "line 10, sinks.broker.endpoint" in box.record.rejected
    box.write(box.on_card().replace("mqt://", "mqtts://"))
    assert "unchanged" == box.start().kind
    assert not (box.card / "gateway-problems.txt").exists()
    assert (box.card / "gateway-accepted.txt").exists()
    assert "" == box.record.rejected


def test_the_same_mistake_is_written_once(box):
    """A card that stays wrong is not written at each start."""
    box.write("[sinks")
    box.rejected()
    before = box.snapshot()
    box.rejected()
    assert before == box.snapshot()


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        (f'[sinks.b]\ntype = "mqtt"\nendpoint = "mqtt://b"\npassword = {WORD}\n', 4, "put text in quotes"),
        (f'[sinks.b]\ntype = "mqtt"\nendpoint = "mqtt://b"\npassword = "{WORD}\n', 4, "close it"),
        (f'[sinks.b]\ntype = "mqtt"\npassword = "x"\n{WORD}\n', 4, "="),
        (f'[sinks.b]\ntype = "mqtt"\npassword = "x" {WORD}\n', 3, "behind the end"),
        (f'[sinks.b]\ntype = "mqtt"\nendpoint = "mqtt://u:{WORD}@b"\n', 3, "no user and no password"),
        (f'[sinks.b]\ntype = "mqtt"\nendpoint = "mqtt://b"\npasword = "{WORD}"\n', 4, 'did you mean "password"'),
        (f'[sinks.b]\ntype = "mqtt"\nendpoint = "mqtt://b"\npassword_file = "{WORD}"\n', 4, 'password = "..."'),
        (f'[sinks.b]\ntype = "mqtt"\nendpoint = "mqtt://b"\npassword = ["{WORD}"]\n', 4, ""),
        (f'[sinks.b]\ntype = "mqtt"\nendpoint = "mqtt://b"\npassword = """\n{WORD}\nx"""\n', 4, "more than one line"),
        (f'[sinks.b]\npassword = "{WORD}"\n[site]\nname = "x"', 1, "this option is missing"),
        (f'[sinks.b]\ntype = "mqtt"\nversion = "{WORD}"\nendpoint = "mqtt://b"\npassword = "{WORD}"\n', 3, "words below"),
        (f'[sinks.b]\ntype = "https"\nendpoint = "https://b"\nsecret = "{WORD}"\n', 4, "does not hold a signing secret"),
        (f'[sinks.b]\ntype = "https"\nendpoint = "https://b"\nheaders = {{X-Api-Key = "{WORD}"}}\n', 4, "holds a secret"),
        (f'[devices.d]\nid = "c-1"\npath_secret = "{WORD} "\n', 3, "does not hold a word for a path"),
        (f'[callbacks]\nsecret = "{WORD[:9]}"\n', 2, "does not hold a value for a header"),
        (f'[sinks.b]\ntype = "mqtt"\nendpoint = "mqtt://b"\npassword = "{WORD}"\npassword_file = "b"\n', 4, "mean the same"),
    ],
)  # fmt: skip
def test_a_mistake_about_a_secret_does_not_tell_it(box, text, line, word):
    """However a secret was mistyped, the line is named and the secret is in no file and no word of the box."""
    box.write(text)
    outcome = box.start()
    assert "rejected" == outcome.kind
    told = box.on_card("gateway-problems.txt")
    assert f"Line {line}" in told
    assert word.lower() in told.lower()
    (box.card / "gateway.toml").unlink()
    for place in (box.everything_but_secrets(), "".join(outcome.sentences)):
        assert WORD not in place
        assert WORD[:9] not in place
    assert not (box.etc / "credentials").exists()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("4711", "has no quotes around it"),
        ('""', "nothing between the quotes"),
        (f'"{KEPT}"', "it has none"),
        ("[4711]", "has no quotes around it"),
    ],
)
def test_what_is_no_secret_is_told_in_the_words_of_the_card(box, value, said):
    """A number without quotes, nothing at all and a secret that the box does not have are told, each as it is."""
    box.write(f'[sinks.b]\ntype = "mqtt"\nendpoint = "mqtt://b"\npassword = {value}\n')
    told = box.rejected()
    assert "Line 4, sinks.b.password\r\n" in told
    assert said in told
    assert "password_file" not in told
    assert "4711" not in told


def test_nobody_is_told_to_type_commands(box):
    """A person who has only the card reads of no folder of the box and of no command."""
    box.write(
        '[sinks.b]\ntype = "mqtt"\nendpoint = "mqtts://b"\nca_file = "ca.pem"\npassword = "a\\u0000b"\n'
        f'[sinks.u]\ntype = "https"\nendpoint = "https://b"\nsecret = ["{SIGNING}", "whsec_x"]\n'
        '[devices.d]\nid = "c-1"\npath_secret = "short"\n'
    )
    told = box.rejected()
    assert 4 == told.count("Line ")
    assert [] == [
        word for word in ("chmod", "run:", "/etc", "/dev", "systemd", "credential", "card-1") if word in told
    ]


def test_the_line_is_the_cards_where_a_secret_has_several(box):
    """A secret in three quotes that goes over lines does not shift the lines of what follows."""
    box.write('[sinks.b]\npassword = """\nabc"""\ntype = "mqtt"\nendpoint = "nowhere"\n')
    assert "Line 5, sinks.b.endpoint" in box.rejected()


@pytest.mark.parametrize("value", ['"Sec\\tret"', '"a\\bc"', '"Secret\\n"', '"a\\u007fb"'])
def test_a_backslash_does_not_change_a_password_in_silence(box, value):
    """What TOML makes another character of is refused, and the card keeps what the person wrote."""
    text = f'[sinks.b]\ntype = "mqtt"\nendpoint = "mqtt://b"\npassword = {value}\n'
    box.write(text)
    told = box.rejected()
    assert "Line 4, sinks.b.password\r\n" in told
    assert "write it twice, or use 'single quotes'" in told
    assert text == box.on_card()


@pytest.mark.parametrize(
    "value",
    [
        *("(kept in gateway)", "kept in the gateway", "(Kept in the gateway", "(kept in the gateway:1:2)"),
        *("the password of the broker", " The token"),
    ],
)
def test_what_is_nearly_the_marker_is_no_password(box, value):
    """A mistyped marker and the example's own words are refused, and the person is told what to write."""
    box.write(f'[sinks.b]\ntype = "mqtt"\nendpoint = "mqtt://b"\npassword = "{value}"\n')
    told = box.rejected()
    assert "Line 4, sinks.b.password\r\n" in told
    assert f"write exactly: {KEPT}" in told


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ('[store]\npath = "/proc/x"\n', "store.path", "it is on no disk"),
        ('[store]\npath = "/dev/null/x"\n', "store.path", "it is on no disk"),
        ('[store]\npath = "/etc/passwd/x"\n', "store.path", "a file, and not a folder"),
        ('[store]\npath = "/etc/passwd"\n', "store.path", "is not a folder"),
        ('[runtime]\nsocket = "/proc/x.sock"\n', "runtime.socket", "it is on no disk"),
        ('[listen]\nhost = "10.99.99.99"\n', "listen.host", "is no address of this box"),
    ],
)
def test_what_a_gateway_cannot_start_with_is_refused(box, text, key, said):
    """A place or an address that is not there is told with its line, and the box keeps its settings."""
    box.write(text)
    told = box.rejected()
    assert f"Line 2, {key}\r\n" in told
    assert said in told
    assert "What to do: " in told
    assert not box.config.exists()


def test_only_root_may_write_there(box, monkeypatch):
    """On a box whose gateway is a user of its own, a place that only root can make is refused; its own is not."""
    monkeypatch.setattr(startable, "_has_own_user", lambda: True)
    monkeypatch.setattr(startable, "fleeting", lambda _place: None)  # tests are in such a folder
    box.write('[store]\npath = "/nowhere/store"\n')
    assert "only root may write to /" in box.rejected()
    box.write(f'[store]\npath = "{box.card.parent}/store"\n')
    box.card.parent.chmod(0o777)
    box.accepted()


def test_an_address_is_not_judged_without_a_network(box):
    """A box that has no address yet cannot know which one it will have."""
    box.address = None
    box.write('[listen]\nhost = "10.99.99.99"\n')
    assert "10.99.99.99" == box.accepted().listen.host
