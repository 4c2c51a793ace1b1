"""Reads the commands as click knows them, for the completions and the manual."""

from collections.abc import Iterator
from dataclasses import dataclass

import click


@dataclass(frozen=True)
class Option:
    """One option: its names, the name of its value if it takes one, and what may stand there."""

    names: tuple[str, ...]
    value: str | None
    choices: tuple[str, ...]
    is_path: bool
    help: str


@dataclass(frozen=True)
class Command:
    """One command with the words that lead to it; the first one is the program itself."""

    words: tuple[str, ...]
    usage: str
    help: str
    summary: str
    options: tuple[Option, ...]
    arguments: tuple[Option, ...]
    children: tuple["Command", ...]

    @property
    def place(self) -> str:
        """Give the words behind the program's name; the program itself has none."""
        return " ".join(self.words[1:])

    def all(self) -> Iterator["Command"]:
        """Give this one and all below it."""
        yield self
        for child in self.children:
            yield from child.all()


def read(main: click.Command, name: str = "gateway") -> Command:
    """Read the whole program."""
    return _command(main, click.Context(main, info_name=name, **main.context_settings), (name,))


def _command(command: click.Command, ctx: click.Context, words: tuple[str, ...]) -> Command:
    children = []
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            child = command.get_command(ctx, name)
            if child is not None and not child.hidden:
                below = click.Context(child, info_name=name, parent=ctx, **child.context_settings)
                children.append(_command(child, below, (*words, name)))
    shown = [_option(one) for one in command.get_params(ctx) if not getattr(one, "hidden", False)]
    return Command(
        words=words,
        usage=" ".join(command.collect_usage_pieces(ctx)),
        help=(command.help or "").replace("\b\n", ""),
        summary=_sentence(command.get_short_help_str(limit=1000)),
        options=tuple(one for one in shown if one.names[0].startswith("-")),
        arguments=tuple(one for one in shown if not one.names[0].startswith("-")),
        children=tuple(children),
    )


def _option(given: click.Parameter) -> Option:
    is_flag = isinstance(given, click.Option) and (given.is_flag or given.count)
    return Option(
        names=tuple(sorted([*given.opts, *given.secondary_opts], key=lambda name: name[:2] == "--")),
        value=None if is_flag else given.make_metavar(click.Context(click.Command("gateway"))),
        choices=tuple(map(str, given.type.choices)) if isinstance(given.type, click.Choice) else (),
        is_path=isinstance(given.type, click.Path | click.File),
        help=_sentence(getattr(given, "help", None) or ""),
    )


def _sentence(text: str) -> str:
    return " ".join(text.split())
