"""What the completions for bash and zsh have in common: the cases of the words that stand on the line already."""

from collections.abc import Callable, Sequence

from deb.commandline import Command


def cases(program: Command, choices: Callable[[Sequence[str]], str], files: str) -> tuple[str, str]:
    """Give the cases that find the command, and those that offer the value of an option, in the words of the shell."""
    moves, values = [], []
    for command in program.all():
        moves += [f"{_case(command, child.words[-1])}) at='{child.place}' ;;" for child in command.children]
        for option in command.options:
            if option.value is None:
                continue
            names = " | ".join(_case(command, name) for name in option.names)
            moves.append(f"{names}) skip=1 ;;")
            if option.choices:
                values.append(f"{names}) {choices(option.choices)} ;;")
            elif option.is_path:
                values.append(f"{names}) {files} ;;")
    return lines(moves, 12), lines(values, 12)


def lines(texts: Sequence[str], indent: int) -> str:
    """Write each on a line of its own."""
    return "".join(f"{' ' * indent}{text}\n" for text in texts)


def _case(command: Command, word: str) -> str:
    return f"'{command.place}|{word}'"
