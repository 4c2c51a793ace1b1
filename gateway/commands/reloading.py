"""`gateway reload`: the running gateway takes over its configuration file, and this waits for what comes of it."""

from pathlib import Path

import click

from gateway.commands.asking import CANNOT_TELL, FAULT, as_json, give_up, show
from gateway.config import answering, last_good, load
from gateway.config.credentials import CREDENTIALS, HANDED_OVER
from gateway.control.client import Client, DaemonDown
from gateway.errors import ConfigError, GatewayError

_LONGEST_S = 90.0  # sinks that change are ended in order; systemd would give it two minutes


@click.command("reload")
@as_json
@click.pass_obj
def reload(path: Path | None, *, as_json: bool) -> None:
    """Have the running gateway take over its configuration, and wait until it is in effect.

    Exit status: 0 taken over, 1 it was not and the mistakes are printed, 2 the gateway does not run.
    """
    try:
        answer = Client(_socket(path), timeout_s=_LONGEST_S).post("/reload")
    except DaemonDown as down:
        give_up(down.told_with("It reads the configuration when it starts."), CANNOT_TELL)
    except GatewayError as error:
        give_up(str(error), FAULT)
    told = answer["done"]
    if as_json:
        show(told)
        return
    assert isinstance(told, dict)  # noqa: S101 - the daemon's own description says so
    click.echo(f"The configuration is in effect (hash {told['config_hash']}).")
    if told["restart"]:
        click.echo(f"In effect only after `systemctl restart gateway`: {', '.join(told['restart'])}.")
    if changed := _changed_secrets():
        click.echo(
            f"Changed secrets, in effect only after `systemctl restart gateway`: {', '.join(changed)}."
        )


def _socket(path: Path | None) -> Path:
    """Find the daemon, whatever is wrong with its file: it runs with the last good one, which says where."""
    try:
        return load(path).socket
    except ConfigError:
        recalled = last_good.recall(path)
        return recalled.socket if recalled else answering(path)


def _changed_secrets() -> list[str]:
    """Name the secrets that differ from what systemd handed over at the start; only root can look."""
    try:
        kept = sorted(CREDENTIALS.iterdir())
        return [file.name for file in kept if _is_new(file, HANDED_OVER / f"gateway_{file.name}")]
    except OSError:
        return []


def _is_new(kept: Path, handed_over: Path) -> bool:
    if not HANDED_OVER.is_dir():
        return False  # not a gateway of systemd's
    return not handed_over.exists() or kept.read_bytes() != handed_over.read_bytes()
