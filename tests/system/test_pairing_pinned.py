"""`gateway pair` of a device that is pinned to a secret word: it gets the word, and nothing on the screen shows it."""

import pytest
from site_under_test import Daemon, free_port
from test_pairing import CONFIG, Loop, pair, terminal

WORD = "CanaryWord0123456789"
PINS = """
[devices.lobby]
id = "terminal-sps-word"
path_secret_file = "{directory}/word"
[devices.north]
id = "counter-1"
path_secret_file = "{directory}/word"
"""


@pytest.fixture
def loop():
    with Loop() as loop:
        yield loop


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    directory, port = tmp_path_factory.mktemp("paired"), free_port()
    (directory / "word").write_text(WORD)
    (directory / "word").chmod(0o600)
    (directory / "config.toml").write_text((CONFIG + PINS).format(port=port, directory=directory))
    daemon = Daemon(directory, directory / "config.toml", port)
    daemon.start()
    yield daemon
    daemon.stop()


def test_a_pinned_terminal_is_paired_with_its_word(daemon, loop):
    """Nobody knows it at first: that is said before anything is written. Then it gets the word, which is not shown."""
    with terminal(loop, "SPS-WORD") as api:
        place = f"127.0.0.1:{api.port}"
        status, told = pair(daemon, "terminal", place, "--timeout", "5")
        assert (1, False, []) == (status, told["set"], api.calls)
        assert "may be terminal-sps-word" in told["problem"]
        status, told = pair(daemon, "terminal", place, "--device", "terminal-sps-word", "--timeout", "30")
        assert (0, "terminal-sps-word") == (status, told["device"]), told
        assert f"http://127.0.0.1:{daemon.port}/k/{WORD}/Record" == api.dest
        assert WORD not in str(told)
        status, told = pair(daemon, "terminal", place, "--timeout", "30")  # the book knows it now
        assert 0 == status and f"/k/{WORD}/Record" in api.dest


def test_what_to_type_into_a_counter_names_the_place_of_the_word(daemon):
    """The URLs of a counter with a word have a place for it, and the file is named."""
    ran = daemon.command("pair", "counter", "127.0.0.1", "--timeout", "0.1")
    assert f"http://127.0.0.1:{daemon.port}/k/WORD/counter" in ran.stdout
    assert "/word for WORD" in ran.stdout and WORD not in ran.stdout
