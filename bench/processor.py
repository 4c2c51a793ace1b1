"""A command that stays on one processor."""


def pinned(cpu: int | None, *command: str) -> list[str]:
    """Give the command, kept on that processor; None lets it run anywhere."""
    return [*command] if cpu is None else ["taskset", "-c", str(cpu), *command]
