"""The section of the callbacks port: nobody gets in by a mistake in it."""

from pathlib import Path

import pytest

from gateway.config import InvalidConfigError, loads

VALUE = "token 0123456789abcdef"


@pytest.fixture
def secret(tmp_path):
    return kept(tmp_path / "header", VALUE)


def kept(path: Path, text: str) -> str:
    path.write_text(text + "\n")
    path.chmod(0o600)
    return str(path)


def mistake(text: str) -> tuple[str, str]:
    with pytest.raises(InvalidConfigError) as caught:
        loads(text, "f")
    (only,) = caught.value.mistakes
    assert only.line
    return str(only.key), only.problem


def test_it_is_off_and_for_this_box_only():
    """Without a word there is no such port; with one, only this box may connect."""
    section = loads("").callbacks
    assert (False, "127.0.0.1", 8089, "Authorization") == (
        section.enabled,
        section.host,
        section.port,
        section.header,
    )
    assert ["127.0.0.0/8", "::1/128"] == [str(network) for network in section.allow]


def test_one_file_or_several(tmp_path, secret):
    """A list of files allows each of their values; the values show in no dump."""
    other = kept(tmp_path / "other", "token fedcba9876543210")
    config = loads(f'[callbacks]\nenabled = true\nsecret_file = ["{secret}", "{other}"]\n')
    assert [VALUE, "token fedcba9876543210"] == [one.reveal() for one in config.callbacks.secret_file]
    assert VALUE not in repr(config)
    assert VALUE not in str(config.model_dump(mode="json"))
    assert [VALUE] == [
        one.reveal() for one in loads(f'[callbacks]\nsecret_file = "{secret}"').callbacks.secret_file
    ]


def test_without_a_secret_it_does_not_open():
    """An enabled port without a secret is a mistake, and the sentence says what to do."""
    assert (
        "callbacks.enabled",
        "would let everybody in, because no secret_file says what the header must hold",
    ) == (mistake("[callbacks]\nenabled = true\n"))
    assert loads("[callbacks]\nenabled = false\n").callbacks.secret_file == ()


@pytest.mark.parametrize("text", ["short", "a" * 15, "with\ttab 0123456789", "ünicode 0123456789", " " * 20])
def test_a_value_that_no_header_can_hold_or_anybody_guess_is_refused(tmp_path, text):
    """The value is 16 to 1024 characters of ASCII; the message does not quote it."""
    path = kept(tmp_path / "header", text)
    key, problem = mistake(f'[callbacks]\nenabled = true\nsecret_file = "{path}"\n')
    assert "callbacks.secret_file" == key
    assert text.strip() not in problem.replace(path, "") or not text.strip()


def test_an_empty_list_of_secrets_is_refused():
    """A list without a file lets nobody in, which nobody means."""
    key, problem = mistake("[callbacks]\nenabled = true\nsecret_file = []\n")
    assert "callbacks.secret_file" == key
    assert "lets nobody in" in problem


@pytest.mark.parametrize("header", ["", "two words", "Host", "content-type", "X-Forwarded-For", "ä"])
def test_a_header_that_proves_nothing_is_refused(header):
    """A header that every request has, or that is none, is a mistake."""
    assert "callbacks.header" == mistake(f'[callbacks]\nheader = "{header}"\n')[0]


@pytest.mark.parametrize(
    ("ours", "theirs", "clash"),
    [
        ("127.0.0.1", "0.0.0.0", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("::", "192.168.1.10", True),
        ("127.0.0.1", "192.168.1.10", False),
    ],
)
def test_the_two_ports_are_two(secret, ours, theirs, clash):
    """The callbacks port is never the port of the devices."""
    text = (
        f'[callbacks]\nenabled = true\nsecret_file = "{secret}"\nhost = "{ours}"\nport = 8088\n'
        f'[listen]\nhost = "{theirs}"\n'
    )
    if clash:
        assert "callbacks.port" == mistake(text)[0]
    else:
        assert 8088 == loads(text).callbacks.port


def test_a_body_fits_into_all_bodies():
    """One body cannot be larger than all together."""
    key, problem = mistake('[callbacks]\nbody_bytes = "20 MiB"\n')
    assert "callbacks.body_bytes" == key
    assert "max_bodies_bytes" in problem
