"""Writes the completion for zsh, with the first sentence of the help beside each word."""

from deb.commandline import Command, Option

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
    moves, values, words = [], [], []
    for command in program.all():
        moves += [
            f"            '{command.place}|{child.words[-1]}') at='{child.place}' ;;"
            for child in command.children
        ]
        for option in command.options:
            if option.value is None:
                continue
            names = " | ".join(f"'{command.place}|{name}'" for name in option.names)
            moves.append(f"            {names}) skip=1 ;;")
            if option.choices:
                values.append(f"            {names}) compadd -- {' '.join(option.choices)} ;;")
            elif option.is_path:
                values.append(f"            {names}) _files ;;")
        words.append(_offered(command))
    return _BEGIN + _lines(moves) + _MIDDLE + _lines(values) + _WORDS + _lines(words) + _END


def _offered(command: Command) -> str:
    lines = [_described(child.words[-1], child.summary) for child in command.children]
    lines += [_described(name, _first(option)) for option in command.options for name in option.names]
    lines += [_described(choice, "") for argument in command.arguments for choice in argument.choices]
    files = " _files;" if any(argument.is_path for argument in command.arguments) else ""
    return f"        '{command.place}')\n            offered=({' '.join(lines)});{files}\n            ;;"


def _first(option: Option) -> str:
    return option.help.split(". ")[0].removesuffix(".")


def _described(word: str, text: str) -> str:
    said = f"{word}:{text}" if text else word
    return "'" + said.replace("'", "'\\''") + "'"


def _lines(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
