"""The manual that is made from the commands and the example of the configuration."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from deb import commandline, manual

from gateway.commands import main

ROOT = Path(__file__).parents[2]
SECOND = 1_795_000_000


@pytest.fixture(scope="session")  # tests of one file do not run in one go
def program():
    return commandline.read(main)


@pytest.fixture(scope="session")  # tests of one file do not run in one go
def pages(program, tmp_path_factory):
    """Both pages as `man` shows them; a warning of the formatter fails."""
    if shutil.which("man") is None:
        pytest.fail("man is not installed: apt-get install man-db, or make debian")
    example = (ROOT / "config.example.toml").read_text()
    sources = {
        "gateway.1": manual.render(program, "1.2.3", SECOND),
        "gateway-config.5": manual.render_configuration(example, "1.2.3", SECOND),
    }
    shown = []
    for name, text in sources.items():
        file = tmp_path_factory.mktemp("man") / name
        file.write_text(text)
        command = ["man", "--warnings", "--local-file", str(file)]
        env = {"MANWIDTH": "400", "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MAN_KEEP_FORMATTING": ""}
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, check=True)
        assert "" == done.stderr
        shown.append(re.sub(r".\x08", "", done.stdout))
    return shown


def test_every_command_with_its_options_is_in_the_manual(pages, program):
    """Nothing that can be typed is left out."""
    for command in program.all():
        assert (
            re.search(rf"^ +gateway {re.escape(command.place)}\b", pages[0], re.MULTILINE)
            or not command.place
        )
        for option in command.options:
            assert ", ".join(option.names) in pages[0]


def test_every_section_of_the_example_is_in_the_manual(pages):
    """The page about the configuration has what the example has, with the values."""
    example = (ROOT / "config.example.toml").read_text()
    for section in re.findall(r"^#?\[+([\w.]+)\]", example, re.MULTILINE):
        assert f"[{section}]" in pages[1]
    assert "port = 8088" in pages[1]


def test_the_manual_says_its_version_and_the_day_of_the_commit(pages):
    """The same tree gives the same page on every day."""
    assert "2026-11-18" in pages[0]
    assert "gateway 1.2.3" in pages[0]
