"""Commands that a user types who may look neither at the socket nor into the store: the cure is said, and no traceback."""

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from root_skips import as_root
from site_under_test import SMALL_SITE, Daemon, small_daemon

from gateway.commands import main
from gateway.daemon import run

pytestmark = as_root
_NOBODY = 65_534
_READING = (
    ("status",),
    ("status", "--json"),
    ("sinks",),
    ("account",),
    ("devices",),
    ("devices", "north-door", "--day", "today"),
    ("occupancy",),
    ("letters", "list"),
    ("letters", "show", "1"),
    ("letters", "export", "-"),
    ("tail",),
    ("adopt",),
    ("capture", "--list"),
    ("erase", "--person", "7"),
)
_DOING = (
    ("reload",),
    ("replay", "home", "--from", "1"),
    ("adopt", "--all"),
    ("letters", "retry", "1"),
    ("occupancy", "hall", "--reset"),
    ("sinks", "home", "--try-now"),
    ("capture", "north-door"),
)


@pytest.fixture
def folder():
    """A folder that anybody may pass; pytest closes its own to others each time it begins."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def daemon(folder):
    """A gateway that was not started yet."""
    one = small_daemon(folder, SMALL_SITE)
    one.config.chmod(0o644)
    yield one
    if one.running:
        one.kill()


def _become_nobody(config: Path, warm: Callable[[Path], object]) -> None:
    """Have it done once where it comes to nothing, and go: what it imports may lie where only root gets at it."""
    elsewhere = config.with_name("elsewhere.toml")
    elsewhere.write_text(SMALL_SITE.format(directory=elsewhere, port=0))
    warm(elsewhere)
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)


def _command_as_nobody(answer, config: Path, commands: tuple[tuple[str, ...], ...]) -> None:
    def asked(path: Path) -> list:
        return [CliRunner().invoke(main, ["-c", str(path), *words]) for words in commands]

    _become_nobody(config, asked)
    for words, done in zip(commands, asked(config), strict=True):
        trouble = None if isinstance(done.exception, SystemExit) else repr(done.exception)
        answer.send((words, done.exit_code, done.output, trouble))
    answer.close()


def _start_as_nobody(config: Path, said: Path) -> None:
    sys.stdout = sys.stderr = said.open("a")  # before: nobody may not make it
    _become_nobody(config, run)
    sys.stdout.truncate(0)
    sys.exit(run(config))


def said_to_nobody(daemon: Daemon, commands: tuple[tuple[str, ...], ...]) -> dict[tuple, tuple]:
    """Give status, words and traceback of each command, typed by a user without any rights."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(
        target=_command_as_nobody, args=(theirs, daemon.config, commands)
    )
    child.start()
    theirs.close()
    said = {words: told for words, *told in (ours.recv() for _ in commands)}
    child.join(30)
    return said


def test_with_the_gateway_stopped_each_reading_command_asks_for_sudo(daemon, folder):
    """A store that this user may not look into is no store that cannot be told of: exit status 2, and the word sudo."""
    daemon.start()
    daemon.stop()
    (folder / "store").chmod(0o750)
    for words, (status, output, trouble) in said_to_nobody(daemon, _READING).items():
        assert (2, None) == (status, trouble), (words, output)
        assert "run the command with sudo" in output, (words, output)
    assert "sudo" not in daemon.asked("sinks").stderr  # root was told all


def test_with_the_gateway_running_each_command_asks_for_sudo(daemon, folder):
    """Nobody is told that a gateway does not run, or to start it, because he may not ask it."""
    daemon.start()
    (folder / "store").chmod(0o750)
    (folder / "control.sock").chmod(0o660)
    for words, (status, output, trouble) in said_to_nobody(daemon, (*_READING, *_DOING)).items():
        assert (2, None) == (status, trouble), (words, output)
        assert ": run the command with sudo" in output, (words, output)
        assert "not running" not in output and "tart it" not in output, (words, output)


@pytest.mark.parametrize(
    ("option", "place"),
    [
        ("path", "closed"),
        ("path", "closed/store"),
        ("socket", "closed/control.sock"),
        ("socket", "closed/run/control.sock"),
    ],
)
def test_a_start_that_may_not_use_its_folders_says_which(daemon, folder, option, place):
    """A folder of root's in the place of one of its own ends a start with a sentence that names it, and no traceback."""
    (folder / "closed").mkdir(mode=0o700)
    (folder / "mine").mkdir()
    os.chown(folder / "mine", _NOBODY, _NOBODY)
    places = {"path": folder / "mine/store", "socket": folder / "mine/control.sock", option: folder / place}
    lines = daemon.config.read_text().splitlines()
    kept = (line for line in lines if line.partition(" =")[0] not in places)
    tables = {"[store]": "path", "[runtime]": "socket"}
    daemon.config.write_text(
        "\n".join(
            f'{line}\n{name} = "{places[name]}"' if (name := tables.get(line)) else line for line in kept
        )
    )
    child = multiprocessing.get_context("fork").Process(
        target=_start_as_nobody, args=(daemon.config, folder / "said")
    )
    child.start()
    child.join(60)
    said = (folder / "said").read_text()
    assert 1 == child.exitcode, said
    assert "Traceback" not in said and "gateway_cannot_run" in said, said
    assert str((folder / place).parent) in said, said
