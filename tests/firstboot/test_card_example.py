"""The file that a person fills in is right once it is filled in, and says so as long as it is not."""

import re
from pathlib import Path

from card_box import SIGNING

EXAMPLE = Path(__file__).parents[2] / "packaging" / "card" / "gateway.toml"


def test_the_example_is_accepted_when_it_is_filled_in(box):
    """With each # taken away and the secret in its place, every line of the example is taken over."""
    text = re.sub(r"^#(?=[a-z\[])", "", EXAMPLE.read_text("utf-8"), flags=re.MULTILINE)
    text = text.replace("the password of the broker", "broker-4711").replace("the token", "token-4711")
    box.write(text.replace("whsec_...", SIGNING).replace("\n", "\r\n"))
    config = box.accepted()
    assert {"broker", "upstream"} == set(config.sinks)
    assert ("shop-1", "Europe/London") == (config.gateway.id, config.site.zone)
    assert "broker-4711" == config.sinks["broker"].password_file.reveal()
    assert "token-4711" == config.sinks["upstream"].bearer_file.reveal()


def test_the_example_as_it_is_asks_to_be_filled_in(box):
    """A card with the example unchanged changes nothing, and the person reads what to do."""
    box.write(EXAMPLE.read_bytes())
    assert "Take the # away" in box.rejected()


def test_the_example_is_readable_on_a_phone_and_in_notepad():
    """It is plain ASCII, and shorter than two screens of a computer."""
    text = EXAMPLE.read_bytes()
    assert text.isascii()
    assert text.count(b"\n") < 60
