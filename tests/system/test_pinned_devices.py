"""What an installer is shown of pins: which device is pinned to what, under which name, and which pin protects nothing."""

import http.client
import json

import pytest
from hostile import counted
from site_under_test import SMALL_SITE, Daemon, free_port

CONFIG = (
    SMALL_SITE
    + """
[devices.lobby]
id = "counter-2000000000000001"
name = "Lobby door"
address = "127.0.0.9"
path_secret_file = "{directory}/word"
[devices.hall]
id = "counter-200000000000002"
address = ["127.0.0.10", "127.0.4.0/24"]
"""
)
WORD = "CanaryWord0123456789"


def push(port, body, source, path="/"):
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10, source_address=(source, 0))
    link.request("POST", path, body)
    status = link.getresponse().status
    link.close()
    return status


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    directory, port = tmp_path_factory.mktemp("idle_pins"), free_port()
    (directory / "word").write_text(WORD)
    (directory / "word").chmod(0o600)
    (directory / "config.toml").write_text(CONFIG.format(port=port, directory=directory))
    daemon = Daemon(directory, directory / "config.toml", port)
    daemon.start()
    assert 200 == push(port, counted("2000000000000001"), "127.0.0.9", f"/k/{WORD}")
    assert 200 == push(port, counted("2000000000000002"), "127.0.0.66")
    yield daemon
    if daemon.running:
        daemon.stop()


def test_the_list_of_devices_says_who_is_pinned_to_what(daemon):
    """The pin of each device stands in the table and in the JSON, one address without a prefix, and never the word."""
    printed = daemon.asked("devices").stdout
    assert "PINNED TO" in printed and "127.0.0.9 and a secret word" in printed
    rows = {row["device"]: row for row in json.loads(daemon.asked("devices", "--json").stdout)}
    assert "127.0.0.9 and a secret word" == rows["counter-2000000000000001"]["pinned"]
    assert rows["counter-2000000000000002"]["pinned"] is None
    assert WORD not in printed + daemon.asked("devices", "--pins").stdout


def test_the_name_of_the_owner_is_shown_and_found(daemon):
    """The name in the section stands in the place of what the device states, and names the device in a command."""
    assert "Lobby door" in daemon.asked("devices").stdout
    (row,) = json.loads(daemon.asked("devices", "Lobby door", "--json").stdout)
    assert ("counter-2000000000000001", "Lobby door") == (row["device"], row["name"])


@pytest.mark.parametrize("command", ["devices", "status"])
def test_a_pin_of_a_device_that_never_pushed_is_noted(daemon, command):
    """A digit is missing in the id: the note names the section and the id that was meant, and the right pin has none."""
    printed = daemon.asked(command).stdout
    assert "[devices.hall] pins counter-200000000000002, and nothing was ever taken" in printed
    assert 'Did you mean "counter-2000000000000002"?' in printed
    assert "[devices.lobby] pins" not in printed
