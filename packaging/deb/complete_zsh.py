"""Writes the completion for zsh, with the first sentence of the help beside each word."""

from deb.commandline import Command, Option
from deb.completing import cases, lines

_BEGIN = """\
#compdef gateway
# Completion of gateway(1), made from its commands.
_gateway() {
    local at= skip= last= i
    local -a offered
    for ((i = 2; i < CURRENT; i++)); do
        last=${words[i]}
        if [[ -n $skip ]]; then
            skip=
            continue
        fi
        case "$at|$last" in
"""
_MIDDLE = """\
        esac
    done
    if [[ -n $skip ]]; then
        case "$at|$last" in
"""
_WORDS = """\
            *) _message 'value' ;;
        esac
        return
    fi
    case "$at" in
"""
_END = """\
    esac
    _describe -o 'option or command' offered
}
_gateway "$@"
"""


def render(program: Command) -> str:
    """Give the file."""
    moves, values = cases(program, lambda words: f"compadd -- {' '.join(words)}", "_files")
    offered = lines([_offered(command) for command in program.all()], 8)
    return _BEGIN + moves + _MIDDLE + values + _WORDS + offered + _END


def _offered(command: Command) -> str:
    words = [_described(child.words[-1], child.summary) for child in command.children]
    words += [_described(name, _first(option)) for option in command.options for name in option.names]
    words += [_described(choice, "") for argument in command.arguments for choice in argument.choices]
    files = " _files;" if any(argument.is_path for argument in command.arguments) else ""
    return f"'{command.place}')\n            offered=({' '.join(words)});{files}\n            ;;"


def _first(option: Option) -> str:
    return option.help.split(". ")[0].removesuffix(".")


def _described(word: str, text: str) -> str:
    said = f"{word}:{text}" if text else word
    return "'" + said.replace("'", "'\\''") + "'"
