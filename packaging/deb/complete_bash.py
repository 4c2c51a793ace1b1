"""Writes the completion for bash: tables of words, so that a TAB does not start Python."""

from deb.commandline import Command

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
    moves, values, words = [], [], []
    for command in program.all():
        moves += [
            f"            {_case(command.place, child.words[-1])}) at='{child.place}' ;;"
            for child in command.children
        ]
        for option in command.options:
            if option.value is None:
                continue
            names = " | ".join(_case(command.place, name) for name in option.names)
            moves.append(f"            {names}) skip=1 ;;")
            if option.choices:
                values.append(f"            {names}) {_reply('-W ' + repr(' '.join(option.choices)))} ;;")
            elif option.is_path:
                values.append(f"            {names}) {_reply('-f', files=True)} ;;")
        files = any(argument.is_path for argument in command.arguments)
        words.append(f"        '{command.place}') {_reply(_offered(command), files=files)} ;;")
    return _BEGIN + _lines(moves) + _MIDDLE + _lines(values) + _WORDS + _lines(words) + _END


def _offered(command: Command) -> str:
    words = [child.words[-1] for child in command.children]
    words += [name for option in command.options for name in option.names]
    words += [choice for argument in command.arguments for choice in argument.choices]
    return f"-W {' '.join(words)!r}"


def _reply(kind: str, *, files: bool = False) -> str:
    also = "-f " if files and kind != "-f" else ""
    named = "compopt -o filenames 2>/dev/null; " if files else ""
    return f'{named}mapfile -t COMPREPLY < <(compgen {also}{kind} -- "$cur")'


def _case(place: str, word: str) -> str:
    return f"'{place}|{word}'"


def _lines(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
