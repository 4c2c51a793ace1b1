"""Writes the completion for bash: tables of words, so that a TAB does not start Python."""

from collections.abc import Sequence

from deb.commandline import Command
from deb.completing import cases, lines

_BEGIN = """\
# Completion of gateway(1), made from its commands.
_gateway() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} at= skip= i
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ $skip ]]; then
            skip=
            continue
        fi
        case "$at|${COMP_WORDS[i]}" in
"""
_MIDDLE = """\
        esac
    done
    if [[ $skip ]]; then
        case "$at|$prev" in
"""
_WORDS = """\
            *) COMPREPLY=() ;;
        esac
        return
    fi
    case "$at" in
"""
_END = """\
    esac
}
complete -F _gateway gateway
"""


def render(program: Command) -> str:
    """Give the file."""
    moves, values = cases(program, lambda words: _reply(_words(words)), _reply("-f", files=True))
    offered = lines([_following(command) for command in program.all()], 8)
    return _BEGIN + moves + _MIDDLE + values + _WORDS + offered + _END


def _following(command: Command) -> str:
    files = any(argument.is_path for argument in command.arguments)
    return f"'{command.place}') {_reply(_offered(command), files=files)} ;;"


def _offered(command: Command) -> str:
    words = [child.words[-1] for child in command.children]
    words += [name for option in command.options for name in option.names]
    words += [choice for argument in command.arguments for choice in argument.choices]
    return _words(words)


def _words(words: Sequence[str]) -> str:
    return f"-W {' '.join(words)!r}"


def _reply(kind: str, *, files: bool = False) -> str:
    also = "-f " if files and kind != "-f" else ""
    named = "compopt -o filenames 2>/dev/null; " if files else ""
    return f'{named}mapfile -t COMPREPLY < <(compgen {also}{kind} -- "$cur")'
