"""What a device says moves no cursor of whoever looks at it: eight-bit escapes and signs that turn text round."""

import json

import pytest
from click.testing import CliRunner
from keeping import NOON, count, opened

from gateway.commands import main
from gateway.control.client import Client

pytestmark = pytest.mark.anyio
WORDS = "\x9b2J\x9b31mred \x1b[2J\x85next \u202etxet\u2066 \u2028line"


@pytest.fixture
async def config(tmp_path):
    """A store with a letter and an event, in which a device has said such words."""
    async with opened(tmp_path / "store") as outbox:
        await outbox.keep_letter(
            stage="parse",
            sender="192.168.1.9",
            reason="no root",
            received_at=NOON,
            head={"path": f"/{WORDS}", "query": WORDS},
            body=WORDS.encode(),
        )
        await outbox.append([count(1, 2, note=WORDS)], NOON)
    file = tmp_path / "config.toml"
    socket = tmp_path / "control.sock"
    file.write_text(f'[store]\npath = "{tmp_path}/store"\n[runtime]\nsocket = "{socket}"\n')
    return file


def said(config, *words: str) -> str:
    done = CliRunner().invoke(main, ["-c", str(config), *words])
    assert done.exit_code in (0, 1), done.output
    return done.stdout


def acts(text: str) -> list[str]:
    return [line for line in text.split("\n") if not line.isprintable()]


@pytest.mark.parametrize(
    "words",
    [
        ("letters", "show", "1"),
        ("letters", "show", "1", "--json"),
        ("letters", "list"),
        ("letters", "export"),
        ("tail",),
        ("tail", "--json"),
    ],
    ids=" ".join,
)
async def test_what_is_on_disk_is_only_text(config, words):
    """Letters and the newest events are printed without anything that a terminal acts on."""
    printed = said(config, *words)
    assert "192.168.1.9" in printed or "counter-a" in printed
    assert [] == acts(printed)


async def test_nothing_of_it_is_lost(config, tmp_path):
    """A program reads the very words out of what is escaped, on standard output and in a file."""
    said(config, "letters", "export", str(tmp_path / "letters.jsonl"))
    for line in (said(config, "letters", "export"), (tmp_path / "letters.jsonl").read_text()):
        letter = json.loads(line)
        assert (WORDS, f"/{WORDS}") == (letter["body"], letter["head"]["path"])
    assert WORDS == json.loads(json.loads(said(config, "tail", "--json"))["body"])["data"]["note"]


@pytest.mark.parametrize("more", [(), ("--json",)])
async def test_a_push_that_comes_in_is_only_text(config, monkeypatch, more):
    """The live view too, in each of its words."""
    push = dict.fromkeys(("time", "sender", "method", "path", "source", "outcome", "raw"), WORDS)
    event = {"kind": WORDS, "device": WORDS, "time": WORDS, "data": {"note": WORDS}}
    monkeypatch.setattr(Client, "tail", lambda _client: iter([push | {"events": [event]}]))
    printed = said(config, "tail", *more)
    assert "red" in printed
    assert [] == acts(printed)
