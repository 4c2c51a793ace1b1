"""The completions that are made from the commands, asked by the shells themselves."""

import shutil
import subprocess

import pytest
from deb import commandline, complete_bash, complete_fish, complete_zsh

from gateway.commands import main

_ZSH = """
compadd() { shift; print -l -- "$@" }
_describe() { print -l -- ${offered%%:*} }
_files() { print FILES }
_message() { print VALUE }
words=(gateway) CURRENT=2
source "$0" >/dev/null
words=("$@") CURRENT=$#
_gateway
"""


@pytest.fixture(scope="session")  # tests of one file do not run in one go
def program():
    return commandline.read(main)


@pytest.fixture(params=["bash", "zsh", "fish"])
def offered(request, program, tmp_path):
    """Ask a shell what it offers for the last of the words."""
    shell = request.param
    if shutil.which(shell) is None:
        pytest.fail(f"{shell} is not installed: apt-get install {shell}, or make debian")
    file = tmp_path / "completion"
    file.write_text(
        {"bash": complete_bash, "zsh": complete_zsh, "fish": complete_fish}[shell].render(program)
    )

    def ask(*words: str) -> set[str]:
        bash = f'source {file}; COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _gateway; printf \'%s\\n\' "${{COMPREPLY[@]}}"'
        command = {
            "bash": ["bash", "--norc", "-c", bash, "x", *words],
            "zsh": ["zsh", "-fc", _ZSH, str(file), *words],
            "fish": ["fish", "--no-config", "-c", f"source {file}; complete -C '{' '.join(words)}'"],
        }[shell]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
        assert "" == done.stderr
        return {line.split("\t")[0].rstrip("/") for line in done.stdout.splitlines()}

    return ask


def test_every_command_and_option_is_offered(offered, program):
    """After the words of each command, all that may follow them is offered."""
    for command in program.all():
        below = {child.words[-1] for child in command.children}
        assert below <= offered(*command.words, ""), command.words
        options = {name for option in command.options for name in option.names if name.startswith("--")}
        assert options <= offered(*command.words, "--"), command.words


def test_an_option_with_a_value_does_not_lead_astray(offered):
    """The file behind `-c` is no command, and what follows is completed as without it."""
    assert {"list", "retry"} <= offered("gateway", "-c", "status", "letters", "")
    assert "list" not in offered("gateway", "-c", "letters", "")


def test_the_reader_sees_the_short_help_option(program):
    """What click takes from the settings of the program is known below it as well."""
    assert all(any("-h" in option.names for option in one.options) for one in program.all())
