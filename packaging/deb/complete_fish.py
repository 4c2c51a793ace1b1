"""Writes the completion for fish: one line per word, each with the place where it is offered."""

from deb.commandline import Command, Option

_BEGIN = """\
# Completion of gateway(1), made from its commands.
function __gateway_at
    set -l at
    set -l skip
    for word in (commandline -opc)[2..-1]
        if test -n "$skip"
            set skip
            continue
        end
        switch "$at|$word"
"""
_END = """\
        end
    end
    test -z "$skip"; and test "$at" = "$argv[1]"
end
complete -c gateway -f
"""


def render(program: Command) -> str:
    """Give the file."""
    moves, words = [], []
    for command in program.all():
        for child in command.children:
            moves.append(f"            case {_quoted(f'{command.place}|{child.words[-1]}')}")
            moves.append(f"                set at {_quoted(child.place)}")
            words.append(f"{_where(command)} -a {child.words[-1]} -d {_quoted(child.summary)}")
        for option in command.options:
            if option.value is not None:
                moves.append(
                    "            case " + " ".join(_quoted(f"{command.place}|{one}") for one in option.names)
                )
                moves.append("                set skip 1")
            words.append(f"{_where(command)}{_names(option)} -d {_quoted(option.help.split('. ')[0])}")
        for argument in command.arguments:
            if argument.choices:
                words.append(f"{_where(command)} -a {_quoted(' '.join(argument.choices))}")
            elif argument.is_path:
                words.append(f"{_where(command)} -F")
    return _BEGIN + "".join(f"{line}\n" for line in moves) + _END + "".join(f"{line}\n" for line in words)


def _where(command: Command) -> str:
    return f"complete -c gateway -n {_quoted('__gateway_at ' + _quoted(command.place))}"


def _names(option: Option) -> str:
    said = "".join(f" -l {one[2:]}" if one.startswith("--") else f" -s {one[1:]}" for one in option.names)
    if option.value is None:
        return said
    if option.choices:
        return f"{said} -x -a {_quoted(' '.join(option.choices))}"
    return f"{said} -r -F" if option.is_path else f"{said} -x"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
